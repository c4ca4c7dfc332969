/* SPDX-License-Identifier: Apache-2.0 */
/* a2a_task.c - a run as a task: its state, what came of it, what it asks.
 *
 *   pending → submitted   running → working   error, timeout → failed   cancelled → canceled
 *   success → completed, or input-required while its questions are those of the thread
 *
 * What came of an older run is the last state that it made. */
#include "api/a2a_int.h"
#include "api/agent_views.h"
#include "store/checkpoints.h"

static enum api_a2a_state state_of(enum run_status status) {
    static const enum api_a2a_state states[] = {
        [RUN_PENDING] = A2A_SUBMITTED, [RUN_RUNNING] = A2A_WORKING,
        [RUN_ERROR] = A2A_FAILED,      [RUN_SUCCESS] = A2A_COMPLETED,
        [RUN_TIMEOUT] = A2A_FAILED,    [RUN_INTERRUPTED] = A2A_CANCELED};
    return states[status];
}

/* The run's last state; false: it made none. */
static int load_values(struct store *s, struct api_a2a_task *task, struct arena *a,
                       struct id *out_checkpoint, struct err *err) {
    struct checkpoint *list;
    size_t count;
    *out_checkpoint = ID_NIL;
    str filter =
        arena_printf(a, "{\"run_id\":\"" STR_FMT "\"}", STR_ARG(id_dashed(a, task->run_id)));
    int rc = checkpoint_list(s, task->thread_id, STR(""), ID_NIL, filter, 1, a, &list, &count, err);
    if (rc < 0 || count == 0)
        return rc;
    rc = checkpoint_load_values(s, &list[0], a, err);
    if (rc < 0)
        return rc;
    *out_checkpoint = list[0].id;
    return json_parse(a, checkpoint_values_json(a, &list[0]), &task->values, err);
}

/* Did a message begin it? */
static bool was_told(struct arena *a, str kwargs) {
    yyjson_val *root;
    return str_find(kwargs, STR("\"a2a\"")) >= 0 && json_parse(a, kwargs, &root, NULL) == 0 &&
           yyjson_is_true(json_get(root, "a2a"));
}

int api_a2a_task_load(struct store *s, const struct principal *who, struct id assistant_id,
                      struct api_a2a_task *task, struct arena *a, struct err *err) {
    struct run run;
    struct thread thread;
    struct id checkpoint;
    int rc = run_get(s, who, task->thread_id, task->run_id, a, &run, err);
    if (rc == 0 && !id_is_nil(assistant_id) && !id_eq(run.assistant_id, assistant_id))
        rc = err_set(err, ERR_NOT_FOUND, "Run not found");
    if (rc == 0)
        rc = thread_get(s, who, task->thread_id, a, &thread, err);
    if (rc < 0)
        return rc;
    task->state = state_of(run.status);
    task->at_us = run.updated_at;
    task->tells = was_told(a, run.kwargs);
    task->error = run.error.len ? rpc_run_error_text(a, run.error) : STR("The run failed");
    if (task->state < A2A_COMPLETED)
        return 0;
    rc = load_values(s, task, a, &checkpoint, err);
    if (rc == 0 && task->state == A2A_COMPLETED && id_eq(checkpoint, thread.checkpoint_id))
        task->interrupts = api_questions_of(a, &thread);
    if (task->interrupts)
        task->state = A2A_INPUT_REQUIRED;
    return rc;
}

void api_a2a_task_of_outcome(struct arena *a, const struct run_outcome *o,
                             struct api_a2a_task *task) {
    task->state = state_of(o->status);
    task->error = o->error.len ? rpc_run_error_text(a, o->error) : STR("The run failed");
    if (o->error.len && task->state == A2A_COMPLETED)
        task->state = A2A_FAILED;
    if (o->values.len && json_parse(a, o->values, &task->values, NULL) < 0)
        task->values = NULL;
    task->interrupts = json_get(task->values, "__interrupt__");
    if (task->interrupts && task->state == A2A_COMPLETED)
        task->state = A2A_INPUT_REQUIRED;
}
