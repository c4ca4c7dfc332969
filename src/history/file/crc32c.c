/* SPDX-License-Identifier: Apache-2.0 */
/* crc32c.c - CRC-32C: reflected polynomial 0x82f63b78, start and end inverted (RFC 3720).
 *
 * The plain form takes four bits at a time from a table of 16 words that is written out here, so
 * that nothing has to be made at the start. */
#include "history/file/crc32c.h"

#if defined(__aarch64__)
#include <arm_acle.h>
#include <sys/auxv.h>
#endif

uint32_t hfile_crc_plain(uint32_t crc, str data) {
    static const uint32_t table[16] = {0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1,
                                       0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
                                       0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
                                       0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75};
    crc = ~crc;
    for (size_t i = 0; i < data.len; i++) {
        crc ^= (unsigned char)data.p[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc_fast(uint32_t start, str data) {
    uint64_t crc = (uint32_t)~start, word;
    size_t i = 0;
    for (; i + 8 <= data.len; i += 8) {
        memcpy(&word, data.p + i, 8);
        crc = __builtin_ia32_crc32di(crc, word);
    }
    for (; i < data.len; i++)
        crc = __builtin_ia32_crc32qi((uint32_t)crc, (unsigned char)data.p[i]);
    return ~(uint32_t)crc;
}

static bool is_fast(void) { return __builtin_cpu_supports("sse4.2"); }
#elif defined(__aarch64__)
__attribute__((target("+crc"))) static uint32_t crc_fast(uint32_t start, str data) {
    uint32_t crc = ~start;
    uint64_t word;
    size_t i = 0;
    for (; i + 8 <= data.len; i += 8) {
        memcpy(&word, data.p + i, 8);
        crc = __crc32cd(crc, word);
    }
    for (; i < data.len; i++)
        crc = __crc32cb(crc, (unsigned char)data.p[i]);
    return ~crc;
}

static bool is_fast(void) { return getauxval(AT_HWCAP) & (1u << 7); } /* HWCAP_CRC32 */
#else
static uint32_t crc_fast(uint32_t start, str data) { return hfile_crc_plain(start, data); }

static bool is_fast(void) { return false; }
#endif

uint32_t hfile_crc_more(uint32_t crc, str data) {
    return is_fast() ? crc_fast(crc, data) : hfile_crc_plain(crc, data);
}

uint32_t hfile_crc(str data) { return hfile_crc_more(0, data); }
