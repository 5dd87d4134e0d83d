"""From what a project asks for, its demonstrations and a text, to what a model is sent."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from importlib import resources
from itertools import chain, count
from string import Template
from typing import Any, Literal

from allabel_core.answer_lines import match_label
from allabel_core.answers import (
    Form,
    LabelSet,
    ParsedAnswer,
    answer_schema,
    parse_answer,
    render_answer,
)
from allabel_core.chunking import estimate_tokens
from allabel_core.errors import InvalidInputError
from allabel_core.types import Document

__all__ = [
    "Form",
    "LabelSet",
    "Message",
    "ParsedAnswer",
    "Prompt",
    "Templates",
    "build_prompt",
    "fit_demonstrations",
    "match_label",
    "parse_answer",
    "prompt_tokens",
]

# What a chat format adds around each message: role, delimiters.
_TOKENS_PER_MESSAGE = 8
# An answer is allowed this many times the densest demonstration's share of its text.
_ANSWER_SLACK = 2.0
_ANSWER_FLOOR = 128
_COMPLETION_FLOOR = 16
_TAG_LIKE = re.compile(r"(text(?:-[0-9]+)?)\s*>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Message:
    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model is sent, in both forms: ``messages`` for chat models, ``completion`` for base models.

    ``schema``: JSON schema of a chat answer. ``stop``: where a completion ends. ``max_answer_tokens``
    bounds the answer in either form, ``max_completion_tokens`` a completion more closely.
    """

    messages: tuple[Message, ...]
    completion: str
    schema: dict[str, Any]
    stop: tuple[str, ...]
    max_answer_tokens: int
    max_completion_tokens: int | None = None

    def answer_limit(self, form: Form) -> int:
        """The most tokens that an answer in this form may have."""
        closer = self.max_completion_tokens if form == "completion" else None
        return self.max_answer_tokens if closer is None else min(closer, self.max_answer_tokens)


_PLACEHOLDERS: Mapping[str, frozenset[str]] = {
    "system": frozenset({"labels", "instructions", "relations", "tag"}),
    "relations": frozenset({"relation_labels"}),
    "user": frozenset({"text", "tag"}),
    "completion_header": frozenset({"labels", "instructions"}),
    "completion": frozenset({"text", "entities"}),
}
_REQUIRED: Mapping[str, frozenset[str]] = {
    "system": frozenset({"labels"}),
    "user": frozenset({"text"}),
    "completion": frozenset({"text", "entities"}),
}


@dataclass(frozen=True, slots=True)
class Templates:
    """The wording of a prompt, in ``string.Template`` syntax ($name; $$ is a dollar sign).

    ``completion`` must end with $entities: a base model continues from there.
    """

    system: str
    relations: str
    user: str
    completion_header: str
    completion: str

    @classmethod
    def load(cls, overrides: Mapping[str, str] | None = None) -> Templates:
        """The templates of this package, some replaced by a user's own: {"system.txt": "..."}.

        :raises InvalidInputError: an override of an unknown name, or with wrong placeholders.
        """
        folder = resources.files("allabel_core") / "templates"
        names = [f.name for f in fields(cls)]
        default = cls(**{name: (folder / f"{name}.txt").read_text("utf-8").rstrip("\n") for name in names})
        chosen = {name.removesuffix(".txt"): text.rstrip("\n") for name, text in (overrides or {}).items()}
        if unknown := sorted(chosen.keys() - set(names)):
            known = ", ".join(f"{name}.txt" for name in names)
            raise InvalidInputError(f"No template is called {unknown[0]!r}; there are {known}.")
        for name, text in chosen.items():
            _check_template(name, text)
        return replace(default, **chosen)


def _check_template(name: str, text: str) -> None:
    template = Template(text)
    if not template.is_valid():
        raise InvalidInputError(f"Template {name}.txt has a stray $; write $$ for a dollar sign.")
    used = set(template.get_identifiers())
    if unknown := sorted(used - _PLACEHOLDERS[name]):
        raise InvalidInputError(f"Template {name}.txt uses ${unknown[0]}, which does not exist.")
    if missing := sorted(_REQUIRED.get(name, frozenset()) - used):
        raise InvalidInputError(f"Template {name}.txt must use ${missing[0]}.")
    if name == "completion" and not text.endswith(("$entities", "${entities}")):
        raise InvalidInputError("Template completion.txt must end with $entities.")


DEFAULT_TEMPLATES = Templates.load()


def build_prompt(
    labels: LabelSet,
    demonstrations: Sequence[Document],
    text: str,
    *,
    templates: Templates = DEFAULT_TEMPLATES,
) -> Prompt:
    """The question about one text, after its demonstrations, the most similar of them last."""
    tag = _delimiter([text, *(d.text for d in demonstrations)])

    def question(asked: str) -> Message:
        return Message("user", Template(templates.user).substitute(text=asked, tag=tag))

    messages = [Message("system", _system(labels, tag, templates))]
    for shown in demonstrations:
        messages += [question(shown.text), Message("assistant", render_answer(shown, labels, form="chat"))]
    messages.append(question(text))
    return Prompt(
        messages=tuple(messages),
        completion=_completion(labels, demonstrations, text, templates),
        schema=answer_schema(labels),
        stop=("\n\n",),
        max_answer_tokens=_answer_allowance(labels, demonstrations, text),
        max_completion_tokens=_completion_allowance(labels, demonstrations, text),
    )


