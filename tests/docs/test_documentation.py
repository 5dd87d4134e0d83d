"""What the documentation says, held against the product: blocks, commands, settings, links."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer
from typer.core import TyperGroup
from typer.main import get_command

from backend.cli import app
from backend.ports import ProjectSettings
from backend.settings import SECRETS, Settings
from backend.usecases.connect import parse_extra_params, with_params
from docs.reference.make_reference import FOLDER, pages

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
SETTINGS = {str(field.alias) for field in Settings.model_fields.values()}
SETTINGS |= {f"{name}_FILE" for name in SECRETS}
OF_OTHERS = re.compile(
    "ML_BLOCK|SSRF_|USE_DEFAULT_BANNED|USER_ADDITIONAL|OLLAMA_CONTEXT|COMPOSE_PROFILES|ARGS|PYTHON|SBERT|NAME"
)
"""What is set in the pages and no setting of ours: of Label Studio, Ollama, make, the container image."""


class Block(NamedTuple):
    page: str
    language: str
    text: str


def blocks(language: str) -> list[Block]:
    found = []
    for page, name in zip(PAGES, NAMES, strict=True):
        for indent, kind, text in re.findall(
            r"^( *)```(\w+)\n(.*?)^ *```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL
        ):
            if kind == language:
                text = re.sub(f"^{indent}", "", text, flags=re.MULTILINE)
                found.append(Block(name, kind, text.replace("\\\n", " ")))
    return found


def commands() -> Iterator[tuple[str, list[str]]]:
    """Every call of `allabel` in shell blocks and between backticks, as words."""
    for page, name in zip(PAGES, NAMES, strict=True):
        text = page.read_text("utf-8").replace("\\\n", " ")
        lines = [line for block in blocks("sh") if block.page == name for line in block.text.splitlines()]
        lines += re.findall(r"^ {4}(allabel .*)", text, re.MULTILINE)
        lines += re.findall(r"`([^`\n]*allabel [a-z][^`\n]*)`", text)
        for line in lines:
            words = shlex.split(line, comments=True)
            while words and "=" in words[0]:
                words = words[1:]
            if words[:1] == ["allabel"]:
                yield name, words[1:]


def python_blocks() -> list[Block]:
    """Those that can run by themselves: of what is not said in them, only `texts` is given."""
    return [block for block in blocks("python") if "Distributed" not in block.text]


def test_there_are_blocks_to_hold_against_the_product() -> None:
    assert len(python_blocks()) >= 4
    assert len(blocks("sh")) >= 15
    assert len(list(commands())) >= 30


@pytest.mark.parametrize("block", python_blocks(), ids=lambda block: block.page)
def test_python_blocks_run(block: Block) -> None:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(block.text, block.page, "exec"), {"texts": ["one text", "another text"]})
    assert printed.getvalue() or "print(" not in block.text


@pytest.mark.parametrize(("page", "words"), list(commands()), ids=lambda value: str(value)[:60])
def test_commands_exist_with_these_options(page: str, words: list[str]) -> None:
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    name, arguments = words[0], [_filled_in(word) for word in words[1:]]
    assert name in group.commands, f"{page}: there is no 'allabel {name}'"
    command: Any = group.commands[name]
    context = typer.Context(command, info_name=name, resilient_parsing=True)
    if "..." not in arguments:
        rest = command.make_parser(context).parse_args(arguments)[1]
        assert not rest, f"{page}: 'allabel {name}' does not take {rest}"
    given = [word for option, word in pairwise(arguments) if option == "--set"]
    pairs = (setting.partition("=") for setting in given)
    with_params(ProjectSettings(), {name: value for name, _, value in pairs if name != "NAME"})


def _filled_in(word: str) -> str:
    return "1" if word in ("PROJECT", "N") else word


def test_settings_in_the_pages_exist() -> None:
    for page, name in zip(PAGES, NAMES, strict=True):
        for variable in re.findall(r"(?:^|[\s`])([A-Z][A-Z_]{3,})=", page.read_text("utf-8"), re.MULTILINE):
            assert variable in SETTINGS or OF_OTHERS.match(variable), f"{name}: {variable}"


def test_extra_params_in_the_pages_can_be_used() -> None:
    given = [
        found
        for page in PAGES
        for found in re.findall(r"`(\{\"[a-z_]+\": [^`\n]*\})`", page.read_text("utf-8"))
        if not any(f'"{other}"' in found for other in ("detail", "spans", "chat_template_kwargs"))
    ]
    assert given
    for each in given:
        with_params(ProjectSettings(), parse_extra_params(each))


def test_make_targets_in_the_pages_exist() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for page, name in zip(PAGES, NAMES, strict=True):
        for target in re.findall(r"(?:`|^)make ([a-z][a-z-]*)", page.read_text("utf-8"), re.MULTILINE):
            assert re.search(f"^{target}:", makefile, re.MULTILINE), f"{name}: make {target}"


def test_generated_pages_are_up_to_date() -> None:
    for name, content in pages().items():
        written = (FOLDER / name).read_text("utf-8")
        assert written == content, f"docs/reference/{name} is out of date: run 'make docs' and commit it"


def test_links_of_the_pages_outside_of_docs_lead_somewhere() -> None:
    """Those inside are checked by Sphinx, which knows headings as well."""
    for page in ROOT.glob("*.md"):
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text("utf-8")):
            if not re.match(r"https?://|mailto:", target):
                assert (ROOT / target).exists(), f"{page.name}: {target}"


LABEL_STUDIO_SAYS = (
    "URL resolves to a reserved network address",
    "Can't connect to ML backend ..., health check failed",
    "Successfully connected to ... but it doesn't look like a valid ML backend",
    "Enter a valid URL",
    "Annotation is not saved",
    "Start model training on annotation submission",
)


def test_messages_that_troubleshooting_quotes_are_those_of_the_product() -> None:
    text = (ROOT / "docs" / "how-to" / "troubleshooting.md").read_text("utf-8")
    headings = re.findall(r"^### (.*)|\*\*\d+, (.*?)\*\*", text, re.MULTILINE)
    quoted = [
        words
        for heading in map(max, headings)
        for words in re.findall(r"(?:^|\s)'(.+?)'(?=,|$| or | on )", heading)
    ]
    assert len(quoted) >= 12
    sources = [*(ROOT / "backend").rglob("*.py"), *(ROOT / "backend").rglob("*.toml")]
    source = " ".join(path.read_text("utf-8") for path in sources)
    joined = re.sub(r"\"\s*f?\"", "", source)
    for words in quoted:
        parts = [part for part in re.split(r" ?\.\.\.|8080|Label Studio is", words) if part.strip()]
        known = words in LABEL_STUDIO_SAYS or all(part.strip() in joined for part in parts)
        assert known, f"neither the backend nor Label Studio says {words!r}"
