-- Consent, as the CloudEvents specification of webhooks has it: a webhook whose target is asked before
-- it is told anything, and for how many requests a minute (0: no rate is asked for); a source whose
-- inbox agrees when one of these origins asks (a JSON list; NULL: it agrees to none).

-- migrate:up
ALTER TABLE holdfast.webhooks
  ADD COLUMN handshake boolean NOT NULL DEFAULT false,
  ADD COLUMN rate bigint NOT NULL DEFAULT 0;
ALTER TABLE holdfast.inbox_sources ADD COLUMN origins text;

-- migrate:down
ALTER TABLE holdfast.webhooks DROP COLUMN handshake, DROP COLUMN rate;
ALTER TABLE holdfast.inbox_sources DROP COLUMN origins;
