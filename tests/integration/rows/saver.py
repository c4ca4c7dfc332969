# SPDX-License-Identifier: Apache-2.0
"""saver.py - a LangGraph process: small graphs with the PostgreSQL checkpointer of the library.

usage: saver.py URL THREAD full | resume | say TEXT | read | research | answer VALUE
       saver.py URL THREAD delta TEXT… | ask [QUESTION ANSWER]
full runs a graph with tools, fan-out and many types up to an interrupt, resume ends it; say adds a
message and an answer to a thread's list of messages; read prints the state and the history that the
library sees. research and answer go on with the first phase of the server's research_agent, in
nodes of these names. delta says each text to a graph with delta channels, and prints each state of
the thread as it sees it; without a text it only reads. ask runs two questions at once up to them,
if none are asked, and answers one. Prints one JSON value.
"""
import datetime
import decimal
import json
import operator
import sys
import uuid
from typing import Annotated, Any, TypedDict

from langchain_core.messages import (AIMessage, HumanMessage, RemoveMessage, SystemMessage,
                                     ToolMessage)
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.graph import START, StateGraph
from langgraph.graph.message import _messages_delta_reducer, add_messages
from langgraph.types import Command, Overwrite, Send, interrupt


class Full(TypedDict):
    messages: Annotated[list, add_messages]
    note: str
    extra: Any
    parts: Annotated[list, operator.add]


class Research(TypedDict):
    messages: Annotated[list, add_messages]
    topic: str
    phase: int
    tasks: list
    findings: Annotated[list, operator.add]
    phase1_results: list
    approved: Any
    feedback: Any


class Delta(TypedDict):
    messages: Annotated[list, DeltaChannel(_messages_delta_reducer)]
    parts: Annotated[list, DeltaChannel(lambda all, new: all + sum(new, []), list,
                                        snapshot_frequency=3)]
    files: Annotated[dict, DeltaChannel(lambda all, new: {k: v for one in (all, *new)
                                                          for k, v in one.items()}, dict)]
    sure: bool
    note: str


class Ask(TypedDict):
    log: Annotated[list, operator.add]


class Chat(TypedDict):
    messages: Annotated[list, add_messages]


EXTRA = {"t": (1, 2), "s": {3}, "d": datetime.datetime(2024, 1, 2, tzinfo=datetime.timezone.utc),
         "b": b"\x00\xff", "u": uuid.UUID(int=5), "dec": decimal.Decimal("1.5"), 5: "key",
         "f": 1.5, "big": 2**63, "none": None, "text": "h\u00e9 \U0001f600"}


def agent(state):
    if len(state["messages"]) > 1:
        return {"messages": [AIMessage([{"type": "text", "text": "42"}], id="a2")]}
    call = {"name": "calc", "args": {"e": "6*7"}, "id": "c1"}
    usage = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
    return {"messages": [AIMessage("", id="a1", tool_calls=[call], usage_metadata=usage)],
            "note": "n", "extra": EXTRA}


def tools(_):
    return {"messages": [ToolMessage("42", tool_call_id="c1", name="calc", id="t1",
                                     artifact={"k": 1}), SystemMessage("sys", id="s1")],
            "note": None}


def ask(_):
    return {"note": str(interrupt({"q": "ok?"}))}


def full(saver):
    graph = StateGraph(Full)
    graph.add_node("agent", agent)
    graph.add_node("tools", tools)
    graph.add_node("fan", lambda _: {})
    graph.add_node("worker", lambda state: {"parts": [state["n"]]})
    graph.add_node("ask", ask)
    graph.add_edge(START, "agent")
    graph.add_conditional_edges(
        "agent", lambda s: "tools" if s["messages"][-1].tool_calls else "fan", ["tools", "fan"])
    graph.add_edge("tools", "agent")
    graph.add_conditional_edges(
        "fan", lambda _: [Send("worker", {"n": 1}), Send("worker", {"n": 2})], ["worker"])
    graph.add_edge("worker", "ask")
    return graph.compile(checkpointer=saver)


def review(state):
    answer = interrupt({"by": "python", "results": state["phase1_results"]})
    return {"approved": answer == "yes", "feedback": answer}


