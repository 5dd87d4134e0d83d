"""A label config for labels that somebody names, or that are found in a file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.sax.saxutils import quoteattr  # writes XML, reads none  # nosec B406

from ..errors import LabelConfigError

COLOURS = ("#2ca02c", "#1f77b4", "#8c564b", "#9467bd", "#d62728", "#ff7f0e", "#e377c2", "#17becf", "#bcbd22")
_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def label_config(labels: Sequence[str], relations: Sequence[str] | None = None) -> str:
    """A labelling interface for these labels over ``$text``; ``relations``: None where none can be drawn.

    :raises LabelConfigError: a name that cannot be written in a label config.
    """
    for name in (*labels, *(relations or ())):
        if _NO_XML.search(name):
            raise LabelConfigError(f"The label {name!r} has a character that no label config can hold")
    items = "\n".join(
        f"    <Label value={quoteattr(label)} background={quoteattr(COLOURS[i % len(COLOURS)])}/>"
        for i, label in enumerate(labels)
    )
    links = ""
    if relations is not None:
        named = "".join(f"    <Relation value={quoteattr(name)}/>\n" for name in relations if name)
        links = f"  <Relations>\n{named}  </Relations>\n"
    return (
        f'<View>\n{links}  <Labels name="label" toName="text">\n{items}\n  </Labels>\n'
        '  <Text name="text" value="$text"/>\n</View>\n'
    )
