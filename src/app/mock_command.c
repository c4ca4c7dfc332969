/* SPDX-License-Identifier: Apache-2.0 */
/* mock_command.c - `holdfast mock-llm`: its options and its life as a process.
 *
 * A new option: a row in the table, a case in option_set(), a field in struct mock_llm_options. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "app/mock_llm_int.h"

void mock_llm_options_default(struct mock_llm_options *o) {
    *o = (struct mock_llm_options){.host = "127.0.0.1",
                                   .port = 11434,
                                   .delay_ms = 10,
                                   .token_delay_ms = 5,
                                   .fail_kind = MOCK_FAIL_500,
                                   .retry_after_s = 1,
                                   .slow_ms = 5000};
}

enum {
    OPTION_LISTEN = 1,
    OPTION_DELAY,
    OPTION_TOKEN_DELAY,
    OPTION_TOKENS,
    OPTION_CONCURRENCY,
    OPTION_FAIL_RATE,
    OPTION_FAIL_KIND,
    OPTION_FAIL_FIRST,
    OPTION_RETRY_AFTER,
    OPTION_SLOW,
    OPTION_HELP
};

static const struct option long_options[] = {
    {"listen", required_argument, NULL, OPTION_LISTEN},
    {"delay-ms", required_argument, NULL, OPTION_DELAY},
    {"token-delay-ms", required_argument, NULL, OPTION_TOKEN_DELAY},
    {"answer-tokens", required_argument, NULL, OPTION_TOKENS},
    {"concurrency", required_argument, NULL, OPTION_CONCURRENCY},
    {"fail-rate", required_argument, NULL, OPTION_FAIL_RATE},
    {"fail-kind", required_argument, NULL, OPTION_FAIL_KIND},
    {"fail-first", required_argument, NULL, OPTION_FAIL_FIRST},
    {"retry-after", required_argument, NULL, OPTION_RETRY_AFTER},
    {"slow-ms", required_argument, NULL, OPTION_SLOW},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0},
};

void mock_llm_help(struct buf *out) {
    buf_z(out,
          "usage: holdfast mock-llm [options]\n\n"
          "An OpenAI-compatible model server with canned answers.\n\n"
          "  --listen HOST:PORT     127.0.0.1:11434\n"
          "  --delay-ms N           before each answer (10)\n"
          "  --token-delay-ms N     before each token of a stream (5); 0: all at once\n"
          "  --answer-tokens N      length of the answer (67)\n"
          "  --concurrency N        at most N answers at once, else 429 (0: no limit)\n"
          "  --fail-rate P          this part of the requests fails, 0 to 1 (0)\n"
          "  --fail-kind KIND       500, 401, 429, refuse, cut, garbage or slow (500)\n"
          "  --fail-first N         the first N requests fail (0)\n"
          "  --retry-after S        seconds sent with 429 (1)\n"
          "  --slow-ms N            the extra delay of \"slow\" (5000)\n\n"
          "Marks in the last human message: [[tool:NAME {\"a\":1}]] [[echo:TEXT]] [[tokens:N]]\n"
          "[[delay:MS]] [[token-delay:MS]] [[fail:KIND]]\n");
}

static bool listen_set(str value, struct mock_llm_options *o) {
    size_t colon = value.len;
    while (colon > 0 && value.p[colon - 1] != ':')
        colon--;
    str host = str_slice(value, 0, colon > 0 ? colon - 1 : 0);
    uint64_t port;
    if (!str_to_u64(str_slice(value, colon, value.len), &port) || port > 65535)
        return false;
    if (host.len > 2 && host.p[0] == '[' && host.p[host.len - 1] == ']')
        host = str_slice(host, 1, host.len - 1);
    if (host.len >= sizeof o->host)
        return false;
    if (colon > 0) {
        memcpy(o->host, host.p, host.len);
        o->host[host.len] = '\0';
    }
    o->port = (int)port;
    return true;
}

static bool int_set(str value, int max, int *out) {
    uint64_t n;
    if (!str_to_u64(value, &n) || n > (uint64_t)max)
        return false;
    *out = (int)n;
    return true;
}

static bool option_set(int option, str value, struct mock_llm_options *o) {
    switch (option) {
    case OPTION_LISTEN:
        return listen_set(value, o);
    case OPTION_DELAY:
        return int_set(value, 3600000, &o->delay_ms);
    case OPTION_TOKEN_DELAY:
        return int_set(value, 3600000, &o->token_delay_ms);
    case OPTION_TOKENS:
        return int_set(value, MOCK_TOKENS_MAX, &o->answer_tokens);
    case OPTION_CONCURRENCY:
        return int_set(value, 1000000, &o->concurrency);
    case OPTION_FAIL_RATE:
        return str_to_double(value, &o->fail_rate) && o->fail_rate >= 0 && o->fail_rate <= 1;
    case OPTION_FAIL_KIND:
        return mock_fail_parse(value, &o->fail_kind);
    case OPTION_FAIL_FIRST:
        return int_set(value, 1000000, &o->fail_first);
    case OPTION_RETRY_AFTER:
        return int_set(value, 86400, &o->retry_after_s);
    case OPTION_SLOW:
        return int_set(value, 3600000, &o->slow_ms);
    default:
        o->help_wanted = true;
        return true;
    }
}

int mock_llm_options_parse(int argc, char **argv, struct mock_llm_options *out, struct err *err) {
    struct mock_llm_options o;
    mock_llm_options_default(&o);
    optind = 0; /* glibc: starts afresh, also after an earlier parse of other arguments */
    opterr = 0;
    for (;;) {
        int at = optind > 0 ? optind : 1;
        int index = 0;
        int option = getopt_long(argc, argv, ":", long_options, &index);
        if (option == -1)
            break;
        if (option == '?' || option == ':')
            return err_set(err, ERR_INVALID, "%.80s: %s", argv[at < argc ? at : argc - 1],
                           option == '?' ? "unknown option" : "a value is missing");
        if (!option_set(option, str_of(optarg), &o))
            return err_set(err, ERR_INVALID, "--%s: \"%.80s\" is not a valid value",
                           long_options[index].name, optarg ? optarg : "");
    }
    if (optind < argc)
        return err_set(err, ERR_INVALID, "%.80s: unexpected argument", argv[optind]);
    *out = o;
    return 0;
}

