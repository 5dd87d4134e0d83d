from dataclasses import replace
from itertools import combinations
from math import e

import numpy as np
import pytest
from dense import Dense, grid_matrix
from hypothesis import given, settings
from hypothesis import strategies as st

from allabel_core.selection.benefits import benefit_graph
from allabel_core.selection.coverage import coverage, coverage_bound, covered_share
from allabel_core.selection.datatypes import SelectionRequest
from allabel_core.similarity.bm25 import Bm25

LINE = np.array([0.0, 0.1, 0.2, 0.6, 0.7])  # a group of three and a group of two


def on_a_line(places):
    return Dense(1 - np.abs(places[:, None] - places[None, :]))


def benefits(similarity):
    """r[q, d] straight from its definition, in whole units."""
    own = similarity.self_similarity()
    n, unit = len(similarity), 10**similarity.decimals
    r = np.zeros((n, n), dtype=np.int64)
    for q in range(n):
        for d in range(n):
            if own[q] > 0:
                share = similarity.block(np.array([q]))[0, d] / own[q]
                r[q, d] = unit if q == d else round(min(max(share, 0.0), 1.0) * unit)
    return r


def value(r, chosen):
    return int(r[:, list(chosen)].max(axis=1).sum()) if chosen else 0


def naive_coverage(similarity, budget, annotated=(), eligible=None):
    """Greedy facility location, every gain of every step from scratch."""
    r = benefits(similarity)
    chosen = list(annotated)
    while len(chosen) < budget:
        left = [d for d in range(len(r)) if d not in chosen and (eligible is None or eligible[d])]
        if not left:
            break
        chosen.append(max(left, key=lambda d: (value(r, [*chosen, d]), -d)))
    return chosen[len(annotated) :]


def order(picks):
    return [pick.index for pick in picks]


pools = st.integers(1, 8).flatmap(
    lambda n: st.lists(st.integers(-1, 5), min_size=1, max_size=n * n).map(lambda v: Dense(grid_matrix(v, n)))
)


@given(pools, st.data())
def test_equal_to_the_naive_greedy(similarity, data):
    n = len(similarity)
    annotated = tuple(data.draw(st.lists(st.sampled_from(range(n)), unique=True)))
    eligible = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    budget = data.draw(st.integers(0, n + 1))
    request = SelectionRequest(budget=budget, annotated=annotated, eligible=eligible)
    assert order(coverage(similarity, request)) == naive_coverage(similarity, budget, annotated, eligible)


@given(
    st.lists(st.lists(st.sampled_from(["heat", "cool", "stir", "acid", "base"]), max_size=5), max_size=9),
    st.integers(0, 10),
)
def test_equal_to_the_naive_greedy_on_texts(tokens, budget):
    similarity = Bm25([" ".join(words) for words in tokens])
    assert order(coverage(similarity, SelectionRequest(budget=budget))) == naive_coverage(similarity, budget)


def test_the_middle_of_the_larger_group_comes_first():
    picks = coverage(on_a_line(LINE), SelectionRequest(budget=5))
    # Text 2: .8 + .9 + 1 + .6 + .5 = 3.8; text 1 has .9 + 1 + .9 + .5 + .4 = 3.7, text 3 3.4.
    assert picks[0].index == 2
    assert picks[0].reason.score == pytest.approx(3.8)
    assert picks[0].reason.serves == 4
    assert picks[1].index == 3  # (1 - .6) + (.9 - .5) = .8, as much as text 4: the lower index
    assert picks[1].reason.score == pytest.approx(0.8)
    assert (picks[1].reason.nearest, picks[1].reason.similarity) == (2, 0.6)
    assert order(picks) == [2, 3, 0, 1, 4]


def test_what_is_annotated_is_covered_already():
    picks = coverage(on_a_line(LINE), SelectionRequest(budget=2, annotated=(3,)))
    assert order(picks) == [1]  # 3 gave .4 .5 .6; text 1 adds .5 + .5 + .3, texts 0 and 2 only 1.2
    assert picks[0].reason.score == pytest.approx(1.3)
    assert picks[0].reason.nearest == 3


@given(pools, st.integers(1, 8), st.integers(0, 8))
def test_prefix_stable(similarity, budget, annotated_count):
    queue = order(coverage(similarity, SelectionRequest(budget=budget)))
    done = tuple(queue[:annotated_count])
    assert order(coverage(similarity, SelectionRequest(budget=budget, annotated=done))) == queue[len(done) :]


@given(pools, st.integers(1, 4))
def test_at_least_63_percent_of_the_best(similarity, budget):
    r = benefits(similarity)
    budget = min(budget, len(r))
    best = max(value(r, chosen) for chosen in combinations(range(len(r)), budget))
    found = value(r, order(coverage(similarity, SelectionRequest(budget=budget))))
    assert found >= (1 - 1 / e) * best


