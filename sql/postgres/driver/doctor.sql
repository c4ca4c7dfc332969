-- What `holdfast doctor` asks. Each row is a finding: level (ok, info, warn, ill), what, detail.

-- name: doctor_server
-- $1 connections that all processes together may open
SELECT CASE WHEN current_setting('server_version_num')::int < 130000 THEN 'ill' ELSE 'ok' END,
       'server', 'PostgreSQL ' || current_setting('server_version') || ', database '
       || current_database() || ', ' || pg_size_pretty(pg_database_size(current_database()))
UNION ALL
SELECT CASE WHEN $1::int8 > free THEN 'ill' WHEN $1::int8 + used > free THEN 'warn' ELSE 'ok' END,
       'connections', format('the pools may open %s, the server takes %s, %s are open now', $1::int8,
                             free, used)
FROM (SELECT current_setting('max_connections')::int8
             - current_setting('superuser_reserved_connections')::int8 AS free,
             (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS used) c
UNION ALL
SELECT CASE WHEN getdatabaseencoding() = 'UTF8' THEN 'ok' ELSE 'ill' END, 'encoding',
       getdatabaseencoding()
UNION ALL
SELECT CASE WHEN s.setting = w.wanted THEN 'ok' ELSE w.level END, s.name,
       s.setting || CASE WHEN s.setting = w.wanted THEN '' ELSE ': ' || w.why END
FROM (VALUES ('fsync', 'on', 'ill', 'a crash of the machine can destroy the database'),
             ('full_page_writes', 'on', 'ill', 'a crash of the machine can destroy the database'),
             ('synchronous_commit', 'on', 'warn', 'an answered write may be lost in a crash'),
             ('autovacuum', 'on', 'ill', 'dead rows are never removed'),
             ('track_counts', 'on', 'ill', 'autovacuum and this report need it'))
     AS w(name, wanted, level, why)
JOIN pg_settings s ON s.name = w.name
UNION ALL
SELECT 'info', name, setting || coalesce(' ' || unit, '') FROM pg_settings
WHERE name IN ('shared_buffers', 'work_mem', 'random_page_cost', 'max_wal_size', 'plan_cache_mode');

-- name: doctor_components
-- Name, installed, wanted, what updates it.
SELECT 'PostgreSQL', current_setting('server_version_num')::int / 10000 || '.'
                     || current_setting('server_version_num')::int % 10000, '13.0', ''
UNION ALL
SELECT 'pgvector', e.installed_version, e.default_version,
       'psql "$DATABASE_URL" -c ''ALTER EXTENSION vector UPDATE'''
FROM pg_available_extensions e WHERE e.name = 'vector' AND e.installed_version IS NOT NULL;

-- name: doctor_activity
SELECT CASE WHEN count(*) = 0 THEN 'ok' ELSE 'warn' END, 'transactions open for more than 5 minutes',
       count(*) || coalesce(': process ' || string_agg(pid::text, ', '), '')
FROM pg_stat_activity
WHERE xact_start < clock_timestamp() - interval '5 minutes' AND backend_type = 'client backend'
UNION ALL
SELECT CASE WHEN count(*) = 0 THEN 'ok' ELSE 'warn' END, 'sessions that wait for a lock', count(*)::text
FROM pg_stat_activity WHERE wait_event_type = 'Lock';

-- name: doctor_indexes
-- $1 schema of the checkpoints
SELECT CASE WHEN s.idx_scan < 1000 AND NOT i.indisunique AND t.n_live_tup > 100000 THEN 'warn'
       ELSE 'info' END,
       s.schemaname || '.' || s.indexrelname,
       format('%s scans, %s tuples read, %s%s', s.idx_scan, s.idx_tup_read,
              pg_size_pretty(pg_relation_size(s.indexrelid)),
              CASE WHEN s.idx_scan < 1000 AND NOT i.indisunique AND t.n_live_tup > 100000
              THEN ': costs writes and is hardly read' ELSE '' END)
FROM pg_stat_user_indexes s
JOIN pg_index i ON i.indexrelid = s.indexrelid
JOIN pg_stat_user_tables t ON t.relid = s.relid
WHERE s.schemaname IN ('holdfast', 'langgraph_server', $1)
ORDER BY s.idx_scan DESC, 2;

-- name: doctor_sizes
-- $1 schema of the checkpoints
SELECT 'info', t.schemaname || '.' || t.relname,
       format('%s rows, table %s, indexes %s', t.n_live_tup, pg_size_pretty(pg_table_size(t.relid)),
              pg_size_pretty(pg_indexes_size(t.relid)))
FROM pg_stat_user_tables t
WHERE t.schemaname IN ('holdfast', 'langgraph_server', $1) AND pg_total_relation_size(t.relid) > 1000000
UNION ALL
SELECT 'info', 'all tables', format('%s, indexes %s', pg_size_pretty(sum(pg_table_size(t.relid))),
                                    pg_size_pretty(sum(pg_indexes_size(t.relid))))
FROM pg_stat_user_tables t WHERE t.schemaname IN ('holdfast', 'langgraph_server', $1);

-- name: doctor_dead_rows
-- $1 schema of the checkpoints
SELECT CASE WHEN t.n_dead_tup > 10000 AND t.n_dead_tup > 0.3 * t.n_live_tup THEN 'warn' ELSE 'ok' END,
       t.schemaname || '.' || t.relname,
       format('%s dead of %s rows, cleaned %s', t.n_dead_tup, t.n_live_tup + t.n_dead_tup,
              coalesce(to_char(greatest(t.last_autovacuum, t.last_vacuum), 'YYYY-MM-DD HH24:MI'),
                       'never'))
FROM pg_stat_user_tables t
WHERE t.schemaname IN ('holdfast', 'langgraph_server', $1) AND t.n_dead_tup > 1000
ORDER BY t.n_dead_tup DESC;

-- name: doctor_bloat
-- An estimate by the statistics: pages that the rows would fill against those that there are.
-- $1 schema of the checkpoints
SELECT CASE WHEN b.waste > 100000000 AND b.waste > 0.5 * b.bytes THEN 'warn' ELSE 'info' END,
       b.name, format('about %s of %s unused', pg_size_pretty(b.waste::int8), pg_size_pretty(b.bytes))
FROM (SELECT n.nspname || '.' || c.relname AS name, c.relpages::int8 * 8192 AS bytes,
             greatest(0, c.relpages::int8 * 8192
                         - c.reltuples * (28 + (SELECT coalesce(sum(s.avg_width), 0) FROM pg_stats s
                                                WHERE s.schemaname = n.nspname
                                                  AND s.tablename = c.relname)) * 1.1) AS waste
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind = 'r' AND n.nspname IN ('holdfast', 'langgraph_server', $1)
        AND c.reltuples > 0 AND c.relpages > 1000) b
WHERE b.waste > 0.2 * b.bytes
ORDER BY b.waste DESC;

-- name: doctor_orphans
SELECT CASE WHEN count(*) = 0 THEN 'ok' ELSE 'warn' END, 'heads without a thread', count(*)::text
FROM holdfast.thread_heads h
WHERE NOT EXISTS (SELECT 1 FROM langgraph_server.threads t
                  WHERE t.id = ANY (holdfast.spellings(h.thread_id)))
UNION ALL
SELECT CASE WHEN count(*) = 0 THEN 'ok' ELSE 'warn' END, 'states of runs that are gone', count(*)::text
FROM holdfast.run_states s
WHERE NOT EXISTS (SELECT 1 FROM langgraph_server.runs r
                  WHERE r.id = ANY (holdfast.spellings(s.run_id)))
UNION ALL
SELECT CASE WHEN count(*) = 0 THEN 'ok' ELSE 'warn' END, 'threads that are busy without a live run',
       count(*)::text
FROM langgraph_server.threads t
WHERE t.status = 'busy'
  AND NOT EXISTS (SELECT 1 FROM holdfast.run_states s
                  WHERE s.thread_id = holdfast.to_uuid(t.id) AND s.live)
UNION ALL
SELECT CASE WHEN count(*) = 0 THEN 'ok' ELSE 'warn' END, 'live runs without a living worker',
       count(*)::text
FROM holdfast.run_states s
WHERE s.live AND NOT EXISTS (SELECT 1 FROM holdfast.workers w
                             WHERE w.id = s.worker AND w.expires_at > clock_timestamp())
UNION ALL
SELECT 'info', 'workers alive', count(*)::text
FROM holdfast.workers WHERE expires_at > clock_timestamp();

-- name: doctor_has_statements
SELECT to_regclass('pg_stat_statements') IS NOT NULL;

-- name: doctor_slow
SELECT 'warn', 'mean ' || round(mean_exec_time::numeric) || ' ms, ' || calls || ' calls',
       left(regexp_replace(query, '\s+', ' ', 'g'), 100)
FROM pg_stat_statements
WHERE mean_exec_time > 100 AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
ORDER BY mean_exec_time DESC LIMIT 10;
