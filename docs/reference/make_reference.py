"""Writes the reference pages that follow from the code: settings, command line, HTTP.

`make docs` runs it first; a test compares its pages with those that are committed.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections import UserDict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args
from unittest.mock import Mock

import typer
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from sphinx.pycode import ModuleAnalyzer
from typer.core import TyperGroup
from typer.main import get_command

from backend.app import create_app
from backend.cli import app
from backend.ports import ProjectSettings
from backend.problems import RESPONSES
from backend.settings import SECRETS, Settings, read_settings

FOLDER = Path(__file__).parent
NOTE = "% Written by make_reference.py from {source}; change it there, then run `make docs`.\n\n"


def pages() -> dict[str, str]:
    """File name -> content of every generated page."""
    return {
        "settings.md": NOTE.format(source="backend/settings.py and backend/ports.py") + settings_page(),
        "cli.md": NOTE.format(source="backend/cli.py") + command_line_page(),
        "http.md": NOTE.format(source="backend/app.py") + http_page(),
    }


def settings_page() -> str:
    secrets = ", ".join(f"`{name}`" for name in SECRETS)
    return "\n".join(
        [
            "# Settings\n",
            "## Of a project\n",
            "Given in the connection's *Extra params* as JSON, such as"
            ' `{"budget": "15%", "min_confidence": 0.3}`, or by `allabel connect PROJECT --set NAME=VALUE`. '
            "Later changes are made in the same two places; a setting that is taken out there keeps its last "
            "value, so set it to its default instead. What they do: "
            "[Pre-annotation](../pre-annotation.md), [Strategies](../selection.md).\n",
            *_table(("setting", "default", "meaning"), _project_settings()),
            "\n## Of the service\n",
            "Environment variables of `allabel serve`, `allabel worker` and every other command; they are "
            "read once, at the start. An empty variable counts as not set. `.env.example` in the "
            f"repository lists them for copying. Secrets ({secrets}) can also be read from a file: "
            "`OPENAI_API_KEY_FILE=/run/secrets/openai`, and so on.\n",
            *_table(("variable", "default", "allowed", "meaning"), _service_settings()),
            "",
        ]
    )


def _project_settings() -> Iterator[tuple[str, ...]]:
    said = _said_below("backend.ports", "ProjectSettings")
    for field in dataclasses.fields(ProjectSettings):
        yield f"`{field.name}`", f"`{json.dumps(field.default)}`", said[field.name]


def _service_settings() -> Iterator[tuple[str, ...]]:
    said = _said_below("backend.settings", "Settings")
    for name, field in Settings.model_fields.items():
        default = field.default
        if isinstance(default, SecretStr):
            default = default.get_secret_value()
        shown = "" if default in ("", None) else f"`{default}`"
        yield f"`{field.alias}`", shown, _allowed(field), said[name]


def _said_below(module: str, owner: str) -> Mapping[str, str]:
    """Attribute -> the docstring below it."""
    documented = ModuleAnalyzer.for_module(module).find_attr_docs()
    said = {name: " ".join(lines).strip() for (cls, name), lines in documented.items() if cls == owner}
    return _Said(said, f"say what it does below {{}} in {owner} ({module})")


class _Said(UserDict[str, str]):
    def __init__(self, said: Mapping[str, str], complaint: str) -> None:
        super().__init__(said)
        self._complaint = complaint

    def __missing__(self, name: str) -> str:
        raise KeyError(self._complaint.format(name))


def _allowed(field: FieldInfo) -> str:
    choices = [choice for choice in get_args(field.annotation) if isinstance(choice, str)]
    if choices:
        return ", ".join(f"`{choice}`" for choice in choices)
    bounds = {"ge": "at least {}", "gt": "above {}", "le": "at most {}", "lt": "below {}"}
    constraints = [*field.metadata, *(m for a in get_args(field.annotation) for m in get_args(a)[1:])]
    words = [
        sentence.format(getattr(found, bound))
        for constraint in constraints
        for found in (constraint, *getattr(constraint, "metadata", ()))
        for bound, sentence in bounds.items()
        if getattr(found, bound, None) is not None
    ]
    return ", ".join(words)


def command_line_page() -> str:
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    parts = [
        "# Command line\n",
        f"{_plain(group.help)}\n",
        "Errors are one sentence on standard error and exit code 1; wrong usage is exit code 2. All commands "
        "read the [settings](settings.md) from the environment.\n",
    ]
    for name, command in group.commands.items():
        parts += _command(name, command)
    return "\n".join(parts)


def _command(name: str, command: Any) -> Iterator[str]:
    context = typer.Context(command)
    about, _, example = _plain(command.help).partition("Example: ")
    yield f"## allabel {name}\n"
    yield f"{about.strip()}\n"
    yield f"```text\nallabel {name} {' '.join(command.collect_usage_pieces(context))}\n```\n"
    records = [parameter.get_help_record(context) for parameter in command.get_params(context)]
    rows = [(f"`{shown}`", _plain(about)) for shown, about in filter(None, records) if shown != "--help"]
    if rows:
        yield from _table(("argument or option", "meaning"), rows)
        yield ""
    if example:
        yield f"Example: `{example.strip()}`\n"


def http_page() -> str:
    described = create_app(read_settings({}), tools=_NO_TOOLS).openapi()
    errors = [f"| {status} | {found['description']} |" for status, found in RESPONSES.items()]
    parts = [
        "# HTTP interface\n",
        "`GET /openapi.json` of a running backend tells the same to programs. Where `BASIC_AUTH_USER` is "
        "set, every address but `/health` asks for it; webhooks bear the header `X-ALLabel-Secret` in its "
        "place.\n",
        'Errors are JSON, `{"detail": "what is wrong and what to do"}`, with one of these statuses:\n',
        "| status | meaning |\n|---|---|",
        *errors,
        "",
    ]
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            parts += _operation(method, path, operation)
    parts.append("## Shapes\n")
    for name, schema in described["components"]["schemas"].items():
        parts += _shape(name, schema)
    return "\n".join(parts)


_NO_TOOLS: Any = Mock(webhook_secret="none")
"""Describing the routes calls none of them."""


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield f"## `{method.upper()} {path}`\n"
    yield f"{operation.get('description') or operation['summary'] + '.'}\n"
    parameters = operation.get("parameters", ())
    if parameters:
        rows = (_value(each["name"], each["schema"], each.get("description", "")) for each in parameters)
        yield from _table(("parameter", "type", "default", "meaning"), rows)
        yield ""
    if body := _json_schema(operation.get("requestBody", {})):
        yield f"Body: {_kind(body)}.\n"
    for status, answer in operation["responses"].items():
        if int(status) < 400:
            shape = _json_schema(answer)
            yield f"Answers {status}{', ' + _kind(shape) if shape else ''}.\n"


def _json_schema(holder: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = holder.get("content", {}).get("application/json", {}).get("schema", {})
    return found


def _shape(name: str, schema: Mapping[str, Any]) -> Iterator[str]:
    yield f"### {name}\n"
    if about := schema.get("description"):
        yield f"{_plain(about)}\n"
    rows = [_value(each, member, "") for each, member in schema.get("properties", {}).items()]
    yield from _table(("value", "type", "default", "meaning"), rows)
    yield ""


def _value(name: str, schema: Mapping[str, Any], meaning: str) -> tuple[str, ...]:
    default = "" if schema.get("default") is None else f"`{json.dumps(schema['default'])}`"
    return f"`{name}`", _kind(schema), default, meaning or _plain(schema.get("description"))


def _kind(schema: Mapping[str, Any]) -> str:
    """A schema in words, with a link to the shape that it names."""
    if reference := schema.get("$ref"):
        name = reference.rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if either := schema.get("anyOf"):
        return " or ".join(dict.fromkeys(_kind(each) for each in either))
    if choices := schema.get("enum"):
        return ", ".join(f"`{json.dumps(choice)}`" for choice in choices)
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    members = schema.get("additionalProperties")
    if isinstance(members, Mapping) and members:
        return f"object of {_kind(members)}"
    return schema.get("type", "anything")


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """A table in Markdown, without columns that hold nothing."""
    cells = [tuple(cell.replace("|", r"\|") for cell in row) for row in rows]
    kept = [column for column in range(len(head)) if any(row[column] for row in cells)]
    for line in (head, ("---",) * len(head), *cells):
        yield f"| {' | '.join(line[column] for column in kept)} |"


def _plain(text: str | None) -> str:
    """In one line, without the markup that terminals show in bold."""
    return " ".join(re.sub(r"\[/?bold\]", "", text or "").split())


if __name__ == "__main__":
    for name, content in pages().items():
        (FOLDER / name).write_text(content, "utf-8")
