// SPDX-License-Identifier: Apache-2.0
// thread_stream.mjs URL [websocket] - protocol v2 through the official client (npm
// @langchain/langgraph-sdk, client.threads.stream). Prints one JSON object of what came of it.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const from = createRequire(process.env.HF_NODE_ROOT + "/");
const load = (name) => import(pathToFileURL(from.resolve(name)).href);
const { Client } = await load("langgraph-sdk-v1");
const client = new Client({ apiUrl: process.argv[2], apiKey: null,
    callerOptions: { maxRetries: 0 } });
const transport = process.argv[3] ?? "sse";
const human = (content) => ({ messages: [{ role: "user", content }] });
const seen = { messages: [], deltas: [], calls: [] };

const thread = client.threads.stream({ assistantId: "agent", transport });
const messages = (async () => {
    for await (const message of thread.messages) {
        for await (const part of message.text) seen.deltas.push(part);
        seen.messages.push(await message.text);
        break;
    }
})();
await thread.run.start({ input: human("[[tokens:12]]") });
const output = await thread.output;
await messages;
seen.output = output.messages.map((m) => m.content);
seen.interrupted = thread.interrupted;
await thread.close();

const second = client.threads.stream({ assistantId: "agent", transport });
const calls = (async () => {
    for await (const call of second.toolCalls) {
        seen.calls.push([call.name, call.input, await call.output]);
        break;
    }
})();
await second.run.start({ input: human('[[tool:calculator {"expression":"6*7"}]]') });
seen.tools = (await second.output).messages.map((m) => m.content);
await calls;
await second.close();

const asking = client.threads.stream({ assistantId: "asking", transport });
await asking.run.start({ input: { about: "x" } });
await asking.output;
seen.asks = [asking.interrupted, asking.interrupts.map((i) => i.payload)];
const respond = asking.interrupts[0];
await asking.input.respond({ namespace: respond.namespace ?? [],
    interrupt_id: respond.interruptId, response: "blue" });
for (let i = 0; i < 600; i++) {
    const { values } = await client.threads.getState(asking.threadId);
    if (values.answer) {
        seen.answer = values.answer;
        break;
    }
    await new Promise((done) => setTimeout(done, 100));
}
await asking.close();

const states = client.threads.stream({ assistantId: "agent", transport });
await states.run.start({ input: human("[[echo:one]]") });
await states.output;
const { checkpoints } = await states.state.listCheckpoints({ limit: 10 });
seen.steps = checkpoints.map((c) => c.step);
const fork = await states.state.fork({ checkpoint_id: checkpoints[0].id,
    input: human("[[echo:two]]") });
await client.runs.join(fork.thread_id, fork.run_id);
await states.input.inject({ namespace: [], message: { role: "user", content: "[[echo:three]]" } });
const [last] = await client.runs.list(states.threadId);
await client.runs.join(states.threadId, last.run_id);
const { values } = await client.threads.getState(states.threadId);
seen.grown = values.messages.map((m) => m.content).filter((text) => !text.startsWith("[["));
await states.close();
console.log(JSON.stringify(seen));
process.exit(0);
