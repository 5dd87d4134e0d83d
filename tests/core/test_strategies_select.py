import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allabel_core.errors import InvalidInputError
from allabel_core.selection import STRATEGIES, SelectionRequest, select, select_by
from allabel_core.similarity.bm25 import Bm25
from allabel_core.similarity.tokenize import tokenize

TEXTS = [
    "Dissolve the acid in water",
    "Dissolve the acid in hot water",
    "Dissolve the acid in water.",
    "Heat the furnace to 900 C for two hours",
    "Cool slowly",
    "",
    "Heat the furnace to 800 C for two hours",
    "Wash the powder with ethanol and dry it",
]
corpora = st.lists(
    st.lists(st.sampled_from(["heat", "cool", "stir", "acid", "base"]), max_size=5), max_size=9
).map(lambda all_words: [" ".join(words) for words in all_words])


@pytest.mark.parametrize("strategy", STRATEGIES)
@settings(max_examples=30)
@given(texts=corpora, budget=st.integers(0, 40))
def test_a_budget_in_tokens_is_kept(strategy, texts, budget):
    chosen = select(texts, budget, strategy=strategy, budget_unit="tokens").order
    assert sum(max(1, len(tokenize(texts[index]))) for index in chosen) <= budget


@pytest.mark.parametrize("strategy", STRATEGIES)
@settings(max_examples=30)
@given(texts=corpora, budget=st.integers(0, 9), data=st.data())
def test_no_two_near_identical_texts_are_asked_for(strategy, texts, budget, data):
    annotated = data.draw(st.lists(st.sampled_from(range(len(texts))), unique=True)) if texts else []
    selection = select(texts, budget, strategy=strategy, near_duplicates=1.0, annotated=annotated)
    words = Counter(frozenset(tokenize(texts[index])) for index in selection.order)
    known = Counter(frozenset(tokenize(texts[index])) for index in annotated)
    assert all(count <= max(1, known[of]) for of, count in words.items())


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_group_is_asked_for_once(strategy):
    chosen = select(TEXTS, len(TEXTS), strategy=strategy, near_duplicates=0.75).order
    assert set(chosen) <= {0, 3, 4, 5, 7}
    assert 1 not in select(TEXTS, 8, strategy=strategy, near_duplicates=0.75, annotated=[2]).order


def test_tokenizer_by_name():
    texts = ["water", "hexane", "methylbenzene", "silica", "dimethylbenzenes", "iodide", "glucose"]
    assert select(texts, 1, strategy="coverage").order == (0,)  # no word in common: the first
    by_parts = select(texts, 1, strategy="coverage", tokenizer="characters-3")
    assert by_parts.order == (4,)
    assert by_parts.reasons[0].serves == 1  # methylbenzene, whose parts it contains


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"budget_unit": "pages"}, "budget_unit 'pages' is none of texts, tokens"),
        ({"tokenizer": "syllables"}, "tokenizer 'syllables' is none of words"),
        ({"near_duplicates": 1.5}, "at most 1: 1.5"),
        ({"near_duplicates": 0.9, "annotated": [8]}, "indices from 0 to 7"),
    ],
)
def test_what_cannot_be_used_is_named(arguments, message):
    with pytest.raises(InvalidInputError, match=message):
        select(TEXTS, 2, **arguments)


@pytest.mark.parametrize("costs", [[1.0, 2.0], [0.0] * 8])
def test_costs_that_cannot_be_used_are_named(costs):
    with pytest.raises(InvalidInputError, match="costs must be 8 numbers above 0"):
        select_by(Bm25(TEXTS), SelectionRequest(budget=3, costs=np.array(costs)))


def test_the_example_of_the_docs_runs(capsys):
    page = (Path(__file__).parents[2] / "docs" / "selection.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    exec(example, {})
    assert capsys.readouterr().out.count("best example so far") == 2