def _delimiter(texts: Sequence[str]) -> str:
    """A tag that no text contains, so that no text can end its own quotation."""
    used = {match.group(1).casefold() for text in texts for match in _TAG_LIKE.finditer(text)}
    tags = chain(["text"], (f"text-{n}" for n in count(2)))
    return next(tag for tag in tags if tag not in used)


def _system(labels: LabelSet, tag: str, templates: Templates) -> str:
    hints = dict(labels.hints)
    lines = [f"- {label}: {hints[label]}" if hints.get(label) else f"- {label}" for label in labels.labels]
    instructions = labels.instructions.strip()
    relations = ""
    if labels.relation_labels:
        named = ", ".join(f'"{label}"' for label in labels.relation_labels)
        relations = Template(templates.relations).substitute(relation_labels=named)
    filled = Template(templates.system).substitute(
        labels="\n".join(lines),
        instructions=f"\nThe annotators' instructions:\n{instructions}\n" if instructions else "",
        relations=relations,
        tag=tag,
    )
    return filled.strip()


def _completion(labels: LabelSet, demonstrations: Sequence[Document], text: str, templates: Templates) -> str:
    """White space in texts becomes single spaces: one line each, so that a blank line ends an answer.

    The header, which says what is asked, is for want of demonstrations: beside them it costs quality.
    """
    item = Template(templates.completion)
    parts = [] if demonstrations else [_completion_header(labels, templates)]
    for shown in demonstrations:
        entities = render_answer(shown, labels, form="completion")
        parts.append(item.substitute(text=" ".join(shown.text.split()), entities=entities))
    begun = f"{labels.labels[0]}:" if labels.labels else ""
    parts.append(item.substitute(text=" ".join(text.split()), entities=begun).rstrip())
    return "\n\n".join(filter(None, parts))


def _completion_header(labels: LabelSet, templates: Templates) -> str:
    hints = dict(labels.hints)
    named = [f"{label} ({hints[label]})" if hints.get(label) else label for label in labels.labels]
    header = Template(templates.completion_header).substitute(
        labels=", ".join(named), instructions=" ".join(labels.instructions.split())
    )
    return header.strip()


def _answer_allowance(labels: LabelSet, demonstrations: Sequence[Document], text: str) -> int:
    """Tokens an answer may have: from how much the demonstrations' answers say per token of text."""
    densest = 1.0
    for shown in demonstrations:
        said = estimate_tokens(render_answer(shown, labels, form="chat"))
        densest = max(densest, said / max(1, estimate_tokens(shown.text)))
    return _ANSWER_FLOOR + int(_ANSWER_SLACK * densest * estimate_tokens(text))


def _completion_allowance(labels: LabelSet, demonstrations: Sequence[Document], text: str) -> int:
    """Tokens of each label's line and of the whole text, or of as much more as a demonstration says."""

    def said(document: Document) -> int:
        return estimate_tokens(render_answer(document, labels, form="completion"))

    lines = said(Document(""))
    shares = ((said(shown) - lines) / max(1, estimate_tokens(shown.text)) for shown in demonstrations)
    return _COMPLETION_FLOOR + lines + int(max([1.0, *shares]) * estimate_tokens(text))


def prompt_tokens(prompt: Prompt, *, form: Form, count_tokens: Callable[[str], int] = estimate_tokens) -> int:
    """Tokens of the prompt itself, without its answer."""
    if form == "completion":
        return count_tokens(prompt.completion)
    return sum(count_tokens(message.content) + _TOKENS_PER_MESSAGE for message in prompt.messages)


def fit_demonstrations(
    labels: LabelSet,
    demonstrations: Sequence[Document],
    text: str,
    *,
    context_tokens: int,
    form: Form,
    count_tokens: Callable[[str], int] = estimate_tokens,
    templates: Templates = DEFAULT_TEMPLATES,
) -> tuple[Document, ...]:
    """The demonstrations that fit into a model's context together with text and answer.

    ``demonstrations``: most similar last, as in the result. The most similar are kept first; one that
    is too long is passed over for shorter ones. Where even the text alone does not fit, the result
    is empty and the text must be split (``chunking.split_text``).
    """

    def fits(shown: Sequence[Document]) -> bool:
        prompt = build_prompt(labels, shown, text, templates=templates)
        used = prompt_tokens(prompt, form=form, count_tokens=count_tokens)
        return used + prompt.answer_limit(form) <= context_tokens

    if fits(demonstrations):
        return tuple(demonstrations)
    kept: list[Document] = []
    for candidate in reversed(demonstrations):
        if fits([candidate, *kept]):
            kept.insert(0, candidate)
    return tuple(kept)
