// SPDX-License-Identifier: Apache-2.0
// mcp_server.mjs PORT - an MCP server made with the official TypeScript SDK (npm
// @modelcontextprotocol/sdk): initialize and sessions, answers as streams of events.
// GET /forget drops all sessions; GET /seen tells what was asked.
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const from = createRequire(process.env.HF_NODE_ROOT + "/");
const load = (name) => import(pathToFileURL(from.resolve(name)).href);
const { McpServer } = await load("@modelcontextprotocol/sdk/server/mcp.js");
const { StreamableHTTPServerTransport } = await load(
    "@modelcontextprotocol/sdk/server/streamableHttp.js");
const { z } = await load("zod");

const sessions = new Map();
const seen = { initialize: 0, cancelled: 0, versions: [] };

function tools() {
    const server = new McpServer({ name: "js-tools", version: "1.0.0" });
    server.registerTool("add", { description: "Adds, in JavaScript.",
        inputSchema: { a: z.number(), b: z.number() } },
        async ({ a, b }) => ({ content: [{ type: "text", text: `js says ${a + b}` }] }));
    server.registerTool("weather.now", { description: "The weather.",
        inputSchema: { city: z.string() }, outputSchema: { degrees: z.number() } },
        async () => ({ content: [], structuredContent: { degrees: 21 } }));
    server.registerTool("slow", { description: "Waits.", inputSchema: { ms: z.number() } },
        async ({ ms }, { signal, sendNotification, _meta }) => {
            if (_meta?.progressToken !== undefined)
                await sendNotification({ method: "notifications/progress", params:
                    { progressToken: _meta.progressToken, progress: 1, message: "begun" } });
            await new Promise((done) => {
                const timer = setTimeout(done, ms);
                signal.addEventListener("abort", () => {
                    seen.cancelled++;
                    clearTimeout(timer);
                    done();
                });
            });
            return { content: [{ type: "text", text: "waited" }] };
        });
    return server;
}

async function post(req, res, body) {
    let transport = sessions.get(req.headers["mcp-session-id"]);
    if (!transport && body.method === "initialize") {
        seen.initialize++;
        transport = new StreamableHTTPServerTransport({
            sessionIdGenerator: () => randomUUID(),
            onsessioninitialized: (id) => sessions.set(id, transport),
        });
        await tools().connect(transport);
    }
    if (transport) {
        if (body.method === "tools/call")
            seen.versions.push(req.headers["mcp-protocol-version"]);
        await transport.handleRequest(req, res, body);
        return;
    }
    res.writeHead(req.headers["mcp-session-id"] ? 404 : 400,
        { "content-type": "application/json" });
    res.end(JSON.stringify({ jsonrpc: "2.0", id: null,
        error: { code: -32000, message: "Bad Request: No valid session" } }));
}

createServer(async (req, res) => {
    if (req.url === "/forget")
        sessions.clear();
    if (req.url === "/forget" || req.url === "/seen") {
        res.end(JSON.stringify(seen));
        return;
    }
    const chunks = [];
    for await (const chunk of req)
        chunks.push(chunk);
    const text = Buffer.concat(chunks).toString();
    await post(req, res, text ? JSON.parse(text) : {});
}).listen(Number(process.argv[2]), "127.0.0.1", () => console.log("listening"));
