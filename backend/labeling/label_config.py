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
_VARIABLE = re.compile(r"\$([\w.\[\]-]+)")
_STEP = re.compile(r"[^.\[\]]+")
_REMEDY = (
    'Use <Labels name="label" toName="text"> with <Label value="..."/> over '
    '<Text name="text" value="$text"/>, or <ParagraphLabels> over <Paragraphs>'
)


@dataclass(frozen=True, slots=True)
class LabelingInterface:
    """The part of a label config that entities live in.

    ``labels`` are the names that Label Studio stores in results (a label's alias where it has one),
    in the config's order; ``hints`` says more about some of them; ``from_name`` gives the control
    tag of each. ``key`` is the path of the text in a task's data. ``relation_labels`` is None where
    the config has no <Relations>, and empty where relations bear no label. ``shown`` maps the name
    on the page to the stored one, for labels with an alias.
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

    @property
    def result_type(self) -> str:
        """The ``type`` of a region, which is also the key of its labels."""
        return "labels" if self.kind == "text" else "paragraphlabels"


def parse_label_config(label_config: str) -> LabelingInterface:
    """Find the span labels of a label config.

    :raises LabelConfigError: it is no XML, or has no Labels over Text nor ParagraphLabels over
        Paragraphs; the message says what to use instead.
    """
    root = _parsed(label_config)
    target = _labelled_object(root)
    control_tag, kind = _CONTROLS[_tag(target)]
    labels: dict[str, str] = {}
    hints: dict[str, str] = {}
    shown: dict[str, str] = {}
    for control in _controls_of(root, target):
        for label in (element for element in control.iter() if _tag(element) == "label"):
            value = label.get("value", "").strip()
            name = label.get("alias", "").strip() or value
            if not name:
                continue
            labels.setdefault(name, control.get("name", ""))
            hint = label.get("hint", "").strip() or (value if value != name else "")
            if hint:
                hints.setdefault(name, hint)
            if value != name:
                shown[value] = name
    if not labels:
        raise LabelConfigError(
            f'The <{control_tag}> tag of the label config holds no <Label value="..."/>. '
            "List the labels there; labels that come from the task's data are not supported"
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
        relation_labels=_relation_labels(root),
        shown=shown,
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
        text = str(value)
    if not _is_encodable(text):
        raise LabelConfigError(
            f"The task's '{interface.key}' holds half of a surrogate pair, which is no character"
        )
    if len(text) > MAX_TEXT_CHARACTERS:
        raise LabelConfigError(
            f"The task's '{interface.key}' has {len(text):,} characters; at most {MAX_TEXT_CHARACTERS:,} can "
            "be read. Split the text into several tasks"
        )
    return text


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
    return [str(item.get(interface.text_key) or "").replace("\n", " ") for item in value]


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


def _labelled_object(root: Element) -> Element:
    """The first object tag, in the config's order, that spans can be marked on."""
    for element in root.iter():
        if _tag(element) in _CONTROLS and _controls_of(root, element):
            if (element.get("encoding") or "none") != "none":
                raise LabelConfigError(
                    "The label config shows an encoded text; give tasks plain text instead"
                )
            return element
    found = ", ".join(
        sorted({str(element.tag) for element in root.iter()} - {"View", "Label", "Header", "Style"})
    )
    raise LabelConfigError(
        f"The label config marks no spans of a plain text (found: {found or 'nothing'}). {_REMEDY}"
    )


def _controls_of(root: Element, target: Element) -> list[Element]:
    tag = _CONTROLS[_tag(target)][0]
    return [
        element
        for element in root.iter()
        if _tag(element) == tag and element.get("name") and element.get("toName") == target.get("name")
    ]


def _relation_labels(root: Element) -> tuple[str, ...] | None:
    if not any(_tag(element) == "relations" for element in root.iter()):
        return None
    values = (element.get("value", "").strip() for element in root.iter() if _tag(element) == "relation")
    return tuple(dict.fromkeys(value for value in values if value))


def _variable(target: Element) -> str:
    value = target.get("value", "").strip()
    match = _VARIABLE.fullmatch(value)
    if match is None:
        raise LabelConfigError(
            f"The <{target.tag}> tag shows '{value}'; it should show one value of the task, such as $text"
        )
    return match.group(1)


def _attribute(element: Element, name: str) -> str:
    """An attribute whose name may be written in any case, as in ``valueType`` or ``textKey``."""
    return next((value.strip() for key, value in element.attrib.items() if key.lower() == name), "")


def _tag(element: Element) -> str:
    return str(element.tag).lower()
