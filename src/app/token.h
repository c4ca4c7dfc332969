/* SPDX-License-Identifier: Apache-2.0 */
/* token.h - `holdfast token`: credentials for development and for machines.
 *
 * Errors: texts on standard error; 1 for what failed, 2 for what was asked wrongly. Suspends: never
 * from outside. Tests: tests/integration/run-auth */
#ifndef HF_APP_TOKEN_H
#define HF_APP_TOKEN_H

int token_run(int argc, char **argv);

#endif
