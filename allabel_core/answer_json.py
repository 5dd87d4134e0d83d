"""A chat model's answer, read as far as it can be: one JSON object, several of them, or damaged ones."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import cast

import json_repair

from allabel_core.answer_block import Block
from allabel_core.answer_lines import match_label
from allabel_core.answer_shapes import LIST_KEYS, Number, by_label, entities_of, is_list_key

# A damaged item costs a search of the rest, so an answer is given up after this many.
_MAX_DAMAGED_ITEMS = 50
_LONGEST_DAMAGED, _LONGEST_GROUPS = 4_000, 20_000
_MAX_DEPTH = 3

_QUOTE = r"""["'“”‘’`]?"""
_ENTITY_LIST = rf"{_QUOTE}\b(?P<entities>{'|'.join(LIST_KEYS)})\b{_QUOTE}\s*[:=]?\s*\["
_RELATION_LIST = rf"{_QUOTE}\b(?P<relations>relations|links)\b{_QUOTE}\s*[:=]?\s*\["
_OPENING = re.compile(rf"{_ENTITY_LIST}|{_RELATION_LIST}|[{{\[]", re.IGNORECASE)
_LIST_IN_OBJECT = re.compile(rf"\{{\s*{_ENTITY_LIST}", re.IGNORECASE)
# Comments and dots are no items.
_BETWEEN_ITEMS = re.compile(r"(?:[\s,;…]|\.{3}|//[^\n]*|/\*(?s:.*?)\*/|#[^\n]*)*")
# Where an item begins: an object with a key, or a row with a string.
_ITEM_START = re.compile(rf"""\{{\s*{_QUOTE}[^\W\d][\w -]{{0,40}}{_QUOTE}\s*:|[\[(]\s*["']""")
_ITEM_END = re.compile(r"[}\])]\s*(?=[,\]}\n]|\Z)")
_AFTER_STRAY_BRACKET = re.compile(
    rf"""\]\s*,?\s*(?:\{{\s*{_QUOTE}[^\W\d]|{_QUOTE}(?:text|label){_QUOTE}\s*:)"""
)
_COLON = re.compile(r"\s*:")
_WORD = re.compile(r"[^\W_]")
_TEXT_KEY = re.compile(r"""["'](?:text|words?|mention|span)["']?\s*:""", re.IGNORECASE)
_NOTHING_SAID = re.compile(r"json[l]?|[\W\d_]+", re.IGNORECASE)
# Control characters inside strings are common in answers and harmless.
_decoder = json.JSONDecoder(strict=False, parse_float=Number, parse_int=Number)


def read_json(answer: str, labels: Sequence[str]) -> tuple[Block, int]:
    """(what the answer says, mentions of its drafts that it does not repeat)."""
    scanner = _Scanner(answer, labels)
    scanner.run()
    blocks = scanner.blocks
    chosen = next((block for block in reversed(blocks) if block.mentions), blocks[-1])
    final = set(chosen.mentions)
    drafts = {mention for block in blocks for mention in block.mentions} - final
    return chosen, len(drafts)


class _Scanner:
    """Goes through an answer once, from opening to opening."""

    def __init__(self, answer: str, labels: Sequence[str], depth: int = 0) -> None:
        self.answer, self.labels, self.depth = answer, labels, depth
        self.blocks = [Block(labels)]
        names = "|".join(map(re.escape, labels))
        # Quoted words before a quoted label, or a label's own field.
        self._remains = (
            re.compile(rf"""["']\s*[,:]\s*["'](?:{names})["']""", re.IGNORECASE) if labels else None
        )
        self._damaged = 0
        self._last_end = 0
        self._lists = self._values = 0

    @property
    def _block(self) -> Block:
        return self.blocks[-1]

    def run(self) -> None:
        position = 0
        while (opening := _OPENING.search(self.answer, position)) and self._damaged <= _MAX_DAMAGED_ITEMS:
            self._read_remains(position, opening.start())
            position = self._read(opening)
        self._read_remains(position, len(self.answer))
        block = self._block
        if self._damaged > _MAX_DAMAGED_ITEMS:
            block.problem = "truncated"
        elif not (self._lists or block.items):
            self._read_scalar()
        elif block.problem is None and block.items and block.malformed >= block.items:
            block.problem = "wrong_shape"

    def _read_remains(self, start: int, end: int) -> None:
        """What lost its bracket, as in ``"zinc", "Metal"], [...``: repaired or counted."""
        remains = self.answer[start:end][-_LONGEST_DAMAGED:]
        missed = len(self._remains.findall(remains)) if self._remains else 0
        if not missed:
            return
        self._damaged += 1
        repaired = _repair(f"{{{remains}" if ":" in remains else f"[{remains}")
        known = (entities_of(repaired, self.labels) or ()) if missed == 1 else ()
        for entity in known:
            self._block.add(entity, (start, end))
        self._block.items += missed - len(known)
        self._block.malformed += missed - len(known)

    def _read(self, opening: re.Match[str]) -> int:
        if opening["relations"]:
            return self._read_list(opening.end(), lambda item, _: self._block.links.append(item))
        if opening["entities"]:
            self._open(opening.start())
            return self._read_list(opening.end(), lambda item, place: self._block.add_item(item, place))
        if opening.group() == "{":
            return self._read_object(opening.start())
        return self._read_bare_list(opening.start())

    def _open(self, start: int) -> None:
        """A list of entities begins: another answer, if words stand between it and the one before."""
        if self._lists and _is_prose(self.answer[self._last_end : start], self.labels):
            self.blocks.append(Block(self.labels))
        self._lists += 1

    def _read_object(self, start: int) -> int:
        value, end = self._decode(start)
        if end == -1:
            item = _ITEM_START.match(self.answer, start)
            listed = _OPENING.search(self.answer, start + 1)
            if item is None or (listed and listed["entities"] and not _TEXT_KEY.search(item.group())):
                self._damaged += item is None
                return start + 1
            if not _TEXT_KEY.search(item.group()) and (end := self._repair_groups(start)):
                return end
            return self._recover(start, lambda found, place: self._block.add_item(found, place))
        self._values += 1
        if not isinstance(value, dict):
            return end
        place = (start, end)
        known = all(match_label(key, self.labels) is not None for key in value) and value
        found = None if known else entities_of(value, self.labels)
        holds_list = any(is_list_key(key) and isinstance(inner, list) for key, inner in value.items())
        if found is None and not holds_list:
            found = by_label(value, self.labels)
            if found is not None:
                self._open(start)
        if found is None:
            return start + 1
        for entity in found:
            self._block.add(entity, place)
        self._last_end = end
        return end

    def _repair_groups(self, start: int) -> int:
        """Read a damaged {label: [words, ...]}; returns where it ends, 0 where it is no such."""
        piece = self.answer[start : start + _LONGEST_GROUPS]
        value = _repair(piece[: piece.rfind("}") + 1] or piece)
        if not isinstance(value, dict) or not (found := by_label(value, self.labels)):
            return 0
        self._damaged += 1
        self._open(start)
        for entity in found:
            self._block.add(entity, (start, start + len(piece)))
        heads = sum(match_label(key, self.labels) is not None for key in value)
        missed = max(0, (piece.count('"') + 1) // 2 - heads - len(found))
        self._block.items += missed
        self._block.malformed += missed
        self._last_end = start + len(piece)
        return self._last_end

    def _read_bare_list(self, start: int) -> int:
        value, end = self._decode(start)
        inner = _BETWEEN_ITEMS.match(self.answer, start + 1)
        first = self.answer[inner.end() : inner.end() + 1] if inner else ""
        if inner and _LIST_IN_OBJECT.match(self.answer, inner.end()):
            return inner.end()
        if (first and first in "{[(") or (end != -1 and value == []):
            self._open(start)
            return self._read_list(start + 1, lambda item, place: self._block.add_item(item, place))
        if end == -1:
            self._damaged += 1
            return start + 1
        self._values += 1
        said = [part for part in value if isinstance(part, str)] if isinstance(value, list) else []
        known = [part for part in said if match_label(part, self.labels) is not None]
        found = entities_of(value, self.labels) if known and len(known) < len(said) else None
        for entity in found or ():
            self._block.add(entity, (start, end))
        if found is None and not known and not any(isinstance(part, Number) for part in said):
            # Words without a label: what is left of a damaged group.
            self._block.items += len(said)
            self._block.malformed += len(said)
        return end

    def _read_list(self, position: int, take: Callable[[object, tuple[int, int]], None]) -> int:
        """Hand every item of the list that opens before ``position`` to ``take``, damaged ones repaired.

        :returns: where the list ends; where it does not, the problem is "truncated".
        """
        answer = self.answer
        while self._damaged <= _MAX_DAMAGED_ITEMS:
            gap = _BETWEEN_ITEMS.match(answer, position)
            position = gap.end() if gap else position
            if position >= len(answer):
                break
            if answer[position] == "]":
                if not _AFTER_STRAY_BRACKET.match(answer, position):
                    self._last_end = position + 1
                    return position + 1
                self._damaged += 1
                position += 1
                continue
            value, end = self._decode(position)
            # A string before a colon is what is left of an object without its brace.
            if end != -1 and not (isinstance(value, str) and _COLON.match(answer, end)):
                take(value, (position, end))
                position = end
                continue
            position = self._recover(position, take)
        self._block.problem = "truncated"
        return len(answer)

    def _recover(self, start: int, take: Callable[[object, tuple[int, int]], None]) -> int:
        """Repair the damaged item at ``start``, or count it; returns where it ends."""
        self._damaged += 1
        following = _ITEM_START.search(self.answer, start + 1)
        limit = following.start() if following else len(self.answer)
        piece = self.answer[start : min(limit, start + _LONGEST_DAMAGED)]
        if not _WORD.search(piece):
            # A bracket too many.
            return start + 1
        ends = [found.start() + 1 for found in _ITEM_END.finditer(piece)]
        if not ends and following is None:
            self._block.problem = "truncated"
            return len(self.answer)
        end = (ends[-1] if following else ends[0]) if ends else len(piece.rstrip(" \n,"))
        cut = piece[:end].removesuffix("]") if piece.startswith(("{", '"', "'")) else piece[:end]
        place = (start, start + max(1, len(cut)))
        before = self._block.items
        repaired = _repair(cut)
        for item in _items(repaired):
            take(item, place)
        missed = len(_TEXT_KEY.findall(cut)) - (self._block.items - before)
        self._block.items += max(0, missed)
        self._block.malformed += max(0, missed)
        self._last_end = place[1]
        return place[1]

    def _read_scalar(self) -> None:
        """No list and no object of entities: a string that holds JSON, or nothing that can be used."""
        answer, block = self.answer, self._block
        start = len(answer) - len(answer.lstrip())
        value, end = self._decode(start)
        if type(value) is str and self.depth < _MAX_DEPTH:
            inner = _Scanner(value, self.labels, self.depth + 1)
            inner.run()
            self.blocks = inner.blocks
            for each in self.blocks:
                each.places = [(start, end)] * len(each.places)
        elif block.problem is None:
            block.problem = "wrong_shape" if self._values or end != -1 else "not_json"

    def _decode(self, position: int) -> tuple[object, int]:
        """(value, where it ends), or (None, -1) where no JSON stands here."""
        try:
            return _decoder.raw_decode(self.answer, position)
        except (ValueError, RecursionError):  # RecursionError: "[[[[..." without end
            return None, -1


def _repair(piece: str) -> object:
    if piece.startswith("("):
        piece = f"[{piece[1:].rstrip().removesuffix(')')}]"
    try:
        return json_repair.loads(piece, skip_json_loads=True)
    except (ValueError, RecursionError, IndexError, TypeError, KeyError):
        return None


def _items(repaired: object) -> list[object]:
    """Of a repaired piece the items it holds: mostly one, several where their bounds were damaged."""
    several = (
        isinstance(repaired, list) and repaired and all(isinstance(item, dict | list) for item in repaired)
    )
    return cast("list[object]", repaired) if several else [repaired]


def _is_prose(gap: str, labels: Sequence[str]) -> bool:
    """Whether words stand between two answers, other than a label or a number that heads the next."""
    closed = max(gap.rfind("}"), gap.rfind("]"))
    opened = gap.find("{", closed + 1)
    words = gap[closed + 1 : opened if opened != -1 else len(gap)]
    if opened == -1 and closed == -1:
        # Another list of the same object.
        return False
    for label in labels:
        words = re.sub(re.escape(label), "", words, flags=re.IGNORECASE)
    return bool(_NOTHING_SAID.sub("", words))
