"""What a model thinks aloud before it answers, in any of the spellings that models use: no answer."""

from __future__ import annotations

import re

_STEM = "think|thought|reason(?:ing)?|reflection|scratchpad|analysis|rationale|monologue|unused94|unused95"
_NAME = rf"[\w:.-]{{0,24}}?(?:{_STEM})(?:ing|s|_process|_steps?|_trace|_content|_step)?"
# <think>, <seed:think>, <|think|>, <|begin_of_thought|>, <|START_THINKING|>, ◁think▷; [THINK] in capitals.
# A tag that follows a quotation mark is quoted.
_TAG = re.compile(
    rf"""(?<!["'`])(?:
        <\|?(?P<slash>/)?\|?(?P<name>{_NAME})(?:\s[^<>]{{0,200}})?\|?>
        |◁(?P<slash2>/)?(?P<name2>{_NAME})▷
        |\[(?P<slash3>/)?(?P<name3>(?-i:[A-Z_]*(?:THINK|THOUGHT|REASON)[A-Z_]*))\]
    )""",
    re.VERBOSE | re.IGNORECASE,
)
_ENDING_NAME = re.compile(r"^(?:end|stop)|(?:end|stop)[\W_]|unused95", re.IGNORECASE)
# Channels of gpt-oss and Gemma; some servers leave out the signs around their names.
_CHANNEL = re.compile(
    r"<\|?channel\|?>\s*(?P<name>[a-z]*)\s*(?:<\|constrain\|>\s*\w*\s*)?(?:<\|message\|>)?", re.IGNORECASE
)
_BARE_CHANNELS = re.compile(
    r"\A\s*(?:assistant)?(?:analysis|commentary)(?=\W|[A-Z]).*?assistant\s?final", re.DOTALL
)
_SIGN = re.compile(r"<\|(?:end|return|start|message|call)\|>")


def without_thoughts(answer: str) -> str:
    """The answer with spaces in place of all thoughts, so that places in it stay what they are.

    The very same object is returned where there are none. A thought that does not end is all there is.
    """
    ranges = _channels(answer) or _tagged(answer)
    if bare := _BARE_CHANNELS.match(answer):
        ranges = [bare.span()]
    if not ranges:
        return answer
    pieces, position = [], 0
    for start, end in ranges:
        pieces += [answer[position:start], " " * (end - start)]
        position = end
    return "".join([*pieces, answer[position:]])


def _tagged(answer: str) -> list[tuple[int, int]]:
    ranges: list[tuple[int, int]] = []
    opened: int | None = None
    position = 0
    for tag in _TAG.finditer(answer):
        name = tag["name"] or tag["name2"] or tag["name3"]
        closes = bool(tag["slash"] or tag["slash2"] or tag["slash3"] or _ENDING_NAME.search(name))
        if not closes:
            # After an odd number of quotation marks the tag stands inside words that the answer quotes.
            if opened is None and answer.count('"', position, tag.start()) % 2 == 0:
                opened = tag.start()
            continue
        # One that closes what was never opened: the chat template had opened it.
        start = position if opened is None else opened
        if ranges and opened is None:
            start = ranges.pop()[0]
        ranges.append((start, tag.end()))
        opened, position = None, tag.end()
    if opened is not None:
        ranges.append((opened, len(answer)))
    return ranges


def _channels(answer: str) -> list[tuple[int, int]]:
    """Everything but what stands in the channel "final"."""
    found = list(_CHANNEL.finditer(answer))
    if not found:
        return []
    final = next((channel for channel in reversed(found) if channel["name"].lower() == "final"), None)
    if final is None and not found[-1]["name"]:
        # "<|channel>thought ... <channel|>": what follows is the answer.
        final = found[-1]
    if final is None:
        return [(found[0].start(), len(answer))]
    ranges = [(0, final.end())]
    ranges += [sign.span() for sign in _SIGN.finditer(answer, final.end())]
    return ranges
