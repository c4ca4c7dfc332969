# SPDX-License-Identifier: Apache-2.0
"""graph.py - a LangGraph process whose state lies in a Holdfast server.

usage: graph.py URL THREAD begin | die | answer VALUE | go on | say TEXT | delta N | read | history
begin runs a graph to a question that a subgraph asks, while a sibling finishes; die is killed in
the middle of a step, after a sibling has finished; answer and go end either. say adds to a
conversation, delta adds N turns to one whose list is a delta channel. Prints one JSON value: the
state as the library sees it, and how often each node ran in this process.
"""
import json
import operator
import os
import signal
import sys
from typing import Annotated, Any, TypedDict

from holdfast_saver import HoldfastSaver
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.channels.delta import DeltaChannel
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command, interrupt

URL, THREAD, WHAT, *REST = sys.argv[1:]
CONFIG = {"configurable": {"thread_id": THREAD}}
ran = {}


class State(TypedDict):
    messages: Annotated[list, add_messages]
    parts: Annotated[list, operator.add]
    extra: Any


def joined(state, writes):
    return state + [item for write in writes for item in write]


class Delta(TypedDict):
    turns: Annotated[list, DeltaChannel(joined, list, snapshot_frequency=7)]
    last: str


def counted(name, function):
    def node(state):
        ran[name] = ran.get(name, 0) + 1
        return function(state)
    return node


def ask(state):
    return {"messages": [AIMessage(f"you said {interrupt({'q': 'what?'})}", id="answer")]}


def slow(_):
    if WHAT == "die":
        # The sibling's writes are durable before this ends: the saver is asked.
        while not ((found := saver.get_tuple(CONFIG))
                   and any(w[1] == "parts" for w in found.pending_writes)):
            pass
        os.kill(os.getpid(), signal.SIGKILL)
    return {"parts": ["slow"]}


def compiled(saver, kind):
    child = StateGraph(State)
    child.add_node("ask", counted("ask", ask))
    child.add_edge(START, "ask")
    graph = StateGraph(State)
    graph.add_node("open", counted("open", lambda _: {
        "messages": [AIMessage("begun", id="open")], "extra": {"set": {1, 2}, "bytes": b"\0\xff"}}))
    graph.add_node("quick", counted("quick", lambda _: {"parts": ["quick"]}))
    graph.add_node("other", child.compile() if kind == "question" else counted("other", slow))
    graph.add_node("close", counted("close", lambda s: {"parts": [f"of {len(s['messages'])}"]}))
    graph.add_edge(START, "open")
    graph.add_edge("open", "quick")
    graph.add_edge("open", "other")
    graph.add_edge(["quick", "other"], "close")
    return graph.compile(checkpointer=saver)


def delta(saver):
    graph = StateGraph(Delta)
    graph.add_node("one", lambda s: {"turns": [f"{len(s['turns'])}a"]})
    graph.add_node("two", lambda s: {"turns": [f"{len(s['turns'])}b"], "last": "two"})
    graph.add_edge(START, "one")
    graph.add_edge("one", "two")
    return graph.compile(checkpointer=saver)


def talk(saver):
    graph = StateGraph(State)
    graph.add_node("agent", lambda s: {"messages": [AIMessage(f"turn {len(s['messages'])}")]})
    graph.add_edge(START, "agent")
    return graph.compile(checkpointer=saver)


def shown(state):
    values = {k: [m.content for m in v] if k == "messages" else v for k, v in state.values.items()}
    return {"values": json.loads(json.dumps(values, default=repr)), "next": list(state.next),
            "step": state.metadata["step"], "id": state.config["configurable"]["checkpoint_id"],
            "interrupts": [i.value for t in state.tasks for i in t.interrupts]}


saver = HoldfastSaver(URL)
graph = compiled(saver, "question")
if WHAT == "begin":
    graph.invoke({"messages": [HumanMessage("hello", id="h1")]}, CONFIG)
elif WHAT == "answer":
    graph.invoke(Command(resume=REST[0]), CONFIG)
elif WHAT in ("die", "go"):
    graph = compiled(saver, "slow")
    graph.invoke({"messages": [HumanMessage("hello", id="h1")]} if WHAT == "die" else None, CONFIG)
elif WHAT == "say":
    graph = talk(saver)
    graph.invoke({"messages": [HumanMessage(REST[0])]}, CONFIG)
elif WHAT == "delta":
    graph = delta(saver)
    for turn in range(int(REST[0])):
        graph.invoke({"turns": [f"in {turn}"]}, CONFIG)
if WHAT == "history":
    print(json.dumps([shown(s) for s in graph.get_state_history(CONFIG)]))
else:
    print(json.dumps({**shown(graph.get_state(CONFIG)), "ran": ran}))
