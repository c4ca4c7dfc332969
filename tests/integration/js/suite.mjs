// SPDX-License-Identifier: Apache-2.0
// suite.mjs - the tests of run-js, for every version of the client.
//
// The client module is the one of $HF_SDK, the server that of $HF_URL. A test fails by throwing.
import assert from "node:assert/strict";
import { appendFileSync } from "node:fs";
import { randomUUID } from "node:crypto";
import net from "node:net";
import { pathToFileURL } from "node:url";

const { Client } = await import(pathToFileURL(process.env.HF_SDK).href);
const url = process.env.HF_URL;
const FIXED_TOKENS = 67;
const MODES = ["values", "updates", "messages", "messages-tuple", "custom", "debug", "events",
  "tasks", "checkpoints"];
const TEST_MS_MAX = 60000;

// --- support -------------------------------------------------------------------------------------

async function recordingFetch(input, init) {
  const response = await fetch(input, init);
  const type = response.headers.get("content-type") ?? "";
  if (!type.startsWith("text/event-stream")) {
    const seen = { method: init?.method ?? "GET", path: new URL(input).pathname,
      status: response.status, type, body: await response.clone().text(),
      selected: /"select":/.test(init?.body ?? "") || new URL(input).searchParams.has("select") };
    appendFileSync(process.env.HF_TRAFFIC, JSON.stringify(seen) + "\n");
  }
  return response;
}

// An error answer ends the call at once: retries are the client's matter, not the server's.
const newClient = (apiUrl = url) =>
  new Client({ apiUrl, apiKey: null, callerOptions: { maxRetries: 0, fetch: recordingFetch } });
const client = newClient();
const human = (content) => ({ messages: [{ role: "user", content }] });
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const mockStats = async () => (await fetch(new URL("/stats", process.env.HF_MOCK_URL))).json();

async function collect(stream) {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return parts;
}

async function refused(promise, status, text) {
  try {
    await promise;
  } catch (e) {
    assert.match(e.message, new RegExp(`HTTP ${status}`), e.message);
    const { detail } = JSON.parse(e.message.slice(e.message.indexOf("{")));
    assert.ok(detail.includes(text), `${text} is not in ${detail}`);
    return;
  }
  assert.fail(`no error ${status} ${text}`);
}

async function until(probe, what) {
  for (let i = 0; i < 2000; i++) {
    const value = await probe();
    if (value) return value;
    await sleep(10);
  }
  assert.fail(`it never happened: ${what}`);
}

const ended = (threadId, runId) => until(async () => {
  const run = await client.runs.get(threadId, runId);
  return ["pending", "running"].includes(run.status) ? null : run;
}, "the end of the run");
const running = (threadId, runId) => until(async () =>
  (await client.runs.get(threadId, runId)).status === "running", "the start of the run");

// A TCP proxy that cuts the connection once, after so many bytes from the server.
async function cuttingProxy(cutAfter) {
  const proxy = { cuts: 0, seen: 0, armed: false };
  const target = Number(new URL(url).port);
  const listener = net.createServer((from) => {
    const to = net.connect(target, "127.0.0.1");
    from.on("error", () => to.destroy()).on("close", () => to.destroy()).pipe(to);
    to.on("error", () => from.destroy()).on("close", () => from.destroy());
    to.on("data", (data) => {
      proxy.seen += data.length;
      if (proxy.armed && proxy.seen > cutAfter) {
        proxy.armed = false;
        proxy.cuts++;
        from.write(data.subarray(0, data.length - (proxy.seen - cutAfter)), () => {
          from.destroy();
          to.destroy();
        });
        return;
      }
      from.write(data);
    });
  });
  await new Promise((resolve) => listener.listen(0, "127.0.0.1", resolve));
  proxy.url = `http://127.0.0.1:${listener.address().port}`;
  proxy.arm = () => { proxy.seen = 0; proxy.armed = true; };
  proxy.close = () => listener.close();
  return proxy;
}

const tests = [];
const test = (name, run) => tests.push({ name, run });

// --- assistants ----------------------------------------------------------------------------------

