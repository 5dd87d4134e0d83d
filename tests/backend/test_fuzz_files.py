"""Files that are nearly right, or not at all: read, or refused with the place of the problem."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from allabel_core.errors import AllabelError
from backend.importers import SUFFIXES, read_tasks
from backend.importing.conll import SUFFIXES as CONLL_SUFFIXES
from backend.simulate.reading import read_dataset

pytestmark = pytest.mark.slow
slowly = settings(deadline=20_000, suppress_health_check=[HealthCheck.function_scoped_fixture])

TASK_KEYS = ["data", "text", "annotations", "completions", "result", "value", "start", "end", "labels", "id"]
FLAT_KEYS = [
    "answer",
    "start_offset",
    "annotation_id",
    "relations",
    "_input_hash",
    "paragraphlabels",
    "tokens",
    "tags",
    "ner_tags",
    "spans",
    "entities",
    "label",
    "from_id",
    "to_id",
    "type",
    "a",
]
keys = st.sampled_from([*TASK_KEYS, *FLAT_KEYS])
words = st.sampled_from(
    ["labels", "relation", "ann eats", "B-X", "I-X", "O", "", "\x00", "\ud800", "=1+1", "🍐 pear", "9" * 5000]
)
values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 9)
    | st.floats()
    | st.just(10**30)
    | words
    | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=5),
    max_leaves=12,
)
regions = st.fixed_dictionaries(
    {"type": st.sampled_from(["labels", "relation"]) | values},
    optional={
        "id": values,
        "from_id": values,
        "to_id": values,
        "value": values
        | st.fixed_dictionaries(
            {"start": values, "end": values, "labels": values}, optional={"text": values}
        ),
        "labels": values,
    },
)
annotations = st.fixed_dictionaries({"result": st.lists(regions | values, max_size=3)}) | values
tasks = st.fixed_dictionaries(
    {"data": st.fixed_dictionaries({"text": words}) | values}, optional={"annotations": st.lists(annotations)}
)
flat = st.fixed_dictionaries(
    {"tokens": values | st.lists(words)}, optional={"ner_tags": values | st.lists(words), "spans": values}
)
documents = st.lists(tasks | flat | values, max_size=12).map(json.dumps)
lines = st.lists((tasks | flat | values).map(json.dumps) | st.text(max_size=9), max_size=12).map("\n".join)
tables = st.text(alphabet='text,;\t"\n\r\x00aé', max_size=60).map("text,a\n".__add__)
columns = st.text(alphabet="a \t\nBIOES-X_", max_size=80)
contents = st.binary(max_size=60) | (documents | lines | tables | columns | st.text(max_size=60)).map(
    lambda text: text.encode("utf-8", "surrogatepass")
)


def is_read_or_refused(read: Any, path: Path) -> None:
    try:
        read(path)
    except AllabelError as error:
        # The person who must act is told where.
        if str(path) not in str(error):
            pytest.fail(f"names no file: {error}")


@slowly
@given(content=contents, suffix=st.sampled_from(SUFFIXES))
def test_files_of_tasks(content: bytes, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"f{suffix}"
    path.write_bytes(content)
    is_read_or_refused(read_tasks, path)


@slowly
@given(content=contents, suffix=st.sampled_from([".json", ".jsonl", *CONLL_SUFFIXES]))
def test_annotated_files(content: bytes, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"f{suffix}"
    path.write_bytes(content)
    is_read_or_refused(read_dataset, path)


@slowly
@given(
    text=st.text(max_size=40),
    lines=st.lists(
        st.tuples(st.sampled_from(["T1", "R1", "#1", "", "T"]), st.text(alphabet="LX 0129;-\t", max_size=12)),
        max_size=4,
    ),
)
def test_folders_of_brat(text: str, lines: list[tuple[str, str]], tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(text.encode("utf-8", "surrogatepass"))
    (tmp_path / "a.ann").write_text("\n".join("\t".join((*line, "x")) for line in lines))
    is_read_or_refused(read_dataset, tmp_path)


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
@pytest.mark.parametrize("content", ["[" * 200_000, '{"a":' * 200_000, '"' + "\\" * 200_001, "9" * 200_000])
def test_what_could_take_for_ever(content: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"f{suffix}"
    path.write_text(content)
    for read in (read_tasks, read_dataset):
        with pytest.raises(AllabelError):
            read(path)
