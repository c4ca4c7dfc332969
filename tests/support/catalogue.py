# SPDX-License-Identifier: Apache-2.0
"""catalogue.py - the statements and migrations of sql/, as tools/gen-catalogue reads them."""
import importlib.machinery
import importlib.util
import pathlib

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def generator():
    path = str(ROOT / "tools" / "gen-catalogue")
    loader = importlib.machinery.SourceFileLoader("gen_catalogue", path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


_generator = generator()


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def with_schema(text, schema):
    return text.replace("lg_checkpoints_schema", quoted(schema)) \
        .replace("lg_checkpoints.", quoted(schema) + ".")


def statements(schema="public"):
    """{(name, form): text} of the PostgreSQL dialect; forms plain, changes, no_row,
    and together, arrays, arrays_changes where there is one."""
    found = {}
    for folder in ("common", "postgres"):
        for name, tokens in _generator.statements(ROOT / "sql" / folder, []).items():
            for form, text in (("plain", _generator.text_of(tokens, "$")),
                               ("changes", _generator.expecting(name, tokens, True)),
                               ("no_row", _generator.expecting(name, tokens, False)),
                               ("together", _generator.together(name, tokens)),
                               *arrays_texts(name)):
                if text:
                    found[name, form] = with_schema(text, schema)
    return found


def arrays_texts(name):
    tokens = _generator.arrays.get(name)
    if tokens:
        yield "arrays", _generator.text_of(tokens, "$")
        if _generator.numbered(name, tokens):
            yield "arrays_changes", _generator.expecting(name, tokens, True)


def for_many(name):
    """Do all texts of the statement take arrays? After statements()."""
    return name in _generator.manies and name not in _generator.arrays


def arrays_of(arguments):
    """SQL arguments, separated by ", ", as arrays with one element each."""
    parts, depth, quoted_part = [""], 0, False
    for c in arguments:
        quoted_part ^= c == "'"
        depth += 0 if quoted_part else (c == "(") - (c == ")")
        if c == "," and depth == 0 and not quoted_part:
            parts.append("")
        else:
            parts[-1] += c
    def array(part):
        if part == "NULL":
            return "'{NULL}'"
        if part.startswith("'") and part.endswith("'"):  # of any type
            return "'{\"" + part[1:-1].replace('"', '\\"') + "\"}'"
        return f"array[{part}]"
    return ", ".join(array(part.strip()) for part in parts)


def migrations(schema="public"):
    """[(version, name, sha256, transaction, [up], [down])]"""
    return [(version, name, digest, transaction, [with_schema(t, schema) for t in up],
             [with_schema(t, schema) for t in down])
            for version, name, digest, transaction, up, down in
            _generator.postgres_migrations_of(ROOT / "sql" / "postgres" / "migrations", [])]


def own(schema="public"):
    """{name: text} of what the driver says for itself."""
    return {name: with_schema(_generator.text_of(tokens, "$"), schema) for name, tokens in
            _generator.statements(ROOT / "sql" / "postgres" / "driver", []).items()}