struct process {
    struct rt *rt;
    struct mock_llm *mock; /* NULL once closing */
};

static void on_mock_closed(void *arg) {
    struct process *p = arg;
    rt_stop(p->rt);
}

static void on_signal(void *arg, int signum) {
    (void)signum;
    struct process *p = arg;
    if (p->mock)
        mock_llm_close(p->mock, on_mock_closed, p);
    p->mock = NULL;
}

static int process_run(const struct mock_llm_options *o, struct err *err) {
    struct process p = {0};
    int rc = rt_open(&p.rt, err);
    if (rc < 0)
        return rc;
    rc = rt_on_signal(p.rt, SIGINT, on_signal, &p, err);
    if (rc == 0)
        rc = rt_on_signal(p.rt, SIGTERM, on_signal, &p, err);
    if (rc == 0)
        rc = mock_llm_open(p.rt, o, &p.mock, err);
    if (rc == 0) {
        printf("mock-llm: http://%s:%d/v1\n", o->host[0] ? o->host : "0.0.0.0",
               mock_llm_port(p.mock));
        fflush(stdout);
        rt_run(p.rt);
    }
    rt_close(p.rt);
    return rc;
}

int mock_llm_run(int argc, char **argv) {
    struct mock_llm_options o;
    struct err err = {0};
    if (mock_llm_options_parse(argc, argv, &o, &err) < 0) {
        fprintf(stderr, "holdfast mock-llm: %s\n", err.message);
        return 2;
    }
    if (o.help_wanted) {
        struct buf text;
        buf_init(&text, 8192);
        mock_llm_help(&text);
        fwrite(text.p, 1, text.len, stdout);
        buf_deinit(&text);
        return 0;
    }
    if (process_run(&o, &err) < 0) {
        fprintf(stderr, "holdfast mock-llm: %s\n", err.message);
        return 1;
    }
    return 0;
}
