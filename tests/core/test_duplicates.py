import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from allabel_core.errors import InvalidInputError
from allabel_core.selection.duplicates import near_duplicate_leaders, worth_asking


def naive_leaders(tokens, threshold, annotated):
    """Every pair compared."""

    def near(one, other):
        one, other = set(one), set(other)
        shared, union = len(one & other), len(one | other)
        return shared >= threshold * union if union else True

    leaders = list(range(len(tokens)))
    order = list(annotated)
    for index in range(len(tokens)):
        if index in annotated:
            continue
        same = [leader for leader in order if near(tokens[index], tokens[leader])]
        if same:
            leaders[index] = same[0]
        else:
            order.append(index)
    return leaders


tokens_lists = st.lists(st.lists(st.sampled_from("abcdef"), max_size=6), max_size=12)


@given(tokens_lists, st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.75, 0.9, 1.0]), st.data())
def test_equal_to_comparing_every_pair(tokens, threshold, data):
    annotated = data.draw(st.lists(st.sampled_from(range(len(tokens))), unique=True)) if tokens else []
    leaders = near_duplicate_leaders(tokens, threshold, annotated=annotated)
    assert leaders.tolist() == naive_leaders(tokens, threshold, annotated)


def test_a_reprint_stands_behind_the_first():
    tokens = [["heat", "to", "80", "c"], ["cool", "slowly"], ["heat", "to", "90", "c"]]
    assert near_duplicate_leaders(tokens, 0.6).tolist() == [0, 1, 0]  # 3 of 5 tokens shared
    assert near_duplicate_leaders(tokens, 0.61).tolist() == [0, 1, 2]


def test_an_annotated_text_leads_earlier_ones():
    tokens = [["a", "b"], ["c"], ["b", "a", "a"]]
    leaders = near_duplicate_leaders(tokens, 0.9, annotated=[2])
    assert leaders.tolist() == [2, 1, 2]
    assert worth_asking(leaders).tolist() == [False, True, True]


def test_a_chain_is_not_one_group():
    tokens = ["abcd", "bcde", "cdef"]  # neighbours share 3 of 5, the ends 2 of 6
    assert near_duplicate_leaders(tokens, 0.6).tolist() == [0, 0, 2]


def test_texts_without_a_token_are_one_group():
    assert near_duplicate_leaders([[], ["a"], []], 0.9).tolist() == [0, 1, 0]


@pytest.mark.parametrize("threshold", [0, -0.1, 1.01])
def test_a_threshold_that_means_nothing_is_refused(threshold):
    with pytest.raises(InvalidInputError, match="threshold"):
        near_duplicate_leaders([["a"]], threshold)


@pytest.mark.slow
@pytest.mark.timeout(60)  # comparing all pairs would take many minutes
def test_a_large_pool_is_not_compared_pair_by_pair():
    rng = random.Random(1)
    ranks = np.random.default_rng(1).zipf(1.3, size=20_000 * 25) % 50_000
    tokens = [[str(token) for token in ranks[start : start + 25]] for start in range(0, len(ranks), 25)]
    for place in rng.sample(range(10_000, 20_000), 500):
        tokens[place] = [*tokens[place - 10_000], "once"]
    leaders = near_duplicate_leaders(tokens, 0.9)
    assert 300 < int((leaders != np.arange(len(tokens))).sum()) <= 1_000
