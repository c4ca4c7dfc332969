// SPDX-License-Identifier: Apache-2.0
// graphile.mjs - what graphile-worker does on the same PostgreSQL, for ./dev bench plans.
//
// usage: node graphile.mjs URL add COUNT TIMES   adds COUNT jobs in one call, TIMES times
//        node graphile.mjs URL work COUNT        works off COUNT jobs that do nothing
// Prints one line of JSON with milliseconds. Tuned as its own benchmark is: a local queue, and
// completions in batches. Modules lie in build/peers.
import { createRequire } from "node:module";
import { performance } from "node:perf_hooks";

const require = createRequire(new URL("../../build/peers/", import.meta.url));
const { makeWorkerUtils, run, Logger } = require("graphile-worker");

const [url, mode, ...numbers] = process.argv.slice(2);
const [count, times] = numbers.map(Number);
const logger = new Logger(() => () => {});
const utils = await makeWorkerUtils({ connectionString: url, logger });
await utils.migrate();
const jobs = Array.from({ length: count }, (_, n) => ({
  identifier: "noop",
  payload: { name: `step ${n}`, inputs: { n } },
}));

if (mode === "add") {
  const ms = [];
  for (let i = 0; i < times + 5; i++) {
    const start = performance.now();
    await utils.addJobs(jobs);
    if (i >= 5) ms.push(performance.now() - start); // the first ones prepare its statements
  }
  ms.sort((a, b) => a - b);
  const at = (part) => ms[Math.floor(ms.length * part)];
  console.log(JSON.stringify({ p50_ms: at(0.5), p95_ms: at(0.95) }));
} else {
  await utils.addJobs(jobs);
  let done = 0;
  const start = performance.now();
  const all = new Promise((resolve) => {
    globalThis.onJob = () => {
      if (++done === count) resolve();
    };
  });
  const runner = await run({
    taskList: { noop: () => globalThis.onJob() },
    preset: {
      worker: {
        connectionString: url,
        logger,
        concurrentJobs: 24,
        maxPoolSize: 10,
        localQueue: { size: 500 },
        completeJobBatchDelay: 0,
        failJobBatchDelay: 0,
      },
    },
  });
  await all;
  await runner.stop(); // the last completions are written
  console.log(JSON.stringify({ ms: performance.now() - start }));
}
await utils.release();
