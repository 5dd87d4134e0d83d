"""An expert's own terms: suggested before the first annotation."""

from __future__ import annotations

from allabel_core.errors import InvalidInputError

MOST_TERMS = 20_000
MOST_CHARACTERS = 1_000_000


def read_dictionary(content: str) -> list[tuple[str, str]]:
    """(term, label) of each line of a TSV; lines that are empty or begin with # are left out.

    :raises InvalidInputError: a line that is not a term, a tab, a label; or too much.
    """
    if len(content) > MOST_CHARACTERS:
        raise InvalidInputError(f"The dictionary has more than {MOST_CHARACTERS:,} characters.")
    terms: dict[tuple[str, str], None] = {}
    for number, line in enumerate(content.removeprefix("\ufeff").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        term, _, label = (part.strip() for part in line.partition("\t"))
        if not (term and label) or "\t" in label:
            raise InvalidInputError(
                f"Line {number} of the dictionary must be a term, a tab and a label (TSV)."
            )
        terms[term, label] = None
    if len(terms) > MOST_TERMS:
        raise InvalidInputError(f"The dictionary has more than {MOST_TERMS:,} terms.")
    return list(terms)
