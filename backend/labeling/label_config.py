"""What a project's label config asks for: which labels, over which text, with which hints.

Read with defusedxml: the SDK's LabelInterface takes 0.4 s to import, keeps neither hints nor
aliases by label, and says of an unusable config only that a tag is unknown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias
from xml.etree.ElementTree import Element, ParseError  # types; defusedxml reads  # nosec B405

from defusedxml.common import DefusedXmlException  # type: ignore[import-untyped]
from defusedxml.ElementTree import fromstring  # type: ignore[import-untyped]

from ..errors import LabelConfigError

Kind: TypeAlias = Literal["text", "paragraphs"]

MAX_TEXT_CHARACTERS = 1_000_000
"""A task with a longer text is left out: nobody reads it in one sitting."""

# The control tag that marks spans of each object tag, lower case: Label Studio ignores case.
_CONTROLS: Mapping[str, tuple[str, Kind]] = {
    "text": ("labels", "text"),
    "paragraphs": ("paragraphlabels", "paragraphs"),
}
# What Label Studio's page can look up; it shows any other name as it is written, or as undefined.
_VARIABLE = re.compile(r"\$(\w+(?:\.\w+|\[\d+\])*)", re.ASCII)
_STEP = re.compile(r"[^.\[\]]+")
_LIST_THEM = 'List them there instead: <Label value="..."/>'
_REMEDY = (
    'Use <Labels name="label" toName="text"> with <Label value="..."/> over '
    '<Text name="text" value="$text"/>, or <ParagraphLabels> over <Paragraphs>'
)


@dataclass(frozen=True, slots=True)
class LabelingInterface:
    """The part of a label config that entities live in.

    ``labels`` are the names that Label Studio stores in results (a label's alias where it has one),
    verbatim, in the config's order; ``hints`` says more about some of them; ``from_name`` gives the control
    tag of each. ``key`` is the path of the text in a task's data. ``relation_labels`` is None where
    the config has no <Relations>, and empty where relations bear no label. ``shown`` maps the name
    on the page to the stored one, for labels with an alias. ``unserved``: names of further texts
    that spans can be marked on.
    """

    labels: tuple[str, ...]
    hints: Mapping[str, str]
    from_name: Mapping[str, str]
    to_name: str
    kind: Kind
    key: str
    text_key: str = "text"
    text_from_url: bool = False
    relation_labels: tuple[str, ...] | None = None
    shown: Mapping[str, str] = field(default_factory=dict)
    unserved: tuple[str, ...] = ()

    @property
    def result_type(self) -> str:
        """The ``type`` of a region, which is also the key of its labels."""
        return "labels" if self.kind == "text" else "paragraphlabels"


def parse_label_config(label_config: str) -> LabelingInterface:
    """Find the span labels of a label config.

    :raises LabelConfigError: it is no XML, or has no Labels over Text nor ParagraphLabels over
        Paragraphs; the message says what to use instead.
    """
    tags = _Tags(_parsed(label_config))
    targets = _labelled_objects(tags)
    target = targets[0]
    control_tag, kind = _CONTROLS[_tag(target)]
    labels: dict[str, str] = {}
    hints: dict[str, str] = {}
    shown: dict[str, str] = {}
    for control in tags.controls_of(target):
        if control.get("value"):
            raise LabelConfigError(
                f"The <{control.tag}> tag of the label config takes labels from the task's data "
                f'(value="{control.get("value")}"), which are not supported. {_LIST_THEM}'
            )
        for label in tags.labels_in(control):
            value = label.get("value", "")
            name = label.get("alias") or value
            if not name.strip():
                continue
            labels.setdefault(name, control.get("name", ""))
            hint = label.get("hint", "").strip() or (value.strip() if value != name else "")
            if hint:
                hints.setdefault(name, hint)
            if value != name:
                shown[value] = name
    if not labels:
        raise LabelConfigError(
            f'The <{control_tag}> tag of the label config holds no <Label value="..."/>. {_LIST_THEM}'
        )
    return LabelingInterface(
        labels=tuple(labels),
        hints=hints,
        from_name=labels,
        to_name=target.get("name", ""),
        kind=kind,
        key=_variable(target),
        text_key=_attribute(target, "textkey") or "text",
        text_from_url=_attribute(target, "valuetype") == "url",
        relation_labels=_relation_labels(tags),
        shown=shown,
        unserved=tuple(other.get("name", "") for other in targets[1:]),
    )


def task_text(
    interface: LabelingInterface, data: Mapping[str, Any], *, fetch: Callable[[str], str] | None = None
) -> str:
    """The text that a task shows; of Paragraphs, one paragraph a line.

    Line breaks inside a paragraph become blanks, so that lines are paragraphs and offsets stay.

    :param fetch: reads a text that the data only refer to (``text_from_url``).
    :raises LabelConfigError: the data lack the text, or hold something else in its place.
    """
    value = _looked_up(data, interface.key)
    if interface.text_from_url:
        if fetch is None or not isinstance(value, str):
            raise LabelConfigError(f"The task's '{interface.key}' should be the address of a readable text")
        content = fetch(value)
        value = content if interface.kind == "text" else _json(content, interface.key)
    if interface.kind == "paragraphs":
        text = "\n".join(_paragraphs(interface, value))
    elif isinstance(value, bool) or not isinstance(value, str | int | float):
        raise LabelConfigError(f"The task's '{interface.key}' holds a {type(value).__name__}, not a text")
    else:
        text = value if isinstance(value, str) else _number(value, interface.key)
    _check_size(len(text), interface.key)
    if not _is_encodable(text):
        raise LabelConfigError(
            f"The task's '{interface.key}' holds half of a surrogate pair, which is no character"
        )
    return text


def _check_size(characters: int, key: str) -> None:
    if characters > MAX_TEXT_CHARACTERS:
        raise LabelConfigError(
            f"The task's '{key}' has {characters:,} characters; at most {MAX_TEXT_CHARACTERS:,} can "
            "be read. Split the text into several tasks"
        )


def _number(value: float, key: str) -> str:
    try:
        return str(value)
    except ValueError as error:
        raise LabelConfigError(f"The task's '{key}' is a number of thousands of digits") from error


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _paragraphs(interface: LabelingInterface, value: object) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise LabelConfigError(
            f"The task's '{interface.key}' should be a list of paragraphs such as "
            f'[{{"author": "A", "{interface.text_key}": "..."}}]'
        )
    texts = [item.get(interface.text_key) or "" for item in value]
    if not all(isinstance(text, str | int | float) for text in texts):
        raise LabelConfigError(
            f"The '{interface.text_key}' of a paragraph of the task's '{interface.key}' is not a text"
        )
    words = [text if isinstance(text, str) else _number(text, interface.key) for text in texts]
    _check_size(sum(map(len, words)) + max(len(words) - 1, 0), interface.key)
    return [each.replace("\n", " ") for each in words]


def _json(content: str, key: str) -> object:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise LabelConfigError(f"What the task's '{key}' refers to is not JSON") from error


def _looked_up(data: Mapping[str, Any], key: str) -> Any:
    if key in data:
        return data[key]
    value: Any = data
    for step in _STEP.findall(key):
        if isinstance(value, Mapping) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        else:
            keys = ", ".join(sorted(filter(_is_encodable, data)))[:200] or "none"
            raise LabelConfigError(f"A task has no '{key}', which the label config shows. Its keys: {keys}")
    return value


def _parsed(label_config: str) -> Element:
    if not label_config.strip():
        raise LabelConfigError(f"The project has no label config. {_REMEDY}")
    try:
        root: Element = fromstring(label_config.strip(), forbid_dtd=True)
    except (ParseError, DefusedXmlException) as error:
        raise LabelConfigError(f"The label config is not valid XML ({error})") from error
    return root


class _Tags:
    """The tags of a label config by what they belong to, found in one pass."""

    def __init__(self, root: Element) -> None:
        self.all = list(root.iter())
        self._controls: dict[tuple[str, str], list[Element]] = {}
        self._labels: dict[Element, list[Element]] = {}
        spans = {control for control, _ in _CONTROLS.values()}
        around: list[tuple[Element, Element | None]] = [(root, None)]
        while around:
            element, control = around.pop()
            name = _tag(element)
            if name in spans:
                control = element
                target = element.get("toName")
                if element.get("name") and target:
                    self._controls.setdefault((name, target), []).append(element)
            elif name == "label" and control is not None:
                self._labels.setdefault(control, []).append(element)
            around.extend((child, control) for child in reversed(element))

    def controls_of(self, target: Element) -> list[Element]:
        """Those that mark spans of this object tag."""
        return self._controls.get((_CONTROLS[_tag(target)][0], target.get("name", "")), [])

    def labels_in(self, control: Element) -> list[Element]:
        return self._labels.get(control, [])


def _labelled_objects(tags: _Tags) -> list[Element]:
    """The object tags that spans can be marked on, in the config's order, which the first of them serves."""
    found = [each for each in tags.all if _tag(each) in _CONTROLS and tags.controls_of(each)]
    if not found:
        names = ", ".join(sorted({str(each.tag) for each in tags.all} - {"View", "Label", "Header", "Style"}))
        raise LabelConfigError(
            f"The label config marks no spans of a plain text (found: {names or 'nothing'}). {_REMEDY}"
        )
    if (found[0].get("encoding") or "none") != "none":
        raise LabelConfigError("The label config shows an encoded text; give tasks plain text instead")
    return found


def _relation_labels(tags: _Tags) -> tuple[str, ...] | None:
    if not any(_tag(element) == "relations" for element in tags.all):
        return None
    values = (element.get("value", "") for element in tags.all if _tag(element) == "relation")
    return tuple(dict.fromkeys(value for value in values if value.strip()))


def _variable(target: Element) -> str:
    value = target.get("value", "").strip()
    match = _VARIABLE.fullmatch(value)
    if match is not None:
        return match.group(1)
    if re.fullmatch(r"\$[^\s$]+", value):
        raise LabelConfigError(
            f"Label Studio's page cannot show {value}: names in a label config may have the letters a to z, "
            "digits and _ only. Rename the column in the tasks and in the label config"
        )
    raise LabelConfigError(
        f"The <{target.tag}> tag shows '{value}'; it should show one value of the task, such as $text"
    )


def _attribute(element: Element, name: str) -> str:
    """An attribute whose name may be written in any case, as in ``valueType`` or ``textKey``."""
    return next((value.strip() for key, value in element.attrib.items() if key.lower() == name), "")


def _tag(element: Element) -> str:
    return str(element.tag).lower()
