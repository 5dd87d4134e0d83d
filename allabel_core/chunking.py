"""Token estimates, and long texts in pieces whose offsets lead back to the whole."""

from __future__ import annotations

import re

# One alternative for each cost: a run of ASCII letters, any other ASCII character, a character of
# two, of three and of four UTF-8 bytes.
_TOKEN_COSTS = re.compile(
    r"([A-Za-z]+)|([!-~])|([\u0080-\u07ff])|([\u0800-\uffff])|([\U00010000-\U0010ffff])"
)
_LETTERS_PER_TOKEN = 3


def estimate_tokens(text: str) -> int:
    """An upper estimate of the tokens of a text, whatever its script and the model's tokenizer.

    Three ASCII letters are one token, every digit and sign one, a character of two UTF-8 bytes one,
    of three bytes two, of four bytes three; white space belongs to what follows it.
    """
    total = text.count("\n")
    for run, ascii_sign, two_bytes, three_bytes, _ in _TOKEN_COSTS.findall(text):
        if run:
            total += -(-len(run) // _LETTERS_PER_TOKEN)
        else:
            total += 1 if ascii_sign or two_bytes else 2 if three_bytes else 3
    return total
