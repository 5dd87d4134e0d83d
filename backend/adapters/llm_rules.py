"""What providers' error replies mean, by the rules of ``llm_rules.toml``: the first that fits counts.

Providers quote keys and prompts in their errors: their words are matched, never passed on.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal, TypeAlias

from ..ports import FailureKind

About: TypeAlias = Literal[
    "schema", "system", "logprobs", "seed", "temperature", "limit_name", "output", "context", "setup", ""
]
"""What of a request a provider objects to: one of its parts, or "setup", which only a person can change."""


@dataclass(frozen=True, slots=True)
class Rule:
    """``words`` and ``unless`` are looked for in all that a reply says, in lower case; () is any status."""

    kind: FailureKind
    message: str
    about: About = ""
    statuses: tuple[int, ...] = ()
    words: re.Pattern[str] | None = None
    unless: re.Pattern[str] | None = None

    def fits(self, status: int, said: str) -> bool:
        if self.statuses and status not in self.statuses:
            return False
        return _says(self.words, said, otherwise=True) and not _says(self.unless, said, otherwise=False)


def _says(words: re.Pattern[str] | None, said: str, *, otherwise: bool) -> bool:
    return otherwise if words is None else words.search(said) is not None


UNEXPLAINED = Rule(
    "rejected", "{where} rejects the request (HTTP {status}). Check {model_variable} and {url_variable}."
)
PAGE = Rule(
    "rejected",
    "{where} answers with a web page (HTTP {status}): a proxy, a firewall or a sign-in stands before it. "
    "Check {url_variable} and, where it asks for one, OPENAI_API_KEY.",
    "setup",
    (400, 401, 403, 405, 407, 451),
)
_BEGINS_A_PAGE = re.compile(r"\s*(?:<!doctype|<html|<head|<\?xml)")


def rule_of(status: int, said: str) -> Rule:
    """The first rule that fits; ``UNEXPLAINED`` fits always.

    :param said: everything the reply says, in lower case.
    """
    rules = _rules()
    if _BEGINS_A_PAGE.match(said):
        # A page's words are about everything under the sun.
        rules = (PAGE, *(rule for rule in rules if rule.words is None))
    return next((rule for rule in rules if rule.fits(status, said)), UNEXPLAINED)


@cache
def _rules() -> tuple[Rule, ...]:
    table = (resources.files(__package__) / "llm_rules.toml").read_text("utf-8")
    return tuple(map(_rule, tomllib.loads(table)["rule"]))


def _rule(row: dict[str, Any]) -> Rule:
    return Rule(
        row["kind"],
        row["message"],
        row.get("about", ""),
        tuple(row.get("statuses", ())),
        _one_of(row.get("words")),
        _one_of(row.get("unless")),
    )


def _one_of(words: list[str] | None) -> re.Pattern[str] | None:
    return re.compile("|".join(words)) if words else None
