"""The dispatcher: arguments, names, and what a queue looks like."""

from __future__ import annotations

import numpy as np
import pytest

from allabel_core import Bm25, Embeddings, InvalidInputError, Reason, select
from allabel_core.selection import Pick

TEXTS = ["a b", "b c", "c d", "d e", "e f"]


def test_annotated_texts_begin_the_order_and_count_in_the_budget():
    found = select(TEXTS, 4, annotated=[3, 1])
    assert found.order[:2] == (3, 1)
    assert found.stages[:2] == ("annotated", "annotated")
    assert len(found.order) == len(found.stages) == len(found.reasons) == len(set(found.order)) == 4


def test_more_annotated_than_the_budget_asks_for_nothing():
    assert select(TEXTS, 1, annotated=[4, 2, 0]).order == (4, 2, 0)


def test_budget_beyond_the_pool_asks_for_every_text():
    assert sorted(select(TEXTS, 99).order) == [0, 1, 2, 3, 4]


def test_a_similarity_may_be_given():
    assert select(TEXTS, 5, similarity=Bm25(TEXTS)).order == select(TEXTS, 5).order
    vectors = np.eye(5)
    assert select(TEXTS, 5, similarity=Embeddings(vectors)).order == (0, 1, 2, 3, 4)


def test_a_strategy_may_be_a_function():
    def last_first(similarity, request):
        return [Pick(i, "own", Reason("last", 0.0)) for i in reversed(range(len(similarity)))][
            : request.budget
        ]

    found = select(TEXTS, 2, strategy=last_first)
    assert found.order == (4, 3)
    assert found.stages == ("own", "own")


def test_a_tokenizer_may_be_given():
    words = ["one two", "one three", "four", "five"]
    by_letter = select(words, 4, tokenizer=list)
    assert by_letter.order != select(words, 4).order


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"budget": -1}, "budget"),
        ({"k": 0}, "k must"),
        ({"annotated": [0, 0]}, "twice"),
        ({"annotated": [5]}, "from 0 to 4"),
        ({"annotated": [-1]}, "from 0 to 4"),
        ({"stage_ratio": (0, 0, 0)}, "stage_ratio"),
        ({"weak_against": "all"}, "weak_against"),
        ({"strategy": "best"}, "allabel"),
        ({"similarity": "tfidf"}, "bm25, sbert"),
        ({"similarity": Embeddings(np.eye(3))}, "3 texts"),
    ],
)
def test_wrong_arguments_are_named(arguments, named):
    with pytest.raises(InvalidInputError, match=named):
        select(TEXTS, **{"budget": 3, **arguments})


def test_one_text_is_not_a_pool():
    with pytest.raises(InvalidInputError, match="sequence"):
        select("one text", 1)
