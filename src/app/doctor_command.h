/* SPDX-License-Identifier: Apache-2.0 */
/* doctor_command.h - `holdfast doctor`. Owner: src/cli. Errors: printed. Suspends: never from
 * outside. Tests: tests/integration/run-doctor */
#ifndef HF_APP_DOCTOR_COMMAND_H
#define HF_APP_DOCTOR_COMMAND_H

/* Returns the exit status: 0 well, 1 it could not be asked, 2 usage, 4 something is ill. */
int doctor_run(int argc, char **argv);
/* `holdfast doctor --versions`: 0 all as wanted, 1 the database cannot be asked, 2 usage,
 * 3 something is older. */
int doctor_versions(int argc, char **argv);

#endif
