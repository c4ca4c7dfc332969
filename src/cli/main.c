/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - entry of the binary: picks the command, leaves the work to app. */
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("holdfast %s\n", HF_VERSION);
        return 0;
    }
    fprintf(stderr, "usage: holdfast --version\n");
    return 2;
}