test("assistants: the default one", async () => {
  const found = await client.assistants.search({ graphId: "agent",
    metadata: { created_by: "system" } });
  assert.equal(found.length, 1);
  assert.equal(found[0].assistant_id, "fe096781-5601-53d2-b2f6-0d3403f7e9ca");
});

test("assistants: create, get, update, search, count, delete", async () => {
  const mark = randomUUID();
  const made = await client.assistants.create({ graphId: "agent", name: `A ${mark}`,
    config: { configurable: { system_prompt: "Be brief." } }, metadata: { mark } });
  assert.equal(made.version, 1);
  assert.deepEqual(await client.assistants.get(made.assistant_id), made);
  await refused(client.assistants.create({ graphId: "agent", assistantId: made.assistant_id }), 409,
    "Assistant already exists");
  const same = await client.assistants.create({ graphId: "agent", assistantId: made.assistant_id,
    ifExists: "do_nothing" });
  assert.deepEqual(same, made);
  const patched = await client.assistants.update(made.assistant_id, { metadata: { more: true },
    name: "B" + mark });
  assert.equal(patched.version, 2);
  assert.deepEqual(patched.metadata, { mark, more: true });
  assert.deepEqual(patched.config, made.config);
  assert.equal((await client.assistants.search({ metadata: { mark } })).length, 1);
  assert.equal(await client.assistants.count({ metadata: { mark } }), 1);
  await client.assistants.delete(made.assistant_id);
  await refused(client.assistants.get(made.assistant_id), 404, "Assistant not found");
});

test("assistants: versions", async () => {
  const made = await client.assistants.create({ graphId: "agent", name: "one",
    config: { configurable: { system_prompt: "One." } } });
  const at = made.assistant_id;
  const two = await client.assistants.update(at, { name: "two", metadata: { m: 2 } });
  assert.equal(two.version, 2);
  const versions = await client.assistants.getVersions(at);
  assert.deepEqual(versions.map((v) => [v.version, v.name]), [[2, "two"], [1, "one"]]);
  assert.equal((await client.assistants.getVersions(at, { metadata: { m: 2 } })).length, 1);
  assert.equal((await client.assistants.getVersions(at, { limit: 1, offset: 1 }))[0].version, 1);
  const back = await client.assistants.setLatest(at, 1);
  assert.equal(back.name, "one");
  assert.deepEqual(back.config, made.config);
  assert.equal((await client.assistants.update(at, { name: "three" })).version, 3);
  await refused(client.assistants.setLatest(at, 7), 404, "Assistant version not found");
  await client.assistants.delete(at);
});

test("crons: life, search, count", async () => {
  const mark = randomUUID();
  const thread = await client.threads.create();
  const made = await client.crons.create("agent", { schedule: "0 9 * * mon-fri", input: {},
    timezone: "Europe/Berlin", metadata: { mark }, onRunCompleted: "keep" });
  assert.ok([null, "Europe/Berlin"].includes(made.timezone)); // 2.0.0 does not send it
  assert.equal(made.on_run_completed, "keep");
  assert.ok(Date.parse(made.next_run_date) > Date.now());
  const of = await client.crons.createForThread(thread.thread_id, "agent",
    { schedule: "*/5 * * * *", input: {}, metadata: { mark },
      endTime: new Date(Date.now() + 86400e3).toISOString() });
  assert.equal(of.thread_id, thread.thread_id);
  assert.ok(of.end_time === null || Date.parse(of.end_time) > Date.now()); // not all send it
  assert.equal((await client.crons.search({ threadId: thread.thread_id })).length, 1);
  if (client.crons.count)
    assert.equal(await client.crons.count({ threadId: thread.thread_id }), 1);
  if (client.crons.update) {
    const changed = await client.crons.update(made.cron_id, { schedule: "0 10 * * *",
      metadata: { more: 1 }, enabled: false });
    assert.deepEqual(changed.metadata, { mark, more: 1 });
    assert.equal(changed.next_run_date, null);
    const cleared = await client.crons.update(of.cron_id, { endTime: null });
    assert.equal(cleared.end_time, null);
  }
  await client.crons.delete(made.cron_id);
  await client.threads.delete(thread.thread_id);
  await refused(client.crons.delete(of.cron_id), 404, "Cron not found");
  await refused(client.crons.create("agent", { schedule: "often", input: {} }), 422, "schedule");
});

