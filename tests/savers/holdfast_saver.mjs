// SPDX-License-Identifier: Apache-2.0
/* holdfast_saver.mjs - a LangGraph.js checkpointer that keeps its state in a Holdfast server.
 *
 *     graph.compile({ checkpointer: new HoldfastSaver("http://127.0.0.1:2024") })
 *
 * It is thin: values become a type and bytes here (the serializer's), everything else is the
 * server's (docs/internals/savers.md). */
import { BaseCheckpointSaver, maxChannelVersion, TASKS } from "@langchain/langgraph-checkpoint";

const PAGE = 100;
const given = (config) => config?.configurable ?? {};
const configured = (thread_id, checkpoint_ns, checkpoint_id) =>
  ({ configurable: { thread_id, checkpoint_ns, checkpoint_id } });

export class HoldfastSaver extends BaseCheckpointSaver {
  constructor(url, { headers = {}, serde } = {}) {
    super(serde);
    this.url = url;
    this.headers = { "Content-Type": "application/json", ...headers };
  }

  // --- the wire

  async ask(method, path, body, missing = false) {
    const answer = await fetch(`${this.url}/checkpoints${path}`,
      { method, headers: this.headers, body: JSON.stringify(body) });
    const text = await answer.text();
    if (missing && answer.status === 404) return undefined;
    if (!answer.ok) throw new Error(`${method} /checkpoints${path}: ${answer.status} ${text}`);
    return text ? JSON.parse(text) : undefined;
  }

  async typed(value) {
    const [type, bytes] = await this.serde.dumpsTyped(value);
    return { type, data: Buffer.from(bytes).toString("base64") };
  }

  value({ type, data }) {
    return this.serde.loadsTyped(type, new Uint8Array(Buffer.from(data, "base64")));
  }

  find(config) {
    const { thread_id, checkpoint_ns = "", checkpoint_id = null } = given(config);
    return this.ask("POST", "/get", { thread_id, checkpoint_ns, checkpoint_id }, true);
  }

  async tuple(row, thread_id = row.thread_name ?? row.thread_id) {
    const { checkpoint_ns, checkpoint_id, parent_checkpoint_id: parent } = row;
    const values = await Promise.all(Object.entries(row.values)
      .map(async ([channel, typed]) => [channel, await this.value(typed)]));
    const checkpoint = { ...row.checkpoint, channel_values:
      { ...row.checkpoint.channel_values, ...Object.fromEntries(values) } };
    const found = {
      config: configured(thread_id, checkpoint_ns, checkpoint_id),
      checkpoint,
      metadata: row.metadata,
      pendingWrites: await Promise.all(row.writes
        .map(async (w) => [w.task_id, w.channel, await this.value(w)])),
    };
    if (parent) found.parentConfig = configured(thread_id, checkpoint_ns, parent);
    if (parent && checkpoint.v < 4) await this.takeSends(checkpoint, found.parentConfig);
    return found;
  }

  /* Before version 4 the sends stood in the writes of the checkpoint before. */
  async takeSends(checkpoint, parentConfig) {
    const before = await this.find(parentConfig);
    const sends = (before?.writes ?? []).filter((w) => w.channel === TASKS);
    if (sends.length === 0) return;
    const versions = Object.values(checkpoint.channel_versions);
    checkpoint.channel_values[TASKS] = await Promise.all(sends.map((w) => this.value(w)));
    checkpoint.channel_versions[TASKS] =
      versions.length > 0 ? maxChannelVersion(...versions) : this.getNextVersion(undefined);
  }

  // --- the contract

  async getTuple(config) {
    const { thread_id } = given(config);
    if (thread_id === undefined) return undefined;
    const row = await this.find(config);
    return row && this.tuple(row, thread_id);
  }

  async *list(config, { limit, before, filter } = {}) {
    const { thread_id, checkpoint_ns, checkpoint_id } = given(config);
    if (thread_id !== undefined && checkpoint_id !== undefined) {
      const found = await this.getTuple(config);
      if (found) yield found;
      return;
    }
    let bound = given(before).checkpoint_id, left = limit ?? Infinity, more = true;
    while (more && left > 0) {
      const page = await this.ask("POST", "/search", { thread_id, checkpoint_ns, before: bound,
        metadata: filter, limit: Math.min(left, PAGE) });
      for (const row of page.checkpoints) yield await this.tuple(row, thread_id);
      left -= page.checkpoints.length;
      bound = page.checkpoints.at(-1)?.checkpoint_id ?? bound;
      more = page.more;
    }
  }

  async put(config, checkpoint, metadata, newVersions) {
    const { thread_id, checkpoint_ns = "", checkpoint_id = null } = given(config);
    if (thread_id === undefined) throw new Error("put: configurable.thread_id is missing");
    const { channel_values, ...plain } = checkpoint;
    const changed = await Promise.all(Object.keys(newVersions)
      .filter((channel) => channel in channel_values)
      .map(async (channel) => [channel, await this.typed(channel_values[channel])]));
    const ref = await this.ask("PUT", "", { thread_id, checkpoint_ns, metadata, checkpoint: plain,
      parent_checkpoint_id: checkpoint_id, values: Object.fromEntries(changed) });
    return configured(thread_id, checkpoint_ns, ref.checkpoint_id);
  }

  async putWrites(config, writes, task_id, task_path = "") {
    const { thread_id, checkpoint_ns = "", checkpoint_id } = given(config);
    if (thread_id === undefined || checkpoint_id === undefined)
      throw new Error("putWrites: configurable.thread_id or checkpoint_id is missing");
    await this.ask("PUT", "/writes", { thread_id, checkpoint_ns, checkpoint_id, task_id, task_path,
      writes: await Promise.all(writes
        .map(async ([channel, value]) => ({ channel, ...(await this.typed(value)) }))) });
  }

  async deleteThread(threadId) {
    await this.ask("POST", "/delete", { thread_ids: [threadId] });
  }
}
