-- Runs of one assistant, as tasks of A2A lists them: of an owner's threads, or of one of them.

-- shared: run_tasks
FROM (SELECT id, status FROM threads WHERE owner = $1 AND @scope
      ORDER BY updated_at DESC LIMIT 10000) t
JOIN runs r ON r.thread_id = t.id
WHERE r.assistant_id = $2 AND hf_in(r.status, $4) AND r.updated_at >= $6
  AND ($5 = '' OR ($5 = 'yes') = (t.status = 'interrupted' AND NOT EXISTS (
         SELECT 1 FROM runs n
         WHERE n.thread_id = t.id AND (n.created_at, n.id) > (r.created_at, r.id))))

-- name: run_tasks
-- vary: scope = any:$3=$3 one:id=$3
-- $1 owner, $2 assistant, $3 thread, $4 statuses, $5 does it ask? yes, no or '', $6 changed since,
-- $7 and $8 time and id of the one before, $9 limit
SELECT r.id, r.thread_id, r.assistant_id, r.status, r.metadata, r.kwargs, r.multitask_strategy,
       r.attempt, r.first_seq, r.cancel_reason, r.error, r.created_at, r.updated_at
@run_tasks AND (r.updated_at, r.id) < ($7, $8)
ORDER BY r.updated_at DESC, r.id DESC LIMIT $9;

-- name: run_task_count
-- vary: scope = any:$3=$3 one:id=$3
-- $1 to $6 as above
SELECT count(*) @run_tasks;
