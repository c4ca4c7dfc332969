-- Where a process hears datagrams of the others: "IP port secret". NULL: nowhere.
ALTER TABLE workers ADD COLUMN address TEXT;
