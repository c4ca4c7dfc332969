"""storage.py - one conversation of 500 turns: what it takes on disk, and what each turn costs.

On SQLite in the native layout: bytes of the file, pages written; with --database on PostgreSQL, in
LangGraph's layout and in the native one: bytes of the tables, bytes of the write-ahead log. On both
statements and the server's CPU. Figures are means over PARTS equal parts of the conversation, so
that growth shows.
"""
import pathlib
import sys

import harness as h

sys.path.insert(0, str(h.ROOT / "tests" / "support"))
import growth  # noqa: E402

TURNS = 500
PARTS = 10
SIZE_MB_MAX = 5
GROWTH_MAX = 1.1  # of what the database does for a turn, last part over the second


def parts_of(turns):
    """Means by part; the first turn makes the thread's first rows and is left out."""
    size = len(turns) // PARTS
    out = []
    for i in range(PARTS):
        part = turns[max(1, i * size):(i + 1) * size]
        names = set().union(*part)
        out.append({"turns": [i * size, (i + 1) * size],
                    **{name: growth.mean(part, name) for name in sorted(names)}})
    return out


def converse(server, turns, streamed=False, **more):
    talk = growth.Conversation(server.port, server.pid, **more)
    for _ in range(turns):
        talk.turn(streamed)
    return talk


def file_bytes(folder):
    return sum(p.stat().st_size for p in pathlib.Path(folder).iterdir() if p.suffix == ".db")


def on_sqlite(model, turns, streamed=False):
    folder = h.fresh_folder("storage")
    with h.server(folder, model):
        pass
    empty = file_bytes(folder)
    with h.server(folder, model) as server:
        talk = converse(server, turns, streamed, wal=growth.Wal(folder / "holdfast.db-wal"))
        states = talk.read_all()
    return {"bytes": file_bytes(folder) - empty, "empty_bytes": empty, "states": states,
            "parts": parts_of(talk.turns)}


def on_postgres(model, cluster, turns, layout):
    url = cluster.new_database()
    name = url.rsplit("/", 1)[1]

    def number(sql):
        return int(cluster.postgres.psql(sql, name)[0][0])

    def log_bytes():
        return number("SELECT pg_current_wal_lsn() - '0/0'")

    def stored():
        cluster.postgres.psql("VACUUM", name)
        return number("SELECT sum(pg_total_relation_size(c.oid))::bigint FROM pg_class c "
                      "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND "
                      "n.nspname IN ('holdfast', 'langgraph_server', 'public')")

    with h.server(h.fresh_folder("storage"), model, database=url,
                  options=("--checkpoints", layout)) as server:
        empty = stored()
        talk = converse(server, turns, log_bytes=log_bytes)
        states = talk.read_all()
        return {"bytes": stored() - empty, "empty_bytes": empty, "states": states,
                "parts": parts_of(talk.turns)}


def of_growth(figures, name):
    return figures["parts"][-1][name] / figures["parts"][1][name]


def bench(args, clusters):
    turns = args.turns or TURNS
    method = (f"{turns} turns of runs/wait, each a question and an answer of "
              f"{growth.MESSAGE_BYTES:,} bytes; every state of the past is read afterwards by the "
              "before-cursor and compared with what was said. Size is the growth of the ")
    if args.database:
        with clusters() as cluster, h.mock(delay_ms=0) as model:
            result = h.Result("storage-postgres", method + "tables with their indexes, after "
                              "VACUUM", cluster)
            for layout in ("langgraph", "native"):
                figures = result.figures[layout] = on_postgres(model, cluster, turns, layout)
                h.say(f"{layout}: {figures['bytes']:,} bytes")
    else:
        with h.mock(delay_ms=0) as model:
            result = h.Result("storage", method + "file, once its log has been written back")
            for name, streamed in (("wait", False), ("streamed", True)):
                figures = result.figures[name] = on_sqlite(model, turns, streamed)
                h.say(f"{name}: {figures['bytes']:,} bytes")
    native = result.figures["native" if args.database else "wait"]
    result.target(f"a conversation of {turns} turns, native layout", native["bytes"] / 1e6, "MB",
                  at_most=SIZE_MB_MAX)
    if not args.database:
        result.target("pages written for a turn, last tenth over the second",
                      of_growth(native, "pages"), "x", at_most=GROWTH_MAX)
    result.target("statements of a turn, last tenth over the second",
                  of_growth(native, "statements"), "x", at_most=GROWTH_MAX)
    result.save()
