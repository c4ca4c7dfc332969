// SPDX-License-Identifier: Apache-2.0
/* graph.mjs - graph.py in JavaScript: URL THREAD begin | die | answer VALUE | go | say TEXT |
 * delta N | read | history */
import { AIMessage, HumanMessage } from "@langchain/core/messages";
import { Annotation, Command, DeltaChannel, START, StateGraph, interrupt, messagesStateReducer }
  from "@langchain/langgraph";
import { HoldfastSaver } from "./holdfast_saver.mjs";

const [url, thread, what, ...rest] = process.argv.slice(2);
const config = { configurable: { thread_id: thread } };
const saver = new HoldfastSaver(url);
const ran = {};
const counted = (name, f) => async (state) => {
  ran[name] = (ran[name] ?? 0) + 1;
  return f(state);
};

const State = Annotation.Root({
  messages: Annotation({ reducer: messagesStateReducer, default: () => [] }),
  parts: Annotation({ reducer: (a, b) => a.concat(b), default: () => [] }),
  extra: Annotation(),
});

async function slow() {
  if (what === "die") {
    // The sibling's writes are durable before this ends: the saver is asked.
    for (;;) {
      const found = await saver.getTuple(config);
      if (found?.pendingWrites.some(([, channel]) => channel === "parts")) break;
    }
    process.kill(process.pid, "SIGKILL");
    await new Promise(() => {});
  }
  return { parts: ["slow"] };
}

function compiled(kind) {
  const child = new StateGraph(State)
    .addNode("ask", counted("ask", () => ({
      messages: [new AIMessage({ content: `you said ${interrupt({ q: "what?" })}`, id: "answer" })],
    })))
    .addEdge(START, "ask").compile();
  return new StateGraph(State)
    .addNode("open", counted("open", () => ({
      messages: [new AIMessage({ content: "begun", id: "open" })],
      extra: { set: new Set([1, 2]), bytes: new Uint8Array([0, 255]) } })))
    .addNode("quick", counted("quick", () => ({ parts: ["quick"] })))
    .addNode("other", kind === "question" ? child : counted("other", slow))
    .addNode("close", counted("close", (s) => ({ parts: [`of ${s.messages.length}`] })))
    .addEdge(START, "open").addEdge("open", "quick").addEdge("open", "other")
    .addEdge(["quick", "other"], "close")
    .compile({ checkpointer: saver });
}

function delta() {
  const Delta = Annotation.Root({
    turns: () => new DeltaChannel((state, writes) => state.concat(...writes),
      { default: () => [], snapshotFrequency: 7 }),
    last: Annotation(),
  });
  return new StateGraph(Delta)
    .addNode("one", (s) => ({ turns: [`${s.turns.length}a`] }))
    .addNode("two", (s) => ({ turns: [`${s.turns.length}b`], last: "two" }))
    .addEdge(START, "one").addEdge("one", "two").compile({ checkpointer: saver });
}

const talk = () => new StateGraph(State)
  .addNode("agent", (s) => ({ messages: [new AIMessage(`turn ${s.messages.length}`)] }))
  .addEdge(START, "agent").compile({ checkpointer: saver });

const text = (value) => JSON.stringify(value, (_, v) =>
  v instanceof Set ? `Set ${[...v]}` : v instanceof Uint8Array ? `bytes ${v}` : v);
const shown = (state) => ({
  values: { ...state.values, ...(state.values.messages &&
    { messages: state.values.messages.map((m) => m.content) }) },
  next: state.next, step: state.metadata.step, id: state.config.configurable.checkpoint_id,
  interrupts: state.tasks.flatMap((t) => t.interrupts.map((i) => i.value)),
});

let graph = compiled("question");
const hello = { messages: [new HumanMessage({ content: "hello", id: "h1" })] };
if (what === "begin") await graph.invoke(hello, config);
if (what === "answer") await graph.invoke(new Command({ resume: rest[0] }), config);
if (what === "die" || what === "go") {
  graph = compiled("slow");
  await graph.invoke(what === "die" ? hello : null, config);
}
if (what === "say") {
  graph = talk();
  await graph.invoke({ messages: [new HumanMessage(rest[0])] }, config);
}
if (what === "delta") {
  graph = delta();
  for (let turn = 0; turn < Number(rest[0]); turn++)
    await graph.invoke({ turns: [`in ${turn}`] }, config);
}
if (what === "history") {
  const states = [];
  for await (const state of graph.getStateHistory(config)) states.push(shown(state));
  console.log(text(states));
} else {
  console.log(text({ ...shown(await graph.getState(config)), ran }));
}