test("crons: fire", async () => {
  const made = await client.crons.create("agent", { schedule: "* * * * * *", onRunCompleted: "keep",
    input: { messages: [{ role: "user", content: "[[echo:tick]]" }] } });
  let threads = [];
  for (let i = 0; i < 400 && threads.length < 2; i++) {
    threads = await client.threads.search({ metadata: { cron_id: made.cron_id } });
    await new Promise((done) => setTimeout(done, 25));
  }
  await client.crons.delete(made.cron_id);
  assert.ok(threads.length >= 2);
  assert.notEqual(threads[0].metadata.cron_scheduled_at, threads[1].metadata.cron_scheduled_at);
});

test("assistants: pages", async () => {
  const mark = randomUUID();
  for (let i = 0; i < 5; i++)
    await client.assistants.create({ graphId: "agent", name: `p${i}`, metadata: { mark } });
  const names = [];
  let offset = 0;
  for (;;) {
    const page = await client.assistants.search({ metadata: { mark }, limit: 2, offset,
      sortBy: "name", sortOrder: "asc", includePagination: true });
    names.push(page.assistants.map((a) => a.name));
    if (page.next == null) break;
    offset = Number(page.next);
  }
  assert.deepEqual(names, [["p0", "p1"], ["p2", "p3"], ["p4"]]);
});

test("assistants: graph and schemas", async () => {
  const graph = await client.assistants.getGraph("agent");
  const ids = graph.nodes.map((n) => n.id);
  assert.ok(ids.includes("__start__") && ids.includes("__end__"));
  for (const edge of graph.edges) assert.ok(ids.includes(edge.source) && ids.includes(edge.target));
  const schemas = await client.assistants.getSchemas("agent");
  assert.ok(schemas.input_schema.properties.messages);
});

// --- threads -------------------------------------------------------------------------------------

test("threads: create, get, update, search, count, delete", async () => {
  const mark = randomUUID();
  const threadId = randomUUID();
  const made = await client.threads.create({ threadId, metadata: { mark }, graphId: "agent" });
  assert.equal(made.thread_id, threadId);
  assert.deepEqual(made.metadata, { mark, graph_id: "agent" });
  await refused(client.threads.create({ threadId }), 409, "Thread already exists");
  assert.deepEqual(await client.threads.create({ threadId, ifExists: "do_nothing" }), made);
  const patched = await client.threads.update(threadId, { metadata: { b: 2 } });
  assert.deepEqual(patched.metadata, { mark, graph_id: "agent", b: 2 });
  const found = await client.threads.search({ metadata: { mark }, status: "idle" });
  assert.deepEqual(found.map((t) => t.thread_id), [threadId]);
  const copy = await client.threads.copy(threadId);
  assert.deepEqual(copy.metadata, { ...found[0].metadata, thread_id: copy.thread_id });
  await client.threads.delete(copy.thread_id);
  assert.equal(await client.threads.count({ metadata: { mark } }), 1);
  const state = await client.threads.getState(threadId);
  assert.deepEqual(state.values, {});
  assert.deepEqual(await client.threads.getHistory(threadId), []);
  await client.threads.delete(threadId);
  await refused(client.threads.get(threadId), 404, `Thread with ID ${threadId} not found`);
});

// --- runs ----------------------------------------------------------------------------------------

