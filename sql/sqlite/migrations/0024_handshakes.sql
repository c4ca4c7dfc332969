-- Consent, as the CloudEvents specification of webhooks has it: a webhook whose target is asked before
-- it is told anything, and for how many requests a minute (0: no rate is asked for); a source whose
-- inbox agrees when one of these origins asks (a JSON list; NULL: it agrees to none).
ALTER TABLE webhooks ADD COLUMN handshake INTEGER NOT NULL DEFAULT 0;
ALTER TABLE webhooks ADD COLUMN rate INTEGER NOT NULL DEFAULT 0;
ALTER TABLE inbox_sources ADD COLUMN origins TEXT;