def research(saver):
    graph = StateGraph(Research)
    graph.add_node("analyzer_1", lambda _: {"tasks": [{"description": "again"}]})
    graph.add_node("worker_1", lambda item: {"findings": [{"title": item["description"]}]})
    graph.add_node("aggregator_1", lambda s: {"phase1_results": s["findings"]})
    graph.add_node("review_1", review)
    graph.add_node("set_phase2", lambda _: {"phase": 2})
    graph.add_edge(START, "analyzer_1")
    graph.add_conditional_edges("analyzer_1", lambda s: [Send("worker_1", t) for t in s["tasks"]],
                                ["worker_1"])
    graph.add_edge("worker_1", "aggregator_1")
    graph.add_edge("aggregator_1", "review_1")
    graph.add_conditional_edges(
        "review_1", lambda s: "set_phase2" if s["approved"] else "analyzer_1",
        ["set_phase2", "analyzer_1"])
    return graph.compile(checkpointer=saver)


def research_seen(state):
    return {"next": list(state.next), "tasks": [[t.id, t.name] for t in state.tasks],
            "interrupts": [[i.id, i.value] for i in state.interrupts],
            "values": {k: v for k, v in state.values.items() if k != "messages"}}


def chat(saver):
    graph = StateGraph(Chat)
    graph.add_node("answer", lambda s: {"messages": [
        AIMessage("echo " + str(s["messages"][-1].content), id=str(uuid.uuid4()))]})
    graph.add_edge(START, "answer")
    return graph.compile(checkpointer=saver)


def delta(saver):
    def answer(state):
        text = str(state["messages"][-1].content)
        if text == "forget":
            return {"messages": [RemoveMessage(state["messages"][0].id)], "parts": Overwrite([0])}
        return {"messages": [AIMessage("echo " + text, id=str(uuid.uuid4()))], "parts": [text],
                "files": {text: len(state["parts"]), "last": text}, "sure": True, "note": text}

    graph = StateGraph(Delta)
    graph.add_node("answer", answer)
    graph.add_node("more", lambda s: {"parts": ["more"]})
    graph.add_node("less", lambda s: {"parts": ["less"]})
    graph.add_edge(START, "answer")
    graph.add_edge("answer", "more")
    graph.add_edge("answer", "less")
    return graph.compile(checkpointer=saver)


def delta_seen(state):
    values = dict(state.values)
    values["messages"] = [[m.type, m.content, m.id] for m in values.get("messages", [])]
    return {"id": state.config["configurable"]["checkpoint_id"], "next": sorted(state.next),
            "values": values}


def ask_graph(saver):
    graph = StateGraph(Ask)
    graph.add_node("one", lambda s: {"log": [interrupt("first")]})
    graph.add_node("two", lambda s: {"log": [interrupt("second")]})
    graph.add_edge(START, "one")
    graph.add_edge(START, "two")
    return graph.compile(checkpointer=saver)


def ask_command(graph, config, rest):
    if not graph.get_state(config).interrupts:
        graph.invoke({"log": ["in"]}, config)
    if not rest:
        return
    ids = {i.value: i.id for i in graph.get_state(config).interrupts}
    graph.invoke(Command(resume={ids[rest[0]]: rest[1]}), config)


def seen(state):
    messages = state.values.get("messages", [])
    return {"messages": [[m.type, m.content, m.id] for m in messages], "next": list(state.next),
            "calls": [m.tool_calls for m in messages if m.type == "ai"],
            "id": state.config["configurable"]["checkpoint_id"],
            "step": state.metadata["step"], "source": state.metadata["source"]}


def main():
    url, thread, command, *rest = sys.argv[1:]
    config = {"configurable": {"thread_id": thread}}
    with PostgresSaver.from_conn_string(url) as saver:
        saver.setup()
        if command == "full":
            full(saver).invoke({"messages": [HumanMessage("hi", id="h1")]}, config)
        elif command == "resume":
            full(saver).invoke(Command(resume="yes"), config)
        elif command in ("research", "answer"):
            graph = research(saver)
            before = research_seen(graph.get_state(config))
            graph.invoke(Command(resume=rest[0]) if command == "answer" else None, config)
            print(json.dumps({"before": before, "after": research_seen(graph.get_state(config))}))
            return
        elif command == "ask":
            graph = ask_graph(saver)
            ask_command(graph, config, rest)
            print(json.dumps(research_seen(graph.get_state(config))))
            return
        elif command == "delta":
            graph = delta(saver)
            for text in rest:
                graph.invoke({"messages": [HumanMessage(text, id=str(uuid.uuid4()))]}, config)
            print(json.dumps([delta_seen(s) for s in graph.get_state_history(config)]))
            return
        elif command == "say":
            chat(saver).invoke({"messages": [HumanMessage(rest[0], id=str(uuid.uuid4()))]}, config)
        graph = chat(saver)
        print(json.dumps({"state": seen(graph.get_state(config)),
                          "history": [seen(s) for s in graph.get_state_history(config)]}))


main()