test("runs: wait, state, history", async () => {
  const thread = await client.threads.create();
  let created;
  const values = await client.runs.wait(thread.thread_id, "agent", { input: human("Hello"),
    metadata: { why: "test" }, onRunCreated: (run) => { created = run; } });
  assert.deepEqual(values.messages.map((m) => m.type), ["human", "ai"]);
  assert.equal(created.thread_id, thread.thread_id);
  const run = await client.runs.get(thread.thread_id, created.run_id);
  assert.equal(run.status, "success");
  assert.equal(run.metadata.why, "test");
  const state = await client.threads.getState(thread.thread_id);
  assert.deepEqual(state.values, values);
  const history = await client.threads.getHistory(thread.thread_id);
  assert.deepEqual(history.map((s) => s.metadata.step), [1, 0, -1]);
  const at = await client.threads.getState(thread.thread_id, history[1].checkpoint.checkpoint_id);
  assert.deepEqual(at.values, history[1].values);
  const older = await client.threads.getHistory(thread.thread_id, { limit: 1,
    before: history[0].checkpoint });
  assert.deepEqual(older.map((s) => s.checkpoint), [history[1].checkpoint]);
  assert.equal((await client.runs.list(thread.thread_id, { limit: 5 })).length, 1);
  const only = await client.runs.list(thread.thread_id, { select: ["run_id", "status"] });
  assert.deepEqual(only, [{ run_id: run.run_id, status: "success" }]);
});

test("runs: forms of messages", async () => {
  const lc = { lc: 1, type: "constructor", id: ["langchain_core", "messages", "HumanMessage"],
    kwargs: { content: "d", id: "given" } };
  const values = await client.runs.wait(null, "agent", { input: { messages: [
    { role: "user", content: "a" }, { type: "human", content: "b" }, ["human", "c"], lc, "e",
    { role: "user", content: [{ type: "text", text: "f" }] }] } });
  assert.deepEqual(values.messages.map((m) => m.type),
    ["human", "human", "human", "human", "human", "human", "ai"]);
  assert.equal(values.messages[3].id, "given");
  const wrong = [{ role: "user", content: "a" }, 7];
  await refused(client.runs.wait(null, "agent", { input: { messages: wrong } }), 422,
    "messages[1]");
});

test("runs: stream in every mode", async () => {
  const own = { "messages-tuple": ["messages"], custom: [],
    messages: ["messages/complete", "messages/metadata", "messages/partial"] };
  for (const streamMode of MODES) {
    const thread = await client.threads.create();
    const parts = await collect(client.runs.stream(thread.thread_id, "agent",
      { input: human("Hi"), streamMode }));
    assert.equal(parts[0].event, "metadata", streamMode);
    const events = [...new Set(parts.slice(1).map((p) => p.event))].sort();
    assert.deepEqual(events, own[streamMode] ?? [streamMode], streamMode);
    assert.ok(parts.every((p) => p.id !== undefined), "every event has an id");
  }
});

test("runs: several modes at once", async () => {
  const parts = await collect(client.runs.stream(null, "agent", { input: human("Hi"),
    streamMode: MODES }));
  const count = (event) => parts.filter((p) => p.event === event).length;
  const tokens = parts.filter((p) => p.event === "messages" && p.data[0].content);
  assert.equal(tokens.length, FIXED_TOKENS);
  assert.equal(count("values"), 2);
  assert.equal(count("updates"), 1);
  assert.equal(count("checkpoints"), 3);
  assert.equal(count("tasks"), 2);
  assert.equal(count("debug"), 5);
});

test("runs: tokens one by one, as many as the model sent", async () => {
  const before = (await mockStats()).tokens_sent;
  const parts = await collect(client.runs.stream(null, "agent", { input: human("Hello"),
    streamMode: "messages-tuple" }));
  const texts = parts.filter((p) => p.event === "messages").map((p) => p.data[0].content)
    .filter((t) => t);
  assert.equal((await mockStats()).tokens_sent - before, FIXED_TOKENS);
  assert.equal(texts.length, FIXED_TOKENS);
  assert.ok(texts.join("").startsWith("This stand-in answers every question"));
});

test("runs: the loop of tools", async () => {
  const values = await client.runs.wait(null, "agent", {
    input: human('[[tool:calculator {"expression":"6*7"}]]'),
    config: { configurable: { tools: ["calculator"] } } });
  assert.deepEqual(values.messages.map((m) => m.type), ["human", "ai", "tool", "ai"]);
  assert.equal(values.messages[2].content, "42");
  assert.equal(values.messages[3].content, 'The tools answered: "42".');
});

