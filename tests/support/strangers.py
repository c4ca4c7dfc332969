# SPDX-License-Identifier: Apache-2.0
"""strangers.py - how a stranger tries the routes of savers, chats, plans, webhooks, the inbox:
cases for the matrix of run-auth."""
import uuid

import suite


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

# The route is served with --dev only.
SAVERS["internal_truncate"] = lambda w, ids: [("", {"threads": True, "runs": True}, "404")]

# w.busy and w.live: a thread of hers with a run under way.
CHATS = {
    "chat_socket": lambda w, ids: [("", None, "400")],  # no handshake; run-chat has one
    "chat_post": lambda w, ids: [
        ("", {"type": "message", "content": "x", "thread_id": ids["thread_id"], **more}, expect)
        for more, expect in (({}, "422"), ({"assistant_id": "agent"}, "hidden"))] + [
        ("", {"type": "abort", "thread_id": thread}, lambda v: v["runs"] == 0)
        for thread in (ids["thread_id"], w.busy)] + [
        ("", {"type": "abort", "thread_id": thread, "run_id": run}, "404")
        for thread, run in ((ids["thread_id"], ids["run_id"]), (w.busy, w.live))],
    "chat_events": lambda w, ids: [(f"?thread_id={ids['thread_id']}{more}", None, "404")
                                   for more in ("", "&since=0")],
    "chat_session": lambda w, ids: [(f"?thread_id={ids['thread_id']}", None, "404")],
}

PLAN = {"goal": "a goal", "project_id": "hers", "steps": [
    {"name": "a", "tool": "test:fail"}, {"name": "b", "tool": "test:echo"}]}
WORKED = {"goal": "a goal", "steps": [{"name": "a", "tool": "worker:hers"}]}
GATED = {"goal": "a goal", "steps": [
    {"name": "a", "tool": "test:echo", "gates": [{"kind": "manual"}]}]}

HISTORIES = ("/history/hers/events", "/history/hers/checkpoints/latest", "/history/hers/consumers")
SOURCE = {"scheme": "token", "secret": "hers, sixteen bytes"}


def her_plan(world, ask):
    """Ids of a plan run that is over, and of what belongs to plans."""
    made = world.made("/plans/runs", PLAN)
    suite.eventually(lambda: ask(world.server, "GET", f"/plans/runs/{made['id']}",
                                 world.token)[2]["status"] == "failed", "it ends")
    artifact = world.made(f"/plans/runs/{made['id']}/artifacts?name=hers", {"hers": 1})
    dead = ask(world.server, "GET", f"/plans/dead?plan_id={made['id']}", world.token)[2]["dead"]
    world.made("/plans/runs", WORKED)
    gated = world.made("/plans/runs", GATED)
    found = suite.eventually(lambda: ask(
        world.server, "GET", f"/plans/gates?plan_id={gated['id']}", world.token)[2]["gates"],
        "a gate opens")
    world.made("/history/hers/events", {"type": "t", "payload": "hers"}, "PUT")
    kept = world.made("/history/hers/checkpoints", {"payload": "hers"}, "PUT")
    world.made("/history/hers/consumers/her-consumer", {"seq": 1}, "PUT")
    # A public address, as webhooks want it; no event has these types, so nothing is sent.
    hook = world.made("/webhooks", {"url": "http://93.184.216.34/hers", "types": ["run.none"]})
    source = world.made("/inbox/sources", {**SOURCE, "name": str(uuid.uuid4())})
    _, _, answer, _ = ask(world.server, "POST", source["path"], SOURCE["secret"], {"hers": 1})
    template = world.made("/plans/templates", {"name": str(uuid.uuid4()), "plan": PLAN})
    project = world.made("/projects", {"name": str(uuid.uuid4())})
    ask(world.server, "PUT", "/settings/hers", world.token, {"value": "hers"})
    ask(world.server, "PUT", "/preferences/hers", world.token, {"value": "hers"})
    logs = world.made("/logs", {"session_id": str(uuid.UUID(int=77)), "message": "hers"})
    session = world.made("/sessions", {"label": "hers"})
    conversation = world.made("/conversations", {"title": "hers"})
    world.made(f"/conversations/{conversation['conversation_id']}/messages",
               {"content": "hers", "id": "hers", "assistant_id": "agent"})
    return {"log_id": logs["ids"][0], "insight_id": str(uuid.uuid4()), "job": "store.items",
            "session_id": session["session_id"], "account_id": str(uuid.uuid4()),
            "session": "hers", "her_checkpoint": kept["checkpoint_id"],
            "consumer": "her-consumer", "project_id": project["id"], "key": "hers",
            "template_id": template["template_id"],
            "conversation_id": conversation["conversation_id"], "message_id": "hers",
            "source_id": source["source_id"], "delivery_id": answer["delivery_id"],
            "plan_id": made["id"], "position": "7654321", "artifact_id": artifact["id"],
            "gate_id": found[0]["id"], "dead_id": dead[0]["id"], "queue": "hers",
            "webhook_id": hook["webhook_id"]}


