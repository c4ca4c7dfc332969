-- Sessions, accounts, logins that are under way. src/store/sessions.c, accounts.c, logins.c.

-- shared: session_columns
s.id, s.user_id, s.scope, s.account_id, s.label, s.address, s.user_agent, s.created_at,
       s.last_used_at, s.expires_at, s.ends_at

-- shared: account_columns
a.id, a.user_id, a.provider_id, a.account_id, a.profile, a.created_at, a.updated_at

-- name: session_insert
-- Unless the owner has $11. $1 id, $2 owner, $3 digest, $4 scope, $5 label, $6 address, $7 user agent,
-- $8 now, $9 expires at, $10 ends at
INSERT INTO holdfast.sessions (id, user_id, digest, scope, label, address, user_agent, created_at,
  last_used_at, expires_at, ends_at)
SELECT $1::uuid, $2, $3::bytea, $4::smallint, $5, $6, $7, $8::timestamptz, $8::timestamptz,
       $9::timestamptz, $10::timestamptz
WHERE (SELECT count(*) FROM holdfast.sessions s WHERE s.user_id = $2 AND s.expires_at > $8) < $11;

-- name: session_insert_of_account
-- For whom the account is. $1 id, $2 provider, $3 account there, $4 digest, $5 scope, $6 address,
-- $7 user agent, $8 now, $9 expires at, $10 ends at
INSERT INTO holdfast.sessions AS s (id, user_id, digest, scope, account_id, address, user_agent,
  created_at, last_used_at, expires_at, ends_at)
SELECT $1::uuid, a.user_id, $4::bytea, $5::smallint, a.id, $6, $7, $8::timestamptz,
       $8::timestamptz, $9::timestamptz, $10::timestamptz
FROM holdfast.accounts a WHERE a.provider_id = $2 AND a.account_id = $3
RETURNING @session_columns;

-- name: session_make_room
-- Of an account's user: those used longest ago go until $3 are left. $1 provider, $2 account there
DELETE FROM holdfast.sessions WHERE id = ANY (ARRAY(
  SELECT s.id FROM holdfast.sessions s
  WHERE s.user_id = (SELECT a.user_id FROM holdfast.accounts a
                     WHERE a.provider_id = $1 AND a.account_id = $2)
  ORDER BY s.last_used_at DESC, s.id DESC OFFSET $3));

-- name: session_find
-- point
-- together: bytea timestamptz
-- $1 digest, $2 now
SELECT s.id, s.user_id, s.scope, s.last_used_at, s.expires_at, s.ends_at
FROM holdfast.sessions s WHERE s.digest = $1 AND s.expires_at > $2;

-- name: session_get
-- $1 id, $2 and $3 bounds of the owner
SELECT @session_columns
FROM holdfast.sessions s WHERE s.id = $1 AND s.user_id >= $2 AND s.user_id <= $3;

-- name: session_list
-- Newest first, in the order of the owner's index: by ids alone it would be looked for among those of
-- all, when somebody has many. $1 owner, $2 before this id, $3 now, $4 limit
SELECT @session_columns
FROM holdfast.sessions s
WHERE (s.user_id, s.id) < ($1, $2) AND s.user_id >= $1 AND s.expires_at > $3
ORDER BY s.user_id DESC, s.id DESC LIMIT $4;

-- name: session_touch
-- Those that were used. Who is busy with a row has it. $1 [id], $2 now, $3 expires at
UPDATE holdfast.sessions SET last_used_at = $2, expires_at = least($3, ends_at)
WHERE ctid = ANY (ARRAY(
  SELECT s.ctid FROM holdfast.sessions s
  WHERE s.id = ANY (ARRAY(SELECT w::uuid FROM jsonb_array_elements_text($1::jsonb) w))
    AND s.expires_at > $2 AND s.last_used_at < $2
  FOR NO KEY UPDATE SKIP LOCKED));

-- name: session_delete
-- $1 id, $2 and $3 bounds of the owner
DELETE FROM holdfast.sessions WHERE id = $1 AND user_id >= $2 AND user_id <= $3;

-- name: session_delete_all
-- $1 owner
DELETE FROM holdfast.sessions WHERE user_id = $1;

-- name: session_delete_of_account
-- $1 account, $2 and $3 bounds of the owner
DELETE FROM holdfast.sessions WHERE account_id = $1 AND user_id >= $2 AND user_id <= $3;

-- name: session_sweep
-- $1 now, $2 limit
DELETE FROM holdfast.sessions
WHERE ctid = ANY (ARRAY(SELECT s.ctid FROM holdfast.sessions s WHERE s.expires_at <= $1
                        ORDER BY s.expires_at LIMIT $2 FOR UPDATE SKIP LOCKED));

-- name: account_put
-- Whose it is, is said by the first one. $1 id, $2 owner, $3 provider, $4 account there, $5 profile,
-- $6 now
INSERT INTO holdfast.accounts AS a (id, user_id, provider_id, account_id, profile, created_at,
  updated_at)
VALUES ($1, $2, $3, $4, $5, $6::timestamptz, $6::timestamptz)
ON CONFLICT (provider_id, account_id) DO UPDATE SET
  profile = excluded.profile, updated_at = excluded.updated_at
RETURNING @account_columns;

-- name: account_list
-- Newest first, as sessions. $1 owner, $2 before this id, $3 limit
SELECT @account_columns
FROM holdfast.accounts a WHERE (a.user_id, a.id) < ($1, $2) AND a.user_id >= $1
ORDER BY a.user_id DESC, a.id DESC LIMIT $3;

-- name: account_delete
-- $1 id, $2 and $3 bounds of the owner
DELETE FROM holdfast.accounts WHERE id = $1 AND user_id >= $2 AND user_id <= $3;

-- name: login_put
-- Unless $5 are under way. $1 digest, $2 provider, $3 return to, $4 expires at, $6 now
INSERT INTO holdfast.logins (digest, provider_id, return_to, expires_at)
SELECT $1::bytea, $2, $3, $4::timestamptz
WHERE (SELECT count(*) FROM (SELECT 1 FROM holdfast.logins o WHERE o.expires_at > $6
                             ORDER BY o.expires_at LIMIT $5) l) < $5;

-- name: login_take
-- Once. $1 digest, $2 provider, $3 now
DELETE FROM holdfast.logins WHERE digest = $1 AND provider_id = $2 AND expires_at > $3
RETURNING return_to;

-- name: login_sweep
-- $1 now, $2 limit
DELETE FROM holdfast.logins
WHERE ctid = ANY (ARRAY(SELECT l.ctid FROM holdfast.logins l WHERE l.expires_at <= $1
                        ORDER BY l.expires_at LIMIT $2 FOR UPDATE SKIP LOCKED));
