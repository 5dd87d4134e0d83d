"""Labels that have too few demonstrations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from allabel_core.types import Document


def scarce_labels(demonstrations: Iterable[Document], labels: Sequence[str], k: int) -> dict[str, int]:
    """How many demonstrations show each label, for the labels shown by fewer than ``k``; in their order.

    A label's own k best demonstrations cannot all exist below that, whatever the retrieval finds.

    :param labels: every label of the project, so that one without any demonstration is reported too.
    """
    shown_by = Counter(
        label for document in demonstrations for label in {span.label for span in document.spans}
    )
    return {label: shown_by[label] for label in labels if shown_by[label] < k}