MADE = ("/threads", "/assistants", "/conversations")  # under ids that clients may say
LAST = "ffffffff-ffff-ffff-ffff-ffffffffffff"


def _not_hers(ids):
    return lambda v: ids["plan_id"] not in [r["id"] for r in v["runs"]]


def _unknown(w, ids):
    return [("", None, "404")]


def _gate(body):
    return lambda w, ids: [("", body, "404")]


def _work(more):
    return lambda w, ids: [("", {"work": [{"plan_id": ids["plan_id"], "position": 0, "token": 1,
                                           **more}]}, "404")]


# As CASES of run-auth.
PLANS = {
    "plan_gate_list": lambda w, ids: [
        (q, None, lambda v: ids["gate_id"] not in [g["id"] for g in v["gates"]])
        for q in ("", "?status=pending&limit=100", f"?plan_id={ids['plan_id']}",
                  "?after=00000000-0000-0000-0000-000000000000")],
    "plan_gate_get": _unknown, "plan_gate_approve": _gate({}),
    "plan_gate_reject": _gate({"reason": "no"}), "plan_gate_waive": _gate({"reason": "no"}),
    "plan_gate_evidence": _gate({"metrics": {"x": 1}}),
    "plan_dead_list": lambda w, ids: [
        (q, None, lambda v: ids["dead_id"] not in [d["id"] for d in v["dead"]]) for q in (
            "", "?project_id=hers", f"?plan_id={ids['plan_id']}", "?tool=test:fail&limit=100")],
    "plan_dead_rehydrate": _unknown, "plan_dead_discard": _unknown,
    "plan_dead_rehydrate_many": lambda w, ids: [
        ("", body, lambda v: ids["plan_id"] not in [
            p["plan_id"] for p in v["plans"] + v["skipped"]])
        for body in ({}, {"plan_id": ids["plan_id"]}, {"project_id": "hers", "tool": "test:fail"})],
    "plan_dead_discard_many": lambda w, ids: [
        ("", {"plan_id": ids["plan_id"]}, lambda v: v["dead"] == 0)],
    "plan_rerun": lambda w, ids: [("", {}, "404"), ("", {"from": "failed"}, "404")],
    "plan_work_claim": lambda w, ids: [("", {"worker_id": "his"}, lambda v: v["work"] == [])],
    "plan_work_heartbeat": _work({}), "plan_work_complete": _work({"output": 1}),
    "plan_work_fail": _work({"error": "x"}),
    "plan_work_events": _work({"events": [{"message": "m"}]}),
    "plan_create": lambda w, ids: [("", {**PLAN, "project_id": "mine"},
                                    lambda v: v["steps"]["total"] == 2),
                                   ("", {"template": ids["template_id"]}, "404")],
    "plan_preview": lambda w, ids: [("", PLAN, lambda v: v["project_id"] == "hers"),
                                    ("", {"template": ids["template_id"]}, "404")],
    "plan_list": lambda w, ids: [
        (q, None, _not_hers(ids)) for q in ("", "?project_id=hers", "?status=failed",
                                            f"?before={ids['plan_id']}&limit=100")],
    "plan_get": _unknown, "plan_step_list": _unknown, "plan_events": _unknown,
    "plan_cancel": _unknown, "plan_step_cancel": _unknown, "plan_step_retry": _unknown,
    "artifact_list": _unknown, "artifact_list_step": _unknown, "artifact_get": _unknown,
    "artifact_content": _unknown,
    "artifact_create": lambda w, ids: [("?name=x", {"not": "hers"}, "404")],
    "plan_template_create": lambda w, ids: [
        ("", {"name": str(uuid.uuid4()), "plan": PLAN}, lambda v: v["version"] == 1)],
    "plan_template_list": lambda w, ids: [
        ("", None, lambda v: ids["template_id"] not in [t["template_id"] for t in v["templates"]])],
    "plan_template_get": _unknown, "plan_template_delete": _unknown,
    "plan_template_patch": lambda w, ids: [("", {"name": "his"}, "404")],
    "project_create": lambda w, ids: [
        ("", {"name": str(uuid.uuid4())}, lambda v: v["version"] == 1)],
    "project_list": lambda w, ids: [
        ("", None, lambda v: ids["project_id"] not in [p["id"] for p in v["projects"]])],
    "project_get": _unknown, "project_delete": _unknown,
    "project_patch": lambda w, ids: [("", {"name": "his"}, "404")],
    "preference_list": lambda w, ids: [
        (q, None, lambda v: v == {"preferences": []}) for q in ("", "?keys=hers")],
    "preference_effective": lambda w, ids: [
        ("", None, lambda v: "hers" not in v), (f"?thread_id={ids['thread_id']}", None, "404")],
    "preference_put_all": lambda w, ids: [("", {}, lambda v: v == {"preferences": []})],
    "preference_get": _unknown, "preference_delete": lambda w, ids: [("", None, "own")],
    "preference_put": lambda w, ids: [("", {"value": "his"}, lambda v: v["value"] == "his")],
    "preference_override_list": _unknown, "preference_override_delete": _unknown,
    "preference_override_put": lambda w, ids: [("", {"value": "his"}, "404")],
    "session_list": lambda w, ids: [
        (q, None, lambda v: v == {"sessions": [], "next": None})
        for q in ("", "?before=ffffffff-ffff-ffff-ffff-ffffffffffff&limit=100")],
    "session_current": _unknown, "session_delete_current": _unknown, "session_delete": _unknown,
    "session_create": lambda w, ids: [("", {"label": "his"}, lambda v: v["label"] == "his")],
    "session_delete_all": lambda w, ids: [("", None, lambda v: v["deleted"] >= 0)],
    # Accounts are made by logins alone; run-sessions has hers and his.
    "account_list": lambda w, ids: [("", None, lambda v: v == {"accounts": [], "next": None})],
    "account_delete": _unknown,
    "conversation_list": lambda w, ids: [
        (q, None, lambda v: ids["conversation_id"] not in [
            c["conversation_id"] for c in v["conversations"]])
        for q in ("", "?archived=true", f"?before=253402300799999999:{LAST}",
                  "?after=0:00000000-0000-0000-0000-000000000000&limit=200")],
    "conversation_search": lambda w, ids: [
        ("?q=hers", None, lambda v: v["conversations"] == [])],
    "conversation_create": lambda w, ids: [
        ("", {"title": "his"}, lambda v: v["title"] == "his"),
        ("", {"conversation_id": ids["conversation_id"]}, "404")],
    "conversation_get": _unknown, "conversation_delete": _unknown,
    "conversation_patch": lambda w, ids: [("", {"title": "his"}, "404")],
    "conversation_message_list": lambda w, ids: [
        (q, None, "404") for q in ("", "?limit=500", f"?after=0:{LAST}")],
    "conversation_message_post": lambda w, ids: [
        ("", {"content": "his", "assistant_id": "agent", "run": run}, "404")
        for run in (False, True)],
    "conversation_message_edit": lambda w, ids: [("", {"content": "his"}, "404")],
    "conversation_branch_list": _unknown,
    "conversation_branch_switch": lambda w, ids: [("", {}, "404")],
    "setting_list": lambda w, ids: [("", None, lambda v: "hers" not in v)],
    "setting_patch": lambda w, ids: [("", {"hers": None, "his": 1}, lambda v: v == {"his": 1})],
    "setting_get": _unknown, "setting_delete": lambda w, ids: [("", None, "own")],  # after his put
    "setting_put": lambda w, ids: [("", {"value": "his"},
                                    lambda v: v == {"key": "hers", "value": "his"})],
    "inbox_source_create": lambda w, ids: [
        ("", {"name": str(uuid.uuid4())}, lambda v: v["action"] == {"kind": "keep"})],
    "inbox_source_list": lambda w, ids: [
        ("", None, lambda v: ids["source_id"] not in [s["source_id"] for s in v])],
    "inbox_source_get": _unknown, "inbox_source_delete": _unknown,
    "inbox_source_patch": lambda w, ids: [("", {"name": "his"}, "404")],
    "inbox_list": lambda w, ids: [
        (q, None, lambda v: v == {"deliveries": [], "next": None})
        for q in ("", "?status=failed", f"?source_id={ids['source_id']}",
                  "?before=ffffffff-ffff-ffff-ffff-ffffffffffff&limit=100")],
    "inbox_get": _unknown, "inbox_delete": _unknown, "inbox_retry": _unknown,
    "webhook_create": lambda w, ids: [
        ("", {"url": "http://93.184.216.34/his", "types": ["plan.none"]},
         lambda v: "/his" in v["url"])],
    "webhook_list": lambda w, ids: [
        ("", None, lambda v: ids["webhook_id"] not in [h["webhook_id"] for h in v])],
    "webhook_get": _unknown, "webhook_delete": _unknown, "webhook_enable": _unknown,
    "webhook_replay": lambda w, ids: [("", {"plan_id": ids["plan_id"]}, "404")],
    "history_session_list": lambda w, ids: [
        (q, None, lambda v: v == {"sessions": [], "next": None})
        for q in ("", "?after=&limit=1000", "?after=her")],
    "history_session_get": _unknown, "history_session_delete": _unknown,
    # From here on he has a session of his own under the name of hers.
    "history_append": lambda w, ids: [
        ("", {"type": "t", "payload": "his"}, lambda v: v["events"][0]["seq"] == 1)],
    "history_read": lambda w, ids: [
        ("", None, lambda v: [e["payload"] for e in v["events"]] == ["his"])],
    "history_checkpoint_put": lambda w, ids: [
        ("", {"payload": "his", "checkpoint_id": ids["her_checkpoint"]},
         lambda v: v["parent_id"] is None)],
    "history_checkpoint_list": lambda w, ids: [
        ("", None, lambda v: len(v["checkpoints"]) == 1)],
    "history_checkpoint_get": _unknown, "history_checkpoint_rollback": _unknown,
    "history_consumer_list": lambda w, ids: [("", None, lambda v: v == {"consumers": []})],
    "history_consumer_ack": lambda w, ids: [("", {"seq": 1}, lambda v: v["acked_seq"] == 1)],
    "history_consumer_delete": lambda w, ids: [("", None, "own")],
    "history_retention_get": lambda w, ids: [
        ("", None, lambda v: v == {"max_age_ms": None, "max_events": None})],
    "history_retention_put": lambda w, ids: [
        ("", {"max_events": 7}, lambda v: v["max_events"] == 7)],
    "log_create": lambda w, ids: [
        ("", {"session_id": str(uuid.UUID(int=77)), "message": "his"},
         lambda v: ids["log_id"] not in v["ids"])],
    "log_list": lambda w, ids: [
        (q, None, lambda v: ids["log_id"] not in [log["id"] for log in v["logs"]])
        for q in ("", f"?session_id={uuid.UUID(int=77)}", "?level=info", "?category=general")],
    "log_delete_session": lambda w, ids: [
        (f"?session_id={uuid.UUID(int=77)}", None, lambda v: v["deleted"] < 2)],
    "log_tiers": lambda w, ids: [("", None, lambda v: sum(t["rows"] for t in v["tiers"]) < 2)],
    "log_insight_list": lambda w, ids: [  # run-agent-logs has those of two owners
        (q, None, lambda v: v == {"insights": [], "next": None})
        for q in ("", f"?session_id={uuid.UUID(int=77)}", "?category=general", "?q=hers")],
    "log_insight_get": _unknown, "log_insight_delete": _unknown,
    "log_get": _unknown, "log_delete": _unknown,
    **dict.fromkeys(("job_list", "job_get", "job_run"), lambda w, ids: [("", None, "403")]),
    "perf": lambda w, ids: [
        ("", None, lambda v: not any(str(i) in str(v) for i in ids.values() if i))],
}
