"""A file's bytes -> its characters, or the reason why they are none."""

from __future__ import annotations

import codecs
from pathlib import Path

from .records import ImportFileError

MAX_FILE_BYTES = 500_000_000
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_OTHER_FILES = (
    (b"PK\x03\x04", "an Excel, Word or zip file; save the texts as CSV in UTF-8"),
    (b"\xd0\xcf\x11\xe0", "a file of an old Excel or Word; save the texts as CSV in UTF-8"),
    (b"%PDF", "a PDF; take the text out of it first"),
    (b"\x1f\x8b", "compressed; unpack it first"),
    (b"PAR1", "a Parquet file; write the rows as JSONL first"),
    (b"SQLite format 3", "a database; write the rows as JSONL or CSV first"),
)


def decode(path: Path, encoding: str | None = None) -> str:
    """The characters of a file: UTF-8, or what a byte order mark or ``encoding`` says.

    :raises ImportFileError: the file cannot be read, or holds no text of that encoding.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ImportFileError(f"{path}: larger than {MAX_FILE_BYTES // 10**6} MB; split the file.")
        raw = path.read_bytes()
    except OSError as error:
        raise ImportFileError(f"{path} cannot be read: {error.strerror}.") from error
    for signature, what in _OTHER_FILES:
        if raw.startswith(signature):
            raise ImportFileError(f"{path} is {what}.")
    marked = next((name for mark, name in BYTE_ORDER_MARKS if raw.startswith(mark)), None)
    chosen = encoding or marked or "utf-8"
    try:
        return raw.decode(chosen)
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ImportFileError(
            f"{path}, line {line}: not {chosen} (byte {raw[error.start]:#04x}). Save the file as UTF-8."
        ) from error
    except LookupError as error:
        raise ImportFileError(f"There is no encoding called {chosen!r}.") from error
