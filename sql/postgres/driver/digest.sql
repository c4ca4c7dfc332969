-- The rows of each table as SQLite holds them: its columns in its order, ids as 32 digits, times in
-- microseconds. For digests, by which the databases are compared.

-- name: digest_agent_insights
SELECT id, session_id, user_id, category, content, logs, first_at, last_at, model, created_at
FROM holdfast.agent_insights;

-- name: digest_agent_logs
SELECT id, session_id, user_id, level, category, content, tier, created_at, data, bytes, pending
FROM holdfast.agent_logs;
-- name: digest_accounts
SELECT id, user_id, provider_id, account_id, profile, created_at, updated_at FROM holdfast.accounts;

-- name: digest_assistant_versions
SELECT assistant_id, version, graph_id, name, description, config, context, metadata, created_at
FROM holdfast.assistant_versions;

-- name: digest_assistants
SELECT replace(id, '-', ''), coalesce(metadata ->> 'owner', ''), graph_id, name, description, config,
       context, metadata - 'owner', version, created_at, updated_at
FROM langgraph_server.assistants;

-- name: digest_checkpoint_lists
SELECT thread_id, list_id, start, count, items FROM holdfast.checkpoint_lists;

-- name: digest_checkpoint_values
SELECT thread_id, hash, value FROM holdfast.checkpoint_values;

-- name: digest_checkpoint_writes
SELECT thread_id, checkpoint_ns, checkpoint_id,
       coalesce(replace(holdfast.to_uuid(task_id)::text, '-', ''), task_id), idx, channel, type, value,
       task_path
FROM holdfast.checkpoint_writes;

-- name: digest_checkpoints
SELECT thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, run_id, step, source, channels,
       next, tasks, metadata, created_at, saved
FROM holdfast.checkpoints;

-- name: digest_cron_firings
SELECT cron_id, scheduled_at, run_id, error, decided_at FROM holdfast.cron_firings;

-- name: digest_crons
SELECT replace(c.id, '-', ''), coalesce(c.user_id, ''), replace(c.assistant_id, '-', ''),
       replace(c.thread_id, '-', ''), c.schedule, s.timezone, c.end_time, coalesce(s.enabled, true),
       coalesce(s.on_run_completed, 'delete'), c.payload, c.metadata, c.next_run_date, s.fired_at,
       c.created_at, c.updated_at
FROM langgraph_server.crons c
LEFT JOIN holdfast.cron_states s ON s.cron_id = holdfast.to_uuid(c.id);

-- name: digest_events
SELECT thread_id, seq, run_id, kind, at, data FROM holdfast.events;

-- name: digest_history_checkpoints
SELECT s.place, c.number, c.id, c.parent, c.label, c.seq, c.kind, c.digest, c.created_at, c.payload
FROM holdfast.history_checkpoints c
JOIN (SELECT number, row_number() OVER (ORDER BY number) AS place
      FROM holdfast.history_sessions) s ON s.number = c.session;

-- name: digest_history_consumers
SELECT s.place, c.name, c.acked_seq, c.updated_at
FROM holdfast.history_consumers c
JOIN (SELECT number, row_number() OVER (ORDER BY number) AS place
      FROM holdfast.history_sessions) s ON s.number = c.session;

-- name: digest_history_events
SELECT s.place << 32 | e.seq, s.place, e.id, e.type, e.occurred_at, e.stored_at, e.expires_at, e.source,
       e.trace_id, e.ttl_ms, e.headers, e.kind, e.digest, e.bytes, e.payload
FROM holdfast.history_events e
JOIN (SELECT number, row_number() OVER (ORDER BY number) AS place
      FROM holdfast.history_sessions) s ON s.number = e.session;

-- name: digest_history_retention
SELECT owner, age_us, count_max FROM holdfast.history_retention;

-- name: digest_history_sessions
SELECT row_number() OVER (ORDER BY number), key, owner, name, last_seq, low_seq, events, bytes,
       bytes_max, oldest_at, expires_at, checkpoints, latest, deleted, created_at, updated_at
FROM holdfast.history_sessions;

-- name: digest_inbox
SELECT id, source_id, owner, key, digest, event, status, thread_id, run_id, error, received_at,
       expires_at
FROM holdfast.inbox;

-- name: digest_inbox_sources
SELECT id, owner, name, scheme, header, key_header, secret, action, retention_us, version,
       created_at, updated_at, origins
FROM holdfast.inbox_sources;

-- name: digest_kv
SELECT owner, key, convert_from(value, 'UTF8'), version, updated_at FROM holdfast.kv;

