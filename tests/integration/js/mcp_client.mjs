// SPDX-License-Identifier: Apache-2.0
// mcp_client.mjs URL - the server's tools through the official TypeScript SDK (npm
// @modelcontextprotocol/sdk). Prints one JSON object of what came of it.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const from = createRequire(process.env.HF_NODE_ROOT + "/");
const load = (name) => import(pathToFileURL(from.resolve(name)).href);
const { Client } = await load("@modelcontextprotocol/sdk/client/index.js");
const { StreamableHTTPClientTransport } = await load(
    "@modelcontextprotocol/sdk/client/streamableHttp.js");

const client = new Client({ name: "suite", version: "1" });
const transport = new StreamableHTTPClientTransport(new URL(process.argv[2]));
await client.connect(transport);
await client.ping();
const tools = [];
let cursor;
do {
    const page = await client.listTools({ cursor });
    tools.push(...page.tools);
    cursor = page.nextCursor;
} while (cursor);
const ask = (text) => ({ messages: [{ role: "user", content: text }] });
const call = (name, args) => client.callTool({ name, arguments: args });
const results = {
    plain: await call("agent", ask("[[echo:hello]]")),
    tool: await call("agent", ask('[[tool:calculator {"expression":"6*7"}]]')),
    wrong: await call("agent", { messages: 7 }),
    unknown: await call("nobody", {}).catch((e) => ({ code: e.code, message: e.message })),
};
await transport.terminateSession();
await client.close();
console.log(JSON.stringify({ version: transport.protocolVersion, server: client.getServerVersion(),
    capabilities: client.getServerCapabilities(), tools, results }));
