// SPDX-License-Identifier: Apache-2.0
// saver.mjs - saver.py in JavaScript: NODE_MODULES URL THREAD full | resume | say TEXT | read |
// delta TEXT… | ask [ANSWER]
import { createRequire } from "node:module";
import { randomUUID } from "node:crypto";
import { pathToFileURL } from "node:url";

const [modules, url, thread, command, ...rest] = process.argv.slice(2);
const require = createRequire(`${modules}/x.js`);
const load = async name => await import(pathToFileURL(require.resolve(name)).href);
const lg = await load("@langchain/langgraph");
const { PostgresSaver } = await load("@langchain/langgraph-checkpoint-postgres");
const { HumanMessage, AIMessage, ToolMessage, SystemMessage, RemoveMessage } =
  await load("@langchain/core/messages");
const { StateGraph, START, Annotation, messagesStateReducer, interrupt, Send, Command, DeltaChannel,
  messagesDeltaReducer, Overwrite } = lg.default ?? lg;

const messages = () => Annotation({ reducer: messagesStateReducer, default: () => [] });
const Full = Annotation.Root({
  messages: messages(), note: Annotation(), extra: Annotation(),
  parts: Annotation({ reducer: (a, b) => a.concat(b), default: () => [] }),
});
const EXTRA = {
  u: undefined, s: new Set([1]), m: new Map([["a", { b: 1 }]]), d: new Date(0), r: /x/g,
  e: new Error("bad"), b: new Uint8Array([0, 255]), f: 1.5, n: null, text: "h\u00e9 \u{1f600}",
};

function agent(state) {
  if (state.messages.length > 1)
    return { messages: [new AIMessage({ content: [{ type: "text", text: "42" }], id: "a2" })] };
  const call = { name: "calc", args: { e: "6*7" }, id: "c1", type: "tool_call" };
  const usage = { input_tokens: 1, output_tokens: 2, total_tokens: 3 };
  const ai = new AIMessage({ content: "", id: "a1", tool_calls: [call], usage_metadata: usage });
  return { messages: [ai], note: "n", extra: EXTRA };
}

function tools() {
  const tool = new ToolMessage({ content: "42", tool_call_id: "c1", name: "calc", id: "t1",
    artifact: { k: 1 } });
  return { messages: [tool, new SystemMessage({ content: "sys", id: "s1" })], note: null };
}

const full = saver => new StateGraph(Full)
  .addNode("agent", agent)
  .addNode("tools", tools)
  .addNode("fan", () => ({}))
  .addNode("worker", state => ({ parts: [state.n] }))
  .addNode("ask", () => ({ note: String(interrupt({ q: "ok?" })) }))
  .addEdge(START, "agent")
  .addConditionalEdges("agent", s => s.messages.at(-1).tool_calls?.length ? "tools" : "fan",
    ["tools", "fan"])
  .addEdge("tools", "agent")
  .addConditionalEdges("fan", () => [new Send("worker", { n: 1 }), new Send("worker", { n: 2 })],
    ["worker"])
  .addEdge("worker", "ask")
  .compile({ checkpointer: saver });

const chat = saver => new StateGraph(Annotation.Root({ messages: messages() }))
  .addNode("answer", s => ({
    messages: [new AIMessage({ content: `echo ${s.messages.at(-1).content}`, id: randomUUID() })],
  }))
  .addEdge(START, "answer")
  .compile({ checkpointer: saver });

function deltaAnswer(state) {
  const text = String(state.messages.at(-1).content);
  if (text === "forget")
    return { messages: [new RemoveMessage({ id: state.messages[0].id })],
      parts: new Overwrite([0]) };
  return { messages: [new AIMessage({ content: `echo ${text}`, id: randomUUID() })], parts: [text],
    files: { [text]: state.parts.length, last: text }, sure: true, note: text };
}

const delta = saver => new StateGraph(Annotation.Root({
  messages: () => new DeltaChannel(messagesDeltaReducer),
  parts: () => new DeltaChannel((all, more) => all.concat(...more), { snapshotFrequency: 3 }),
  files: () => new DeltaChannel((all, more) => Object.assign({}, all, ...more),
    { initialValueFactory: () => ({}) }),
  sure: Annotation(), note: Annotation(),
}))
  .addNode("answer", deltaAnswer)
  .addNode("more", () => ({ parts: ["more"] }))
  .addNode("less", () => ({ parts: ["less"] }))
  .addEdge(START, "answer")
  .addEdge("answer", "more")
  .addEdge("answer", "less")
  .compile({ checkpointer: saver });

const deltaSeen = state => ({
  id: state.config.configurable.checkpoint_id, next: [...state.next].sort(),
  values: { ...state.values,
    messages: (state.values.messages ?? []).map(m => [m.getType(), m.content, m.id]) },
});

const asks = saver => new StateGraph(Annotation.Root({
  log: Annotation({ reducer: (a, b) => a.concat(b), default: () => [] }),
}))
  .addNode("one", () => ({ log: [interrupt("first")] }))
  .addNode("two", () => ({ log: [interrupt("second")] }))
  .addEdge(START, "one")
  .addEdge(START, "two")
  .compile({ checkpointer: saver });

async function ask(graph, [question, answer]) {
  const asked = async () => (await graph.getState(config)).tasks.flatMap(t => t.interrupts);
  if ((await asked()).length === 0)
    await graph.invoke({ log: ["in"] }, config);
  if (!question)
    return;
  const { id } = (await asked()).find(i => i.value === question);
  await graph.invoke(new Command({ resume: { [id]: answer } }), config);
}

const asksSeen = state => ({
  next: state.next, tasks: state.tasks.map(t => [t.id, t.name]), values: state.values,
  interrupts: state.tasks.flatMap(t => t.interrupts).map(i => [i.id, i.value]),
});

const seen = state => ({
  messages: (state.values.messages ?? []).map(m => [m.getType(), m.content, m.id]),
  next: state.next,
  calls: (state.values.messages ?? []).filter(m => m.getType() === "ai").map(m => m.tool_calls),
  id: state.config.configurable.checkpoint_id,
  step: state.metadata.step, source: state.metadata.source,
});

const saver = PostgresSaver.fromConnString(url);
await saver.setup();
const config = { configurable: { thread_id: thread } };
if (command === "full")
  await full(saver).invoke({ messages: [new HumanMessage({ content: "hi", id: "h1" })] }, config);
else if (command === "resume")
  await full(saver).invoke(new Command({ resume: "yes" }), config);
else if (command === "say")
  await chat(saver).invoke(
    { messages: [new HumanMessage({ content: rest[0], id: randomUUID() })] }, config);
if (command === "delta") {
  const graph = delta(saver), history = [];
  for (const text of rest)
    await graph.invoke({ messages: [new HumanMessage({ content: text, id: randomUUID() })] },
      config);
  for await (const state of graph.getStateHistory(config)) history.push(deltaSeen(state));
  console.log(JSON.stringify(history));
} else if (command === "ask") {
  const graph = asks(saver);
  await ask(graph, rest);
  console.log(JSON.stringify(asksSeen(await graph.getState(config))));
} else {
  const graph = chat(saver), history = [];
  for await (const state of graph.getStateHistory(config)) history.push(seen(state));
  console.log(JSON.stringify({ state: seen(await graph.getState(config)), history }));
}
await saver.end();
