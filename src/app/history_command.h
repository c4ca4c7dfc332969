/* SPDX-License-Identifier: Apache-2.0 */
/* history_command.h - `holdfast history`: append, read, verify and copy histories by hand.
 *
 * Memory: none left. Errors: a line on stderr and exit status 1; 2: it was called wrong.
 * Tests: tests/integration/run-history-command */
#ifndef HF_APP_HISTORY_COMMAND_H
#define HF_APP_HISTORY_COMMAND_H

int history_run(int argc, char **argv);

#endif
