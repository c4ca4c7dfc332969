-- Where a process hears datagrams of the others: "IP port secret". NULL: nowhere.

-- migrate:up
ALTER TABLE holdfast.workers ADD COLUMN address text;

-- migrate:down
ALTER TABLE holdfast.workers DROP COLUMN IF EXISTS address;
