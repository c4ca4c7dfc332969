// SPDX-License-Identifier: Apache-2.0
// sqlite.mjs - events into SQLite by better-sqlite3, for ./dev bench history.
//
// usage: node sqlite.mjs FILE ROWS_PER_TRANSACTION BYTES SECONDS
// Durable as ours: WAL, synchronous=FULL. A row holds what ours does; the indexes are those that
// ids which must not come twice and reading a session in order need. Prints one line of JSON.
// Modules lie in build/peers.
import { randomUUID } from "node:crypto";
import { createRequire } from "node:module";
import { performance } from "node:perf_hooks";

const require = createRequire(new URL("../../build/peers/", import.meta.url));
const Database = require("better-sqlite3");

const [file, ...numbers] = process.argv.slice(2);
const [rows, bytes, seconds] = numbers.map(Number);
const db = new Database(file);
db.pragma("journal_mode = WAL");
db.pragma("synchronous = FULL");
db.exec(`CREATE TABLE events (session TEXT NOT NULL, seq INTEGER NOT NULL, id TEXT NOT NULL,
  type TEXT NOT NULL, occurred_at INTEGER NOT NULL, source TEXT, payload TEXT NOT NULL);
  CREATE UNIQUE INDEX events_seq ON events (session, seq);
  CREATE UNIQUE INDEX events_id ON events (session, id)`);
const insert = db.prepare("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)");
const payload = JSON.stringify("x".repeat(bytes - 2));
const seqs = new Array(16).fill(0);
let count = 0;

const some = db.transaction((session) => {
  for (let i = 0; i < rows; i++)
    insert.run(`session ${session}`, ++seqs[session], randomUUID(), "tool.result", Date.now(),
      "bench", payload);
});

const start = performance.now();
const end = start + seconds * 1000;
for (let i = 0; performance.now() < end; i++) {
  some(i % seqs.length);
  count += rows;
}
console.log(JSON.stringify({ per_second: (count / (performance.now() - start)) * 1000 }));
db.close();
