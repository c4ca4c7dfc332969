-- Sessions, accounts, logins that are under way. src/store/sessions.c, accounts.c, logins.c.

-- shared: session_columns
id, user_id, scope, account_id, label, address, user_agent, created_at, last_used_at, expires_at,
       ends_at

-- shared: account_columns
id, user_id, provider_id, account_id, profile, created_at, updated_at

-- name: session_insert
-- Unless the owner has $11. $1 id, $2 owner, $3 digest, $4 scope, $5 label, $6 address, $7 user agent,
-- $8 now, $9 expires at, $10 ends at
INSERT INTO sessions (id, user_id, digest, scope, label, address, user_agent, created_at,
  last_used_at, expires_at, ends_at)
SELECT $1, $2, $3, $4, $5, $6, $7, $8, $8, $9, $10
WHERE (SELECT count(*) FROM sessions s WHERE s.user_id = $2 AND s.expires_at > $8) < $11;

-- name: session_insert_of_account
-- For whom the account is. $1 id, $2 provider, $3 account there, $4 digest, $5 scope, $6 address,
-- $7 user agent, $8 now, $9 expires at, $10 ends at
INSERT INTO sessions (id, user_id, digest, scope, account_id, address, user_agent, created_at,
  last_used_at, expires_at, ends_at)
SELECT $1, a.user_id, $4, $5, a.id, $6, $7, $8, $8, $9, $10
FROM accounts a WHERE a.provider_id = $2 AND a.account_id = $3
RETURNING @session_columns;

-- name: session_make_room
-- Of an account's user: those used longest ago go until $3 are left. $1 provider, $2 account there
DELETE FROM sessions WHERE id IN (
  SELECT s.id FROM sessions s
  WHERE s.user_id = (SELECT a.user_id FROM accounts a
                     WHERE a.provider_id = $1 AND a.account_id = $2)
  ORDER BY s.last_used_at DESC, s.id DESC LIMIT -1 OFFSET $3);

-- name: session_find
-- point
-- $1 digest, $2 now
SELECT id, user_id, scope, last_used_at, expires_at, ends_at
FROM sessions WHERE digest = $1 AND expires_at > $2;

-- name: session_get
-- $1 id, $2 and $3 bounds of the owner
SELECT @session_columns FROM sessions WHERE id = $1 AND user_id >= $2 AND user_id <= $3;

-- name: session_list
-- Newest first. $1 owner, $2 before this id, $3 now, $4 limit
SELECT @session_columns
FROM sessions WHERE user_id = $1 AND id < $2 AND expires_at > $3 ORDER BY id DESC LIMIT $4;

-- name: session_touch
-- Those that were used. $1 [id], $2 now, $3 expires at
UPDATE sessions SET last_used_at = $2, expires_at = min($3, ends_at)
WHERE id IN (SELECT w.value FROM json_each($1) w) AND expires_at > $2 AND last_used_at < $2;

-- name: session_delete
-- $1 id, $2 and $3 bounds of the owner
DELETE FROM sessions WHERE id = $1 AND user_id >= $2 AND user_id <= $3;

-- name: session_delete_all
-- $1 owner
DELETE FROM sessions WHERE user_id = $1;

-- name: session_delete_of_account
-- $1 account, $2 and $3 bounds of the owner
DELETE FROM sessions WHERE account_id = $1 AND user_id >= $2 AND user_id <= $3;

-- name: session_sweep
-- $1 now, $2 limit
DELETE FROM sessions
WHERE rowid IN (SELECT s.rowid FROM sessions s WHERE s.expires_at <= $1
                ORDER BY s.expires_at LIMIT $2);

-- name: account_put
-- Whose it is, is said by the first one. $1 id, $2 owner, $3 provider, $4 account there, $5 profile,
-- $6 now
INSERT INTO accounts (id, user_id, provider_id, account_id, profile, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $6)
ON CONFLICT (provider_id, account_id) DO UPDATE SET
  profile = excluded.profile, updated_at = excluded.updated_at
RETURNING @account_columns;

-- name: account_list
-- Newest first. $1 owner, $2 before this id, $3 limit
SELECT @account_columns
FROM accounts WHERE user_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3;

-- name: account_delete
-- $1 id, $2 and $3 bounds of the owner
DELETE FROM accounts WHERE id = $1 AND user_id >= $2 AND user_id <= $3;

-- name: login_put
-- Unless $5 are under way. $1 digest, $2 provider, $3 return to, $4 expires at, $6 now
INSERT INTO logins (digest, provider_id, return_to, expires_at)
SELECT $1, $2, $3, $4
WHERE (SELECT count(*) FROM (SELECT 1 FROM logins o WHERE o.expires_at > $6
                             ORDER BY o.expires_at LIMIT $5) l) < $5;

-- name: login_take
-- Once. $1 digest, $2 provider, $3 now
DELETE FROM logins WHERE digest = $1 AND provider_id = $2 AND expires_at > $3
RETURNING return_to;

-- name: login_sweep
-- $1 now, $2 limit
DELETE FROM logins
WHERE rowid IN (SELECT l.rowid FROM logins l WHERE l.expires_at <= $1
                ORDER BY l.expires_at LIMIT $2);
