/* SPDX-License-Identifier: Apache-2.0 */
/* migrate_command.h - `holdfast migrate`: the schema in PostgreSQL, by hand.
 *
 * Owner: src/cli. Errors: texts on stderr; returns the exit status. Suspends: never from outside.
 * Tests: tests/integration/run-migrate */
#ifndef HF_APP_MIGRATE_COMMAND_H
#define HF_APP_MIGRATE_COMMAND_H

int migrate_run(int argc, char **argv);

#endif
