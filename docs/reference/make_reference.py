"""Writes the reference pages that follow from the code: settings, command line, HTTP.

`make docs` runs it first; a test compares its pages with those that are committed.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import typer
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from sphinx.pycode import ModuleAnalyzer
from typer.core import TyperGroup
from typer.main import get_command

from backend.app import create_app
from backend.cli import app
from backend.ports import ProjectSettings
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
            "Later changes are made in the same two places. What they do: "
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
    """Attribute -> the docstring below it; a missing one is an error where it is looked up."""
    documented = ModuleAnalyzer.for_module(module).find_attr_docs()
    return {name: " ".join(lines).strip() for (cls, name), lines in documented.items() if cls == owner}


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
    parts = [
        "# HTTP interface\n",
        "What Label Studio calls, and what monitoring asks. `GET /openapi.json` of a running backend gives "
        "the same as OpenAPI. Where `BASIC_AUTH_USER` is set, all but `/` and `/health` ask for it; webhooks "
        'bear the header `X-ALLabel-Secret` in its place. Errors are JSON: `{"detail": "what to do"}`.\n',
    ]
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            parts += _operation(method, path, operation, described.get("components", {}).get("schemas", {}))
    return "\n".join(parts)


_NO_TOOLS: Any = object()


def _operation(
    method: str, path: str, operation: Mapping[str, Any], schemas: Mapping[str, Any]
) -> Iterator[str]:
    yield f"## `{method.upper()} {path}`\n"
    yield f"{operation.get('description', operation['summary'] + '.')}\n"
    rows = [_value(parameter["name"], parameter["schema"]) for parameter in operation.get("parameters", ())]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    rows += _members(body, schemas)
    if rows:
        yield from _table(("value", "type", "default"), rows)
        yield ""
    codes = [f"{code} ({answer['description']})" for code, answer in operation["responses"].items()]
    yield f"Answers: {', '.join(codes)}.\n"


def _members(
    schema: Mapping[str, Any], schemas: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, ...]]:
    """The values of a body, those of its parts below them as ``tasks[].id``."""
    for name, member in _resolved(schema, schemas).get("properties", {}).items():
        inner = member.get("items", member)
        yield _value(prefix + name, member)
        dots = "[]." if "items" in member else "."
        yield from _members(inner, schemas, f"{prefix}{name}{dots}") if "$ref" in inner else ()


def _resolved(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Mapping[str, Any]:
    reference: str = schema.get("$ref", "")
    return schemas[reference.rpartition("/")[2]] if reference else schema


def _value(name: str, schema: Mapping[str, Any]) -> tuple[str, ...]:
    kinds = [each.get("type", "object") for each in schema.get("anyOf", [schema])]
    shown = "" if "default" not in schema else f"`{json.dumps(schema['default'])}`"
    return f"`{name}`", " or ".join(kinds), shown


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"


def _plain(text: str | None) -> str:
    """In one line, without the markup that terminals show in bold."""
    return " ".join(re.sub(r"\[/?bold\]", "", text or "").split())


if __name__ == "__main__":
    for name, content in pages().items():
        (FOLDER / name).write_text(content, "utf-8")
