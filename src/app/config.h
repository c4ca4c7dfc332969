/* SPDX-License-Identifier: Apache-2.0 */
/* config.h - the options of `holdfast serve`, from flags, environment and spec/options.def.
 *
 * Owner: src/app. Memory: strings live in config.memory until config_deinit. Errors: ERR_INVALID,
 * ERR_UNSUPPORTED with a text that names the flag or variable at fault. Suspends: never; called
 * once, before the loop and threads start. Tests: tests/unit/app/test_config.c */
#ifndef HF_APP_CONFIG_H
#define HF_APP_CONFIG_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/log.h"

/* A key or password: the logger, the JSON writer and printf take no such type. */
struct secret {
    str s;
};
/* For the one place that hands it to the peer; absent when none is set. */
static inline str secret_reveal(struct secret secret) { return secret.s; }

/* Values of the CHOICE options, in the order of their lists in spec/options.def. The list of
 * log_level is that of enum log_level. */
enum config_error_format { CONFIG_ERROR_JSON, CONFIG_ERROR_TEXT };
enum config_log_format { CONFIG_LOG_AUTO, CONFIG_LOG_JSON, CONFIG_LOG_PRETTY };
enum config_synchronous { CONFIG_SYNCHRONOUS_FULL, CONFIG_SYNCHRONOUS_NORMAL };
enum config_checkpoints { CONFIG_CHECKPOINTS_LANGGRAPH, CONFIG_CHECKPOINTS_NATIVE };
enum config_history_compress { CONFIG_HISTORY_PLAIN, CONFIG_HISTORY_ZSTD };
enum config_api_keys { CONFIG_API_KEYS_AUTO, CONFIG_API_KEYS_ON, CONFIG_API_KEYS_OFF };
enum config_ttl { CONFIG_TTL_DELETE, CONFIG_TTL_KEEP_LATEST };
enum config_cron_missed { CONFIG_CRON_MISSED_ONCE, CONFIG_CRON_MISSED_SKIP };
enum config_trace_log { CONFIG_TRACE_LOG_OFF, CONFIG_TRACE_LOG_DEBUG, CONFIG_TRACE_LOG_INFO };
enum config_audit { CONFIG_AUDIT_AUTO, CONFIG_AUDIT_OFF, CONFIG_AUDIT_WRITES, CONFIG_AUDIT_ALL };
enum config_store_ttl_refresh { CONFIG_REFRESH_AUTO, CONFIG_REFRESH_ON, CONFIG_REFRESH_OFF };
enum config_multitask {
    CONFIG_MULTITASK_ENQUEUE,
    CONFIG_MULTITASK_REJECT,
    CONFIG_MULTITASK_INTERRUPT,
    CONFIG_MULTITASK_ROLLBACK
};

enum config_database_profile {
    CONFIG_PROFILE_AUTO,
    CONFIG_PROFILE_STANDARD,
    CONFIG_PROFILE_GATEWAY,
    CONFIG_PROFILE_SERVERLESS,
    CONFIG_PROFILE_CHECKPOINTER
};

#define OPT_FIELD_STR(key)      str key;
#define OPT_FIELD_LIST(key)     str key; /* a line each */
#define OPT_FIELD_SECRET(key)   struct secret key;
#define OPT_FIELD_BOOL(key)     bool key;
#define OPT_FIELD_INT(key)      int64_t key;
#define OPT_FIELD_BYTES(key)    int64_t key;
#define OPT_FIELD_SECONDS(key)  int64_t key##_us;
#define OPT_FIELD_PATIENCE(key) int64_t key##_us;
#define OPT_FIELD_INDEX(key)    int key;
#define OPT_FIELD_CHOICE(list)  OPT_FIELD_INDEX

struct config {
#define GROUP(title)
#define OPT(key, kind, env, fallback, min, max, help) OPT_FIELD_##kind(key)
#include "options.def"
#undef OPT
#undef GROUP
    const char *listen_host; /* of listen; "" all addresses; IPv6 without brackets */
    int listen_port;         /* of listen and port */
    const char *platform;    /* variable by which a platform for functions shows itself, or NULL */
    bool help_wanted;        /* --help: print config_help() and leave; the rest is set as usual */
    struct arena memory;
};

/* argv[0] is skipped. A flag wins over the environment, which wins over the default. An empty
 * variable counts as unset. Strings are NUL-terminated; an empty one is "" with a length of 0, an
 * unset secret is absent. */
MUST_CHECK int config_load(int argc, char **argv, struct config *out, struct err *err);
void config_deinit(struct config *c);
/* A variable of the environment that another option's text names; false: it is not set. The text is
 * the environment's own. */
bool config_env(struct arena *a, str name, str *out);
/* The text of a file that an option names. ERR_IO, ERR_INVALID: it is larger. */
MUST_CHECK int config_file(struct arena *a, str path, size_t bytes_max, str *out, struct err *err);
/* The environment for programs that are given the server's: without its own secrets (the keys of
 * models are theirs, too). "NAME=value", NULL at its end; the texts are the environment's. */
char **config_env_for_others(struct arena *a);
/* The text of --help: every option by group. */
void config_help(struct buf *out);

#endif