test("runs: errors of the model", async () => {
  for (const kind of ["500", "401", "garbage", "cut", "refuse"]) {
    const thread = await client.threads.create();
    await assert.rejects(client.runs.wait(thread.thread_id, "agent",
      { input: human(`[[fail:${kind}]]`) }), /: .{10}/, kind);
    assert.equal((await client.threads.get(thread.thread_id)).status, "error", kind);
    const parts = await collect(client.runs.stream(null, "agent",
      { input: human(`[[fail:${kind}]]`), streamMode: "values" }));
    assert.equal(parts.at(-1).event, "error", kind);
    assert.ok(parts.at(-1).data.message.length > 10, kind);
  }
});

test("runs: background, join, join stream", async () => {
  const thread = await client.threads.create();
  const run = await client.runs.create(thread.thread_id, "agent", {
    input: human("[[token-delay:2]]x"), streamMode: ["messages-tuple", "values"] });
  assert.equal(run.status, "pending");
  const live = await collect(client.runs.joinStream(thread.thread_id, run.run_id));
  const values = await client.runs.join(thread.thread_id, run.run_id);
  assert.deepEqual(live.at(-1).data, values);
  const again = await collect(client.runs.joinStream(thread.thread_id, run.run_id));
  assert.deepEqual(again, live);
  const middle = Math.floor(live.length / 2);
  const rest = await collect(client.runs.joinStream(thread.thread_id, run.run_id,
    { lastEventId: live[middle].id }));
  assert.deepEqual(rest, live.slice(middle + 1));
  const updates = await collect(client.runs.joinStream(thread.thread_id, run.run_id,
    { streamMode: "updates" }));
  assert.deepEqual(updates.map((p) => p.event), ["metadata", "updates"]);
  const stateless = await client.runs.create(null, "agent", { input: human("[[delay:800]]x"),
    streamMode: "values" });
  const parts = await collect(client.runs.joinStream(null, stateless.run_id));
  assert.equal(parts.at(-1).event, "values");
});

test("runs: cancel", async () => {
  for (const wait of [false, true]) for (const action of ["interrupt", "rollback"]) {
    const thread = await client.threads.create();
    const run = await client.runs.create(thread.thread_id, "agent",
      { input: human("[[delay:30000]]") });
    await running(thread.thread_id, run.run_id);
    await client.runs.cancel(thread.thread_id, run.run_id, wait, action);
    if (action === "interrupt") {
      assert.equal((await ended(thread.thread_id, run.run_id)).status, "interrupted");
    } else {
      await until(async () => {
        try {
          await client.runs.get(thread.thread_id, run.run_id);
          return false;
        } catch {
          return true;
        }
      }, "the run is gone");
    }
  }
  const thread = await client.threads.create();
  await refused(client.runs.cancel(thread.thread_id, randomUUID()), 404, "Run not found");
});

test("runs: delete", async () => {
  const thread = await client.threads.create();
  const run = await client.runs.create(thread.thread_id, "agent", { input: human("x") });
  await client.runs.join(thread.thread_id, run.run_id);
  await client.runs.delete(thread.thread_id, run.run_id);
  await refused(client.runs.get(thread.thread_id, run.run_id), 404, "Run not found");
});

test("runs: stateless", async () => {
  let made;
  const options = { input: human("[[echo:x]]"), onRunCreated: (run) => { made = run; } };
  const values = await client.runs.wait(null, "agent", options);
  assert.equal(values.messages.at(-1).content, "x");
  await refused(client.threads.get(made.thread_id), 404, "not found");
  await client.runs.wait(null, "agent", { ...options, onCompletion: "keep" });
  assert.deepEqual((await client.threads.get(made.thread_id)).values.messages.length, 2);
});

test("runs: multitask strategies", async () => {
  for (const multitaskStrategy of ["enqueue", "reject", "interrupt", "rollback"]) {
    const { thread_id: threadId } = await client.threads.create();
    const first = await client.runs.create(threadId, "agent",
      { input: human("[[delay:600]][[echo:first]]") });
    await running(threadId, first.run_id);
    const second = client.runs.create(threadId, "agent", { input: human("[[echo:second]]"),
      multitaskStrategy });
    if (multitaskStrategy === "reject") {
      await refused(second, 409, "Thread is already running a task.");
      continue;
    }
    const values = await client.runs.join(threadId, (await second).run_id);
    assert.deepEqual(values.messages.map((m) => m.type), {
      enqueue: ["human", "ai", "human", "ai"], interrupt: ["human", "human", "ai"],
      rollback: ["human", "ai"] }[multitaskStrategy], multitaskStrategy);
  }
});

