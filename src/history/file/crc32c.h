/* SPDX-License-Identifier: Apache-2.0 */
/* crc32c.h - CRC-32C (Castagnoli), by the processor's instruction where it has one.
 * Memory: none. Errors: none. Suspends: never. Tests: tests/unit/history/test_file_format.c */
#ifndef HF_HISTORY_FILE_CRC32C_H
#define HF_HISTORY_FILE_CRC32C_H

#include "base/str.h"

uint32_t hfile_crc(str data);
/* Goes on from an earlier one; begins with 0. */
uint32_t hfile_crc_more(uint32_t crc, str data);
uint32_t hfile_crc_plain(uint32_t crc, str data); /* without the instruction: for tests */

#endif
