# SPDX-License-Identifier: Apache-2.0
"""holdfast_saver.py - a LangGraph checkpointer that keeps its state in a Holdfast server.

    graph.compile(checkpointer=HoldfastSaver("http://127.0.0.1:2024"))

It is thin: values become a type and bytes here (the serializer's), everything else is the server's
(docs/internals/savers.md). For async graphs, and for others.
"""
import asyncio
import base64
import random

import httpx
from langgraph.checkpoint.base import (BaseCheckpointSaver, CheckpointTuple, get_checkpoint_id,
                                       get_serializable_checkpoint_metadata)
from langgraph.checkpoint.serde.types import TASKS

PAGE = 100


def encoded(data):
    return base64.b64encode(data).decode()


def configured(row, thread_id, checkpoint_id):
    return {"configurable": {"thread_id": thread_id, "checkpoint_ns": row["checkpoint_ns"],
                             "checkpoint_id": checkpoint_id}}


class HoldfastSaver(BaseCheckpointSaver[str]):
    def __init__(self, url, *, headers=None, serde=None):
        super().__init__(serde=serde)
        self.http = httpx.Client(base_url=url, headers=headers, timeout=60)

    def close(self):
        self.http.close()

    # --- the wire

    def _ask(self, method, path, body):
        answer = self.http.request(method, f"/checkpoints{path}", json=body)
        if answer.status_code >= 400:
            raise RuntimeError(f"{method} /checkpoints{path}: {answer.status_code} {answer.text}")
        return answer.json() if answer.content else None

    def _typed(self, value):
        kind, data = self.serde.dumps_typed(value)
        return {"type": kind, "data": encoded(data)}

    def _value(self, typed):
        return self.serde.loads_typed((typed["type"], base64.b64decode(typed["data"])))

    def _tuple(self, row, thread_id=None):
        thread_id = thread_id or row["thread_name"] or row["thread_id"]
        checkpoint, parent = row["checkpoint"], row["parent_checkpoint_id"]
        values = {k: self._value(v) for k, v in row["values"].items()}
        # Deltas leave a mark beside their snapshot: what was put as bytes is the value.
        checkpoint["channel_values"] = {**checkpoint.get("channel_values", {}), **values}
        if checkpoint["v"] < 4 and parent:
            self._take_sends(checkpoint, configured(row, thread_id, parent))
        return CheckpointTuple(
            configured(row, thread_id, row["checkpoint_id"]), checkpoint, row["metadata"],
            configured(row, thread_id, parent) if parent else None,
            [(w["task_id"], w["channel"], self._value(w)) for w in row["writes"]])

    def _take_sends(self, checkpoint, parent):
        """Before version 4 the sends stood in the writes of the checkpoint before."""
        before = self._find(parent) or {"writes": []}
        sends = [self._value(w) for w in before["writes"] if w["channel"] == TASKS]
        if sends:
            versions = checkpoint["channel_versions"]
            checkpoint["channel_values"][TASKS] = sends
            versions[TASKS] = (max(versions.values()) if versions
                               else self.get_next_version(None, None))

    def _find(self, config):
        given = config["configurable"]
        answer = self.http.post("/checkpoints/get", json={
            "thread_id": str(given["thread_id"]), "checkpoint_ns": given.get("checkpoint_ns", ""),
            "checkpoint_id": get_checkpoint_id(config)})
        if answer.status_code == 404:
            return None
        answer.raise_for_status()
        return answer.json()

    # --- the contract

    def get_tuple(self, config):
        row = self._find(config)
        return self._tuple(row, str(config["configurable"]["thread_id"])) if row else None

    def list(self, config, *, filter=None, before=None, limit=None):
        given = config["configurable"] if config else {}
        if config and get_checkpoint_id(config):
            row = self.get_tuple(config)
            yield from [row] if row else []
            return
        ask = {"metadata": filter or {}, "before": get_checkpoint_id(before) if before else None}
        if "thread_id" in given:
            ask["thread_id"] = str(given["thread_id"])
        if "checkpoint_ns" in given:
            ask["checkpoint_ns"] = given["checkpoint_ns"]
        more = True
        while more and limit != 0:
            page = self._ask("POST", "/search", {**ask, "limit": min(limit or PAGE, PAGE)})
            rows, more = page["checkpoints"], page["more"]
            for row in rows:
                yield self._tuple(row, ask.get("thread_id"))
            if rows:
                ask["before"] = rows[-1]["checkpoint_id"]
            if limit is not None:
                limit -= len(rows)

    def put(self, config, checkpoint, metadata, new_versions):
        given = config["configurable"]
        values = checkpoint["channel_values"]
        plain = {k: v for k, v in checkpoint.items() if k != "channel_values"}
        ref = self._ask("PUT", "", {
            "thread_id": str(given["thread_id"]), "checkpoint_ns": given.get("checkpoint_ns", ""),
            "parent_checkpoint_id": get_checkpoint_id(config), "checkpoint": plain,
            "metadata": get_serializable_checkpoint_metadata(config, metadata),
            "values": {k: self._typed(values[k]) for k in new_versions if k in values}})
        return configured(ref, str(given["thread_id"]), ref["checkpoint_id"])

    def put_writes(self, config, writes, task_id, task_path=""):
        given = config["configurable"]
        self._ask("PUT", "/writes", {
            "thread_id": str(given["thread_id"]), "checkpoint_ns": given.get("checkpoint_ns", ""),
            "checkpoint_id": given["checkpoint_id"], "task_id": task_id, "task_path": task_path,
            "writes": [{"channel": c, **self._typed(v)} for c, v in writes]})

    def delete_thread(self, thread_id):
        self._ask("POST", "/delete", {"thread_ids": [str(thread_id)]})

    def delete_for_runs(self, run_ids):
        self._ask("POST", "/delete", {"run_ids": [str(r) for r in run_ids]})

    def copy_thread(self, source_thread_id, target_thread_id):
        self._ask("POST", "/copy", {"source_thread_id": source_thread_id,
                                    "target_thread_id": target_thread_id})

    def prune(self, thread_ids, *, strategy="keep_latest"):
        self._ask("POST", "/prune", {"thread_ids": list(thread_ids), "strategy": strategy})

    def get_next_version(self, current, channel):
        """As the library's own savers count: digits and a fraction, compared as text."""
        number = 0 if current is None else int(str(current).split(".")[0])
        return f"{number + 1:032}.{random.random():016}"

    # --- the same for async graphs

    async def aget_tuple(self, config):
        return await asyncio.to_thread(self.get_tuple, config)

    async def alist(self, config, **how):
        for row in await asyncio.to_thread(lambda: list(HoldfastSaver.list(self, config, **how))):
            yield row

    async def aput(self, config, checkpoint, metadata, new_versions):
        return await asyncio.to_thread(self.put, config, checkpoint, metadata, new_versions)

    async def aput_writes(self, config, writes, task_id, task_path=""):
        await asyncio.to_thread(self.put_writes, config, writes, task_id, task_path)

    async def adelete_thread(self, thread_id):
        await asyncio.to_thread(self.delete_thread, thread_id)

    async def adelete_for_runs(self, run_ids):
        await asyncio.to_thread(self.delete_for_runs, run_ids)

    async def acopy_thread(self, source_thread_id, target_thread_id):
        await asyncio.to_thread(self.copy_thread, source_thread_id, target_thread_id)

    async def aprune(self, thread_ids, *, strategy="keep_latest"):
        await asyncio.to_thread(self.prune, thread_ids, strategy=strategy)