test("runs: ifNotExists, afterSeconds, unknown assistants", async () => {
  const threadId = randomUUID();
  await refused(client.runs.create(threadId, "agent", { input: human("x") }), 404, "not found");
  const run = await client.runs.create(threadId, "agent", { input: human("x"),
    ifNotExists: "create", afterSeconds: 1 });
  assert.equal((await client.runs.get(threadId, run.run_id)).status, "pending");
  assert.equal((await client.runs.join(threadId, run.run_id)).messages.length, 2);
  await refused(client.runs.wait(null, "nope", { input: {} }), 404,
    'No assistant found for "nope".');
});

test("runs: configuration of the assistant and of the run", async () => {
  const assistant = await client.assistants.create({ graphId: "agent",
    config: { configurable: { a: 1, b: 1 } }, metadata: { of: "assistant" } });
  const thread = await client.threads.create();
  const run = await client.runs.create(thread.thread_id, assistant.assistant_id, {
    input: human("x"), config: { configurable: { b: 2 } } });
  const { a, b, assistant_id } = run.kwargs.config.configurable;
  assert.deepEqual({ a, b, assistant_id }, { a: 1, b: 2, assistant_id: assistant.assistant_id });
  assert.equal(run.metadata.of, "assistant");
  await client.runs.join(thread.thread_id, run.run_id);
});

test("runs: the client reconnects after a cut", async () => {
  let whole;
  for (const cutAfter of [Infinity, 700, 4000, 9000]) {
    const proxy = await cuttingProxy(cutAfter);
    const over = newClient(proxy.url);
    const thread = await over.threads.create();
    proxy.arm();
    const parts = await collect(over.runs.stream(thread.thread_id, "agent", {
      input: human("[[token-delay:3]][[tokens:60]]"), streamMode: ["messages-tuple", "values"] }));
    const texts = parts.filter((p) => p.event === "messages").map((p) => p.data[0].content);
    whole ??= texts;
    assert.deepEqual(texts, whole, `cut after ${cutAfter}`);
    assert.deepEqual(parts.map((p) => p.event).filter((e) => e !== "messages"),
      ["metadata", "values", "values"]);
    assert.equal(proxy.cuts, cutAfter === Infinity ? 0 : 1);
    proxy.close();
  }
});

test("runs: heartbeats keep a quiet stream", async () => {
  const parts = await collect(client.runs.stream(null, "agent", { input: human("[[delay:3500]]x"),
    streamMode: "values" }));
  assert.deepEqual(parts.map((p) => p.event), ["metadata", "values", "values"]);
});

test("threads: ttl, search", async () => {
  const mark = randomUUID();
  const { thread_id: id } = await client.threads.create({ metadata: { mark }, ttl: 5 });
  const thread = await fetch(`${url}/threads/${id}?include=ttl`).then((r) => r.json());
  assert.equal(thread.ttl.ttl_minutes, 5);
  for (const sortBy of ["thread_id", "status", "created_at", "updated_at", "state_updated_at"]) {
    const found = await client.threads.search({ metadata: { mark }, sortBy, sortOrder: "asc",
      select: ["thread_id"] });
    assert.deepEqual(found.map((t) => t.thread_id), [id]);
  }
  await client.threads.update(id, { metadata: { a: 1 }, ttl: { ttl: 9, strategy: "keep_latest" } });
  const later = await fetch(`${url}/threads/${id}?include=ttl`).then((r) => r.json());
  assert.equal(later.ttl.strategy, "keep_latest");
  await client.threads.delete(id);
});

