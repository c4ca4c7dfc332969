/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - entry of the binary: picks the command, leaves the work to app.
 *
 * A command gets its own name and arguments and returns the exit status. A new command is a row of
 * `commands`; the usage text follows from the table. */
#include <stdio.h>
#include <string.h>

#include "app/app.h"
#include "app/doctor_command.h"
#include "app/history_command.h"
#include "app/migrate_command.h"
#include "app/mock_llm.h"
#include "app/token.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} commands[] = {
    {"serve", app_serve, "serve the API (serve --help lists the options)"},
    {"migrate", migrate_run, "the schema in PostgreSQL, by hand (migrate --help)"},
    {"doctor", doctor_run, "is the PostgreSQL database well? (doctor --help)"},
    {"history", history_run, "append, read, verify and copy histories (history --help)"},
    {"token", token_run, "make tokens and API keys (token --help)"},
    {"mock-llm", mock_llm_run, "a stand-in for a model server (mock-llm --help)"},
};

static int usage(FILE *to) {
    fprintf(to, "usage: holdfast COMMAND [options]\n\n");
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++)
        fprintf(to, "  %-10s %s\n", commands[i].name, commands[i].help);
    fprintf(to, "  %-10s print the version\n", "--version");
    return to == stdout ? 0 : 2;
}

int main(int argc, char **argv) {
    if (argc < 2)
        return usage(stderr);
    if (strcmp(argv[1], "--version") == 0) {
        printf("holdfast %s\n", HF_VERSION);
        return 0;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)
        return usage(stdout);
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    fprintf(stderr, "holdfast: unknown command %s\n", argv[1]);
    return usage(stderr);
}
