"""What one whole answer says, as it is being read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from allabel_core.answer_lines import match_label
from allabel_core.answer_shapes import Entity, by_label, entities_of, inner_items
from allabel_core.types import Mention, Relation


@dataclass(slots=True)
class Block:
    """What one whole answer says. ``index_of_id``: what an entity calls itself -> index in ``mentions``."""

    labels: Sequence[str]
    mentions: list[Mention] = field(default_factory=list)
    places: list[tuple[int, int]] = field(default_factory=list)
    links: list[object] = field(default_factory=list)
    index_of_id: dict[str, int] = field(default_factory=dict)
    items: int = 0
    unknown_labels: int = 0
    malformed: int = 0
    problem: str | None = None

    def add(self, entity: Entity, place: tuple[int, int], *, line: int = 0) -> None:
        self.items += 1
        words, label, name = entity
        if not isinstance(words, str) or type(label) is not str or not words.strip():
            self.malformed += 1
            return
        known = match_label(label, self.labels)
        if known is None:
            self.unknown_labels += 1
            return
        self.index_of_id[str(self.items if name is None else name)] = len(self.mentions)
        # A lone surrogate, which JSON can spell, could not be stored or sent anywhere.
        self.mentions.append(Mention(words.encode("utf-8", "replace").decode("utf-8"), known, line))
        self.places.append(place)

    def add_item(self, item: object, place: tuple[int, int]) -> None:
        """One item of a list of entities: an entity, or a group of them."""
        found = entities_of(item, self.labels)
        if found is None and isinstance(item, Mapping):
            found = by_label(item, self.labels)
        if found is None and (inner := inner_items(item)):
            for each in inner:
                self.add_item(each, place)
            return
        if found is None:
            self.items += 1
            self.malformed += 1
        for entity in found or ():
            self.add(entity, place)

    def relations(self, wanted: Sequence[str]) -> list[Relation]:
        """The links, by the ids of their entities, which may stand before or after them."""
        found: dict[Relation, None] = {}
        for item in self.links if wanted else ():
            link = item if isinstance(item, Mapping) else {}
            source, target = (self.index_of_id.get(str(link.get(end))) for end in ("from", "to"))
            name = link.get("label", "")
            label = match_label(name, wanted) if isinstance(name, str) else None
            if source is None or target is None or source == target or label is None:
                self.malformed += 1
            else:
                found[Relation(source, target, label)] = None
        return list(found)
