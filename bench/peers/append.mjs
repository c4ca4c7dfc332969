// SPDX-License-Identifier: Apache-2.0
// append.mjs - the plain way to keep events in files, for ./dev bench history: for each event a
// mkdir -p of its session's folder and an append of its line. Nothing is synced.
//
// usage: node append.mjs FOLDER WRITERS BYTES SECONDS
// Prints one line of JSON.
import { randomUUID } from "node:crypto";
import { appendFile, mkdir } from "node:fs/promises";
import { performance } from "node:perf_hooks";

const [folder, ...numbers] = process.argv.slice(2);
const [writers, bytes, seconds] = numbers.map(Number);
const payload = "x".repeat(bytes - 2);
const start = performance.now();
const end = start + seconds * 1000;
let count = 0;

async function write(session) {
  while (performance.now() < end) {
    const line = JSON.stringify({ id: randomUUID(), type: "tool.result", source: "bench",
      occurredAt: new Date().toISOString(), sessionId: `session ${session}`, payload });
    await mkdir(`${folder}/${session}`, { recursive: true });
    await appendFile(`${folder}/${session}/events.jsonl`, line + "\n");
    count++;
  }
}

await Promise.all(Array.from({ length: writers }, (_, session) => write(session)));
console.log(JSON.stringify({ per_second: (count / (performance.now() - start)) * 1000 }));
