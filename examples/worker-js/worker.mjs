#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// A worker: does steps of plans whose tool is `worker:QUEUE`. Needs Node 18 or newer, no packages.
//
//     node worker.mjs http://127.0.0.1:2024 thumbnails
//
// The server keeps a lease for each step that it hands out. While a step is under way its lease is
// extended; when the server says that the step was cancelled, or that the lease is somebody else's
// by now, the step's signal is aborted and nothing more is sent for it. Whatever happens to this
// process, the server queues the step again when its lease is over: under the same key, so do the
// work once for a key. SIGTERM ends the worker when what it does is done.
import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";

const LEASE = Number(process.env.WORKER_LEASE ?? 30); // seconds
const WAIT = 20; // seconds that a claim waits for something to do
const AT_ONCE = 4; // steps
const PAUSE_MS = 1000; // after trouble

/** The server does not want this; asking again is of no use. */
class Refused extends Error {}

/** Wrong inputs do not become right by trying again. */
class WrongInputs extends Error {}

const [, , address, queue] = process.argv;
if (!address || !queue) {
  console.error("usage: worker.mjs URL QUEUE");
  process.exit(2);
}
const url = address.replace(/\/+$/, "");
const headers = { "Content-Type": "application/json" };
if (process.env.WORKER_TOKEN) headers.Authorization = `Bearer ${process.env.WORKER_TOKEN}`;

async function once(path, body, signal) {
  const answer = await fetch(url + path, {
    method: "POST", headers, signal, body: JSON.stringify(body),
  });
  if (answer.ok) return answer.json();
  const text = `${answer.status} ${await answer.text()}`;
  if ([408, 429].includes(answer.status) || answer.status >= 500) throw new Error(text);
  throw new Refused(text);
}

/** Until there is an answer: results may be told twice. */
async function ask(path, body) {
  for (;;) {
    try {
      return await once(path, body);
    } catch (error) {
      if (error instanceof Refused) throw error;
      console.error(`${path}: ${error.message}; again in ${PAUSE_MS} ms`);
      await sleep(PAUSE_MS);
    }
  }
}

const steps = new Set();
const ending = new AbortController();

async function run(step) {
  const { lease, work } = step;
  let verb = "complete";
  let said;
  try {
    said = { output: await handle(work, step.stop.signal, (message, data) =>
      once("/plans/work/events", { work: [{ ...lease, events: [{ message, data }] }] })
        .catch((error) => console.error(`progress: ${error.message}`))) };
  } catch (error) {
    verb = "fail";
    said = { error: (error.message || error.name).slice(0, 500),
             retryable: !(error instanceof WrongInputs) };
  }
  if (!step.stop.signal.aborted)
    await ask(`/plans/work/${verb}`, { work: [{ ...lease, ...said }] })
      .catch((error) => console.error(`${work.name}: ${error.message}`));
  steps.delete(step);
}

async function heartbeat() {
  const held = [...steps];
  if (held.length === 0) return;
  try {
    const told = await once("/plans/work/heartbeat",
                            { lease: LEASE, work: held.map((s) => s.lease) });
    told.work.forEach((answer, i) => {
      if (answer.status === "leased") return;
      console.error(`${held[i].work.name}: ${answer.status}`);
      held[i].stop.abort();
    });
  } catch (error) {
    console.error(`heartbeat: ${error.message}`);
  }
}

async function serve() {
  const worker = `${hostname()}-${process.pid}`;
  console.log(`worker ${worker} waits for steps of queue ${queue}`);
  while (!ending.signal.aborted) {
    if (steps.size >= AT_ONCE) {
      await Promise.race([...steps].map((s) => s.done));
      continue;
    }
    try {
      const { work } = await once(`/plans/queues/${queue}/claim`, {
        worker_id: worker, max: AT_ONCE - steps.size, wait: WAIT, lease: LEASE,
      });
      for (const item of work) {
        const { plan_id, position, token } = item;
        const step = { work: item, lease: { plan_id, position, token },
                       stop: new AbortController() };
        steps.add(step);
        step.done = run(step);
      }
    } catch (error) {
      if (error instanceof Refused) throw error;
      console.error(`claim: ${error.message}; again in ${PAUSE_MS} ms`);
      await sleep(PAUSE_MS);
    }
  }
  await Promise.all([...steps].map((s) => s.done));
}

/** What this example does: counts the words of a text, slowly if it is asked to. */
async function handle(work, signal, progress) {
  const { text, seconds = 0, fail_times: failTimes = 0 } = work.inputs;
  if (typeof text !== "string") throw new WrongInputs("text: must be a string");
  if (work.attempt <= failTimes) throw new Error("not this time");
  const words = text.split(/\s+/).filter((word) => word !== "").length;
  await progress(`${words} words`, { key: work.key });
  await sleep(seconds * 1000, undefined, { signal });
  return { words, attempt: work.attempt };
}

for (const name of ["SIGTERM", "SIGINT"]) process.on(name, () => ending.abort());
const beat = setInterval(heartbeat, LEASE * 1000 / 3);
await serve();
clearInterval(beat);
