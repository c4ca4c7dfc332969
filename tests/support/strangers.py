# SPDX-License-Identifier: Apache-2.0
"""strangers.py - how a stranger tries the routes of savers: cases for the matrix of run-auth."""
import uuid


def checkpoint(thread, metadata=None):
    """What a saver puts."""
    return {"thread_id": thread, "metadata": metadata or {}, "checkpoint": {
        "v": 4, "id": "1f1e8ea1-f030-6ef1-8005-702d82be1291", "channel_versions": {"x": 1}},
        "values": {"x": {"type": "json", "data": "MQ=="}}}


def _nothing(value):
    return value == {"checkpoints": [], "more": False}


def _writes(ids):
    return {"thread_id": ids["thread_id"], "checkpoint_id": ids["checkpoint_id"], "task_id": "t",
            "writes": [{"channel": "x", "type": "null"}]}


# As CASES of run-auth; "hers" is what her saver calls a thread, "her run" a run of it.
SAVERS = {
    "checkpoint_put": lambda w, ids: [("", checkpoint(ids["thread_id"]), "hidden")],
    "checkpoint_put_writes": lambda w, ids: [("", _writes(ids), "hidden")],
    "checkpoint_get": lambda w, ids: [
        ("", {"thread_id": ids["thread_id"]}, "404"), ("", {"thread_id": "hers"}, "404"),
        ("", {"thread_id": ids["thread_id"], "checkpoint_id": ids["checkpoint_id"]}, "404")],
    "checkpoint_search": lambda w, ids: [
        ("", b, _nothing)
        for b in ({}, {"thread_id": ids["thread_id"]}, {"thread_id": "hers", "limit": 100},
                  {"metadata": {"run_id": "her run"}})],
    "checkpoint_delete": lambda w, ids: [
        ("", {"thread_ids": [ids["thread_id"], "hers"], "run_ids": [ids["run_id"], "her run"]},
         "own")],
    "checkpoint_copy": lambda w, ids: [
        ("", {"source_thread_id": ids["thread_id"], "target_thread_id": str(uuid.UUID(int=9))},
         "404"),
        ("", {"source_thread_id": "hers", "target_thread_id": ids["thread_id"]}, "404")],
    "checkpoint_prune": lambda w, ids: [
        ("", {"thread_ids": [ids["thread_id"], "hers"], "strategy": how},
         lambda v: v["pruned_count"] == 0) for how in ("delete", "keep_latest")],
}