test("threads: stream of all its runs", async () => {
  const { thread_id: threadId } = await client.threads.create();
  const stop = new AbortController();
  const seen = [];
  const reading = (async () => {
    for await (const part of client.threads.joinStream(threadId, { signal: stop.signal })) {
      seen.push(part.event);
      if (seen.filter((e) => e === "values").length === 4) stop.abort();
    }
  })().catch((e) => { if (!stop.signal.aborted) throw e; });
  await sleep(200);
  await client.runs.wait(threadId, "agent", { input: human("one") });
  await client.runs.wait(threadId, "agent", { input: human("two") });
  await reading;
  assert.deepEqual(seen.filter((e) => e === "metadata").length, 2);
});

// --- the store -----------------------------------------------------------------------------------

test("store", async () => {
  const top = "s" + randomUUID();
  await client.store.putItem([top, "a"], "k", { x: 1 });
  const item = await client.store.getItem([top, "a"], "k");
  assert.deepEqual(item.value, { x: 1 });
  assert.ok(!Number.isNaN(Date.parse(item.createdAt)));
  assert.equal(await client.store.getItem([top, "a"], "none"), null);
  for (let i = 0; i < 6; i++) await client.store.putItem([top, "b", `${i % 2}`], `k${i}`, { i });
  assert.equal((await client.store.searchItems([top, "b"], { limit: 4 })).items.length, 4);
  const third = await client.store.searchItems([top, "b"], { filter: { i: 3 } });
  assert.equal(third.items[0].key, "k3");
  const some = await client.store.searchItems([top, "b"], {
    filter: { $or: [{ i: { $in: [1, 2] } }, { i: { $gte: 5 } }], i: { $ne: 2 } },
  });
  assert.deepEqual(some.items.map((x) => x.key).sort(), ["k1", "k5"]);
  await client.store.putItem([top, "t"], "soon", {}, { ttl: 0.005 });
  await sleep(400);
  assert.equal(await client.store.getItem([top, "t"], "soon"), null);
  const { namespaces } = await client.store.listNamespaces({ prefix: [top], maxDepth: 2 });
  assert.deepEqual(namespaces.sort(), [[top, "a"], [top, "b"]]);
  await client.store.deleteItem([top, "a"], "k");
  assert.equal(await client.store.getItem([top, "a"], "k"), null);
});

test("several runs at once, and feedback", async () => {
  const runs = await client.runs.createBatch(["one", "two"].map((text) => ({
    assistantId: "agent", input: human(`[[echo:${text}]]`), on_completion: "keep" })));
  const values = await Promise.all(runs.map((r) => client.runs.join(r.thread_id, r.run_id)));
  assert.deepEqual(values.map((v) => v.messages.at(-1).content), ["one", "two"]);
  const events = await collect(client.runs.stream(null, "agent", {
    input: human("[[echo:x]]"), feedbackKeys: ["helpful"] }));
  assert.equal(events.at(-1).event, "feedback");
  const address = new URL(events.at(-1).data.helpful, url);
  const answer = await fetch(address, { method: "POST", body: '{"score":1}',
    headers: { "Content-Type": "application/json" } });
  assert.equal(answer.status, 204);
  if (!client.runs.cancelMany) return; // older clients
  const thread = await client.threads.create();
  const slow = await client.runs.create(thread.thread_id, "agent",
    { input: human("[[delay:20000]]") });
  await client.runs.cancelMany({ threadId: thread.thread_id, runIds: [slow.run_id] });
  await client.runs.join(thread.thread_id, slow.run_id);
  const { status } = await client.runs.get(thread.thread_id, slow.run_id);
  assert.equal(status, "interrupted");
});

// --- run -----------------------------------------------------------------------------------------

const names = process.argv.slice(2);
let passed = 0;
let failed = 0;
for (const { name, run } of tests) {
  if (names.length && !names.some((n) => name.includes(n))) continue;
  const start = performance.now();
  let timer;
  try {
    await Promise.race([run(), new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`took more than ${TEST_MS_MAX} ms`)), TEST_MS_MAX);
    })]);
    passed++;
    console.log(`ok ${name} ${((performance.now() - start) / 1000).toFixed(2)} s`);
  } catch (e) {
    failed++;
    console.log(`not ok ${name}\n${e.stack ?? e}`);
  } finally {
    clearTimeout(timer);
  }
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
