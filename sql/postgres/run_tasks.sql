-- Runs of one assistant, as tasks of A2A lists them: of an owner's threads, or of one of them.

-- shared: run_tasks
FROM (SELECT o.id, o.status FROM langgraph_server.threads o
      WHERE coalesce(o.metadata ->> 'owner', '') COLLATE "C" = $1 AND @scope
      ORDER BY o.updated_at DESC LIMIT 10000) t
JOIN langgraph_server.runs r ON r.thread_id = t.id
LEFT JOIN holdfast.run_states s ON s.run_id = holdfast.to_uuid(r.id)
WHERE r.assistant_id IN ($2::uuid::text, replace($2::uuid::text, '-', ''))
  AND ($4 = '' OR r.status = ANY (string_to_array($4, ','))) AND r.updated_at >= $6
  AND holdfast.to_uuid(r.id) IS NOT NULL AND holdfast.to_uuid(t.id) IS NOT NULL
  AND ($5 = '' OR ($5 = 'yes') = (t.status = 'interrupted' AND NOT EXISTS (
         SELECT 1 FROM langgraph_server.runs n
         WHERE n.thread_id = t.id AND (n.created_at, n.id) > (r.created_at, r.id))))

-- name: run_tasks
-- vary: scope = any:$3::uuid=$3::uuid one:o.id=ANY(holdfast.spellings($3::uuid))
-- $1 owner, $2 assistant, $3 thread, $4 statuses, $5 does it ask? yes, no or '', $6 changed since,
-- $7 and $8 time and id of the one before, $9 limit
SELECT r.id, r.thread_id, r.assistant_id, r.status, r.metadata - 'owner', r.kwargs,
       r.multitask_strategy, coalesce(s.attempt, 0), coalesce(s.first_seq, 0), s.cancel_reason,
       s.error, r.created_at, r.updated_at
@run_tasks AND (r.updated_at, holdfast.to_uuid(r.id)) < ($7, $8)
ORDER BY r.updated_at DESC, holdfast.to_uuid(r.id) DESC LIMIT $9;

-- name: run_task_count
-- vary: scope = any:$3::uuid=$3::uuid one:o.id=ANY(holdfast.spellings($3::uuid))
-- $1 to $6 as above
SELECT count(*) @run_tasks;