-- name: digest_leaders
SELECT name, worker, expires_at FROM holdfast.leaders;

-- name: digest_blobs
SELECT sha256, loose_at, doomed_at FROM holdfast.blobs;

-- name: digest_logins
SELECT digest, provider_id, return_to, expires_at FROM holdfast.logins;

-- name: digest_plan_artifacts
SELECT plan_id, position, name, id, owner, type, sha256, bytes, created_at FROM holdfast.plan_artifacts;

-- name: digest_plan_dead
SELECT id, plan_id, position, owner, project_id, tool, reason, died_at FROM holdfast.plan_dead;

-- name: digest_plan_gates
SELECT id, plan_id, position, number, owner, spec, status, version, evidence, actor, reason, created_at,
       expires_at, decided_at
FROM holdfast.plan_gates;

-- name: digest_plan_steps
SELECT plan_id, position, name, tool, inputs, spec, key, status, attempt, wish, output, error, started_at,
       ended_at, losses, spent
FROM holdfast.plan_steps;

-- name: digest_plan_templates
SELECT id, owner, name, description, parameters, plan, version, created_at, updated_at
FROM holdfast.plan_templates;

-- name: digest_plan_work
SELECT plan_id, position, owner, queue, rank, status, token, attempt, lost, timeout_us, progress, worker,
       ready_at, claimed_at, lease_until, deadline_at, done_token, done_as, outcome, output, error
FROM holdfast.plan_work;

-- name: digest_plans
SELECT id, thread_id, run_id, owner, project_id, goal, hash, metadata, concurrency, status, version,
       step_count, fault_count, succeeded, failed, cancelled, timed_out, error, created_at, started_at,
       ended_at, updated_at, attempt, rerun_of
FROM holdfast.plans;

-- name: digest_preference_overrides
SELECT thread_id, user_id, key, value, expires_at FROM holdfast.preference_overrides;

-- name: digest_preferences
SELECT id, user_id, key, value, mutable, updated_at FROM holdfast.preferences;

-- name: digest_projects
SELECT id, owner, name, description, metadata, settings, version, created_at, updated_at
FROM holdfast.projects;

-- name: digest_push_configs
SELECT run_id, id, thread_id, owner, version, url, token, scheme, credentials, created_at
FROM holdfast.push_configs;

-- name: digest_runs
SELECT replace(r.id, '-', ''), replace(r.thread_id, '-', ''), replace(r.assistant_id, '-', ''),
       r.status, r.metadata - 'owner', r.kwargs, r.multitask_strategy, coalesce(s.attempt, 0),
       coalesce(s.first_seq, 0), s.cancel_reason, s.error, r.created_at, r.updated_at, s.worker,
       s.cancel_action
FROM langgraph_server.runs r
LEFT JOIN holdfast.run_states s ON s.run_id = holdfast.to_uuid(r.id);

-- name: digest_saved_runs
SELECT run, thread_id FROM holdfast.saved_runs;

-- name: digest_sessions
SELECT id, user_id, digest, scope, account_id, label, address, user_agent, created_at, last_used_at,
       expires_at, ends_at
FROM holdfast.sessions;

-- name: digest_settings
SELECT owner, key, value, updated_at FROM holdfast.settings;

-- name: digest_store_items
SELECT CASE i.owner_id WHEN 'anonymous' THEN '' ELSE i.owner_id END, holdfast.labels(i.namespace),
       i.key, i.value, t.ttl_minutes, t.expires_at, i.created_at, i.updated_at
FROM langgraph_server.store_items i
LEFT JOIN holdfast.item_ttls t
  ON t.owner = i.owner_id AND t.namespace = holdfast.labels(i.namespace) AND t.key = i.key;

-- name: digest_thread_conversations
SELECT thread_id, title, summary, summary_upto, summary_at FROM holdfast.thread_conversations;

-- name: digest_threads
SELECT replace(t.id, '-', ''), coalesce(t.metadata ->> 'owner', ''), t.status, t.metadata - 'owner',
       t.config, t.interrupts, h.error, coalesce(h.seq, 0), h.checkpoint_id, t.created_at,
       t.updated_at, coalesce(h.state_updated_at, t.updated_at), h.run_id, h.attempt, h.worker,
       h.ttl_strategy, h.ttl_us, h.ttl_check_at
FROM langgraph_server.threads t
LEFT JOIN holdfast.thread_heads h ON h.thread_id = holdfast.to_uuid(t.id);

-- name: digest_workers
SELECT id, host, pid, started_at, seen_at, expires_at, address FROM holdfast.workers;