def test_texts_that_say_nothing_are_no_queries_and_come_last():
    similarity = Bm25(["", "heat the acid", "cool it", "..."])
    picks = coverage(similarity, SelectionRequest(budget=4))
    assert order(picks) == [1, 2, 0, 3]
    assert [pick.reason.score for pick in picks] == [1.0, 1.0, 0.0, 0.0]
    assert picks[2].reason.words == "everything that it could serve is served as well already"


def test_a_demonstration_better_than_the_text_itself_covers_it_once_only():
    picks = coverage(Dense([[1, 3], [0, 1]]), SelectionRequest(budget=2))
    assert [(pick.index, pick.reason.score) for pick in picks] == [(1, 2.0), (0, 0.0)]


@pytest.mark.parametrize("n", [0, 1])
def test_tiny_pools(n):
    assert order(coverage(Dense(np.ones((n, n))), SelectionRequest(budget=3))) == list(range(n))


@given(pools, st.integers(1, 8), st.integers(0, 8))
def test_the_bound_holds_on_a_truncated_graph(similarity, graph_size, budget):
    r = benefits(similarity)
    n, unit = len(r), 10**similarity.decimals
    budget = min(budget, n)
    chosen = order(coverage(similarity, SelectionRequest(budget=budget), graph_size=graph_size))
    bound = coverage_bound(similarity, chosen, graph_size=graph_size)
    best = max(value(r, some) for some in combinations(range(n), budget))
    assert bound.value == pytest.approx(value(r, chosen) / unit)
    assert bound.best_possible >= best / unit - 1e-9
    graph = benefit_graph(similarity, candidates=np.ones(n, dtype=bool), graph_size=graph_size)
    uncovered = graph.floor - (r[:, chosen].max(axis=1) if chosen else 0)
    assert bound.truncation == pytest.approx(np.maximum(uncovered, 0).sum() / unit)


def test_the_bound_is_tight_where_the_choice_is_perfect():
    bound = coverage_bound(Dense(np.eye(4)), [0, 1])
    assert (bound.value, bound.best_possible, bound.truncation, bound.queries) == (2.0, 4.0, 0.0, 4)
    everything = coverage_bound(Dense(np.eye(4)), [0, 1, 2, 3])
    assert everything.value == everything.best_possible == 4.0


@settings(deadline=None)
@given(st.integers(0, 5))
def test_a_graph_of_16_is_as_good_as_the_whole(seed):
    places = np.random.default_rng(seed).normal(size=(80, 3))
    similarity = Dense(np.exp(-np.square(places[:, None] - places[None]).sum(axis=2)))
    r = benefits(similarity)
    request = SelectionRequest(budget=8)
    whole = value(r, order(coverage(similarity, request)))
    truncated = value(r, order(coverage(similarity, request, graph_size=16)))
    assert truncated >= 0.95 * whole


def test_covered_share_by_hand():
    assert covered_share(on_a_line(LINE), [2]).tolist() == [0.8, 0.9, 1.0, 0.6, 0.5]
    assert covered_share(on_a_line(LINE), []).tolist() == [0.0] * 5
    assert covered_share(Dense([[0, 1], [1, 2]]), [0, 1]).tolist() == [0.0, 1.0]


def costing(costs, budget):
    return SelectionRequest(budget=budget, costs=np.array(costs, dtype=np.float64))


def test_cheap_texts_first_when_reading_is_what_costs():
    # Text 0 resembles all of them half, at a price of 6; texts 1 to 3 are themselves only, at 1.
    similarity = Dense([[1, 0, 0, 0], [0.5, 1, 0, 0], [0.5, 0, 1, 0], [0.5, 0, 0, 1]])
    assert order(coverage(similarity, SelectionRequest(budget=1))) == [0]
    picks = coverage(similarity, costing([6, 1, 1, 1], budget=6))
    assert order(picks) == [1, 2, 3]
    assert picks[0].reason.words.endswith("for 1 to read")


def test_the_plain_greedy_is_taken_where_it_is_better():
    # Per token, text 0 (1 for 1) beats text 1 (9 for 10), which it then makes unaffordable.
    similarity = Dense(np.diag([1.0] * 10) + 0.0)
    similarity.matrix[2:, 1] = 1.0
    picks = coverage(similarity, costing([1, 10] + [20] * 8, budget=10))
    assert order(picks) == [1]


@given(pools, st.data())
def test_half_of_63_percent_of_the_best_that_is_affordable(similarity, data):
    n = len(similarity)
    costs = data.draw(st.lists(st.integers(1, 5), min_size=n, max_size=n))
    budget = data.draw(st.integers(0, sum(costs)))
    r = benefits(similarity)
    chosen = order(coverage(similarity, costing(costs, budget)))
    assert sum(costs[index] for index in chosen) <= budget
    affordable = [
        some
        for size in range(n + 1)
        for some in combinations(range(n), size)
        if sum(costs[index] for index in some) <= budget
    ]
    best = max(value(r, some) for some in affordable)
    assert value(r, chosen) >= (1 - 1 / e) / 2 * best


def test_annotated_texts_have_spent_their_cost():
    request = replace(costing([3, 1, 1, 1], budget=4), annotated=(0,))
    assert len(coverage(Dense(np.eye(4)), request)) == 1
