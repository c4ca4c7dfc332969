/* SPDX-License-Identifier: Apache-2.0 */
/* file.h - a history in a folder: one log for the appends of all sessions, sealed segments behind
 * it. README.md tells the design; format.h the bytes.
 *
 * Memory: 100 to 200 bytes a session, and its name; about 50 a event that is not sealed yet; none
 * for what is sealed, but for a filter of fixed size. Errors: as history/port.h; ERR_UNAVAILABLE
 * when another process writes to the folder; ERR_CORRUPT when it cannot be read. After a failed
 * sync nothing is taken any more until the folder is opened again: what the system's cache holds
 * then need not be on the disk. Suspends: as the port. Tests: tests/conformance/test_history.c,
 * tests/unit/history/, tests/crash/run-history-kill, tests/fuzz/fuzz_history_file.c */
#ifndef HF_HISTORY_FILE_FILE_H
#define HF_HISTORY_FILE_FILE_H

#include "history/port.h"

struct hfile_io;

struct history_file_options {
    const char *dir;       /* made when it is missing; its parent must exist */
    size_t segment_bytes;  /* a log of this size is sealed; 0: 64 MB */
    size_t segment_events; /* or of that many events; 0: 32,768 */
    bool no_sync;          /* for measuring only: a power loss takes what was acknowledged */
    bool read_only;        /* what the folder holds now; beside a process that writes to it */
    bool seal_never;       /* only history_sweep() seals */
    bool compress;         /* records of the segments that are made from now on, by zstd */
    size_t files_max;      /* segments open at a time; 0: a quarter of what the process may have */
    struct hfile_io *io;   /* for tests; NULL: the folder. It is closed with the history. */
};
/* Blocks while it reads: about 1 s for a million sessions. */
MUST_CHECK int history_file_open(struct rt *rt, const struct history_file_options *o,
                                 struct history **out, struct err *err);

/* --- without a loop, on a folder that nobody writes to --- */

struct history_file_report {
    int64_t files, sessions, events, checkpoints, bytes;
    int64_t findings;   /* what is damaged */
    int64_t torn_bytes; /* behind the last whole append: the next open cuts them off */
};
typedef void (*history_file_finding_fn)(void *ctx, const char *text);
/* Reads every byte. 0 also when there are findings; an error when the folder cannot be looked at.
 * io as in the options. */
MUST_CHECK int history_file_verify(const char *dir, struct hfile_io *io,
                                   history_file_finding_fn finding, void *ctx,
                                   struct history_file_report *out, struct err *err);
/* Cuts off what is torn behind the last whole append; removes no whole record.
 * ERR_UNAVAILABLE when a process writes to the folder. */
MUST_CHECK int history_file_repair(const char *dir, struct hfile_io *io, int64_t *out_cut_bytes,
                                   struct err *err);

#endif
