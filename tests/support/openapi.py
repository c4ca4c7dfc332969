# SPDX-License-Identifier: Apache-2.0
"""openapi.py - answers checked against spec/openapi.json.

check() takes what was asked and what came back, finds the operation by the path's template, and
validates body and status. Streams are checked by their content type only; their frames have tests
of their own. UUIDs and times are checked by their formats.
"""
import datetime
import json
import re
import uuid

import jsonschema

from suite import ROOT


def _format_checker():
    formats = jsonschema.FormatChecker(formats=())

    @formats.checks("uuid", raises=ValueError)
    def is_uuid(value):
        return not isinstance(value, str) or str(uuid.UUID(value)) == value

    @formats.checks("date-time", raises=ValueError)
    def is_time(value):
        return (not isinstance(value, str) or
                datetime.datetime.fromisoformat(value.replace("Z", "+00:00")).tzinfo is not None)

    return formats


class OpenApi:
    def __init__(self):
        self.document = json.loads((ROOT / "spec" / "openapi.json").read_text())
        self.formats = _format_checker()
        self.templates = []
        for template, operations in self.document["paths"].items():
            pattern = re.compile("^" + re.sub(r"\\\{[^}]*\\\}", "[^/]+", re.escape(template)) + "$")
            self.templates.append((template.count("{"), template, pattern, operations))
        self.templates.sort(key=lambda t: t[0])
        self.checked = 0

    def operation(self, method, path):
        path = path.split("?")[0]
        for _, template, pattern, operations in self.templates:
            if pattern.match(path) and method.lower() in operations:
                return template, operations[method.lower()]
        return None, None

    def validate(self, schema, value, what, selected=False):
        validator = jsonschema.Draft202012Validator(
            {**schema, "components": self.document["components"]}, format_checker=self.formats)
        faults = [f"{'/'.join(map(str, e.absolute_path))}: {e.message[:300]}"
                  for e in validator.iter_errors(value)
                  if not (selected and e.validator == "required" and len(e.absolute_path) <= 1)]
        if faults:
            raise AssertionError(f"{what} does not match spec/openapi.json: {faults[:5]}")
        self.checked += 1

    def check(self, method, path, status, content_type, body, selected=False):
        """selected: the request named the members it wants of each item."""
        template, operation = self.operation(method, path)
        if not operation:
            return
        what = f"{method} {template} {status}"
        responses = operation["responses"]
        response = responses.get(str(status)) or (responses["default"] if status >= 400 else None)
        if response is None:
            raise AssertionError(f"{what}: only {list(responses)} are described")
        content = response.get("content")
        if not content:
            if body:
                raise AssertionError(f"{what}: has a body: {body[:200]!r}")
            return
        kind = (content_type or "").split(";")[0].strip()
        if kind not in content:
            raise AssertionError(f"{what}: content type {kind!r}, described are {list(content)}")
        if kind == "application/json":
            self.validate(content[kind]["schema"], json.loads(body), what, selected)
