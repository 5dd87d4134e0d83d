from functools import partial

import numpy as np
import pytest
from dense import Dense, grid_matrix
from hypothesis import given
from hypothesis import strategies as st

from allabel_core.selection.coreset import coreset_cold, coreset_warm
from allabel_core.selection.coverage import coverage
from allabel_core.selection.datatypes import SelectionRequest
from allabel_core.selection.random_order import random_order
from allabel_core.selection.votek import fast_votek, votek
from bench.votek import clustered, published_fast_votek

ALL = [random_order, coreset_cold, coreset_warm, fast_votek, votek, coverage]

pools = st.integers(1, 8).flatmap(
    lambda n: st.lists(st.integers(-1, 5), min_size=1, max_size=n * n).map(lambda v: Dense(grid_matrix(v, n)))
)


def order(picks):
    return [pick.index for pick in picks]


@pytest.mark.parametrize("strategy", ALL)
@given(similarity=pools, data=st.data())
def test_every_strategy_keeps_to_the_request(strategy, similarity, data):
    n = len(similarity)
    annotated = tuple(data.draw(st.lists(st.sampled_from(range(n)), unique=True)))
    eligible = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    budget = data.draw(st.integers(0, n + 1))
    picks = strategy(similarity, SelectionRequest(budget=budget, annotated=annotated, eligible=eligible))
    chosen = order(picks)
    assert len(set(chosen)) == len(chosen) <= max(0, budget - len(annotated))
    assert not set(chosen) & set(annotated)
    assert all(eligible[chosen])
    for place, pick in enumerate(picks):
        before = [*annotated, *chosen[:place]]
        if pick.reason.nearest is not None:
            assert pick.reason.similarity == max(similarity.matrix[pick.index, before])
            assert pick.reason.nearest in before


@pytest.mark.parametrize("strategy", [random_order, coreset_cold, coreset_warm, fast_votek, coverage])
@given(similarity=pools, annotated_count=st.integers(0, 8))
def test_the_whole_pool_is_ranked_where_the_budget_allows(strategy, similarity, annotated_count):
    n = len(similarity)
    annotated = tuple(range(min(n, annotated_count)))
    picks = strategy(similarity, SelectionRequest(budget=n, annotated=annotated))
    assert sorted([*annotated, *order(picks)]) == list(range(n))


@pytest.mark.parametrize("strategy", ALL)
@given(similarity=pools, budget=st.integers(1, 8), done=st.integers(0, 8))
def test_prefix_stable(strategy, similarity, budget, done):
    queue = order(strategy(similarity, SelectionRequest(budget=budget)))
    annotated = tuple(queue[:done])
    rest = order(strategy(similarity, SelectionRequest(budget=budget, annotated=annotated)))
    assert rest == queue[len(annotated) :]


def test_random_is_the_seed_alone():
    similarity = Dense(np.eye(20))
    first = order(random_order(similarity, SelectionRequest(budget=8, seed=1)))
    assert first == order(random_order(similarity, SelectionRequest(budget=8, seed=1)))
    assert first != order(random_order(similarity, SelectionRequest(budget=8, seed=2)))
    assert first == np.random.default_rng(1).permutation(20)[:8].tolist()


def line(places):
    places = np.array(places)
    return Dense(1 - np.abs(places[:, None] - places[None, :]))


def test_coreset_warm_begins_with_the_outsider_and_goes_to_the_far_end():
    assert order(coreset_warm(line([0.1, 0.2, 0.3, 0.9]), SelectionRequest(budget=4))) == [3, 0, 2, 1]


def test_coreset_cold_begins_by_seed():
    similarity = line([0.1, 0.2, 0.3, 0.9])
    begun_with = {order(coreset_cold(similarity, SelectionRequest(budget=1, seed=s)))[0] for s in range(30)}
    assert begun_with == {0, 1, 2, 3}
    seed = next(s for s in range(30) if np.random.default_rng(s).permutation(4)[0] == 1)
    assert order(coreset_cold(similarity, SelectionRequest(budget=3, seed=seed))) == [1, 3, 0]


def naive_votes(similarity, graph_size, chosen, discount=10):
    """{u: votes} of the unchosen, from the definition: each total afresh, over all voters."""
    n = len(similarity)
    favourites = [
        sorted((d for d in range(n) if d != q), key=lambda d: (-similarity.matrix[q, d], d))[:graph_size]
        for q in range(n)
    ]
    weight = {
        v: round(10**9 * float(discount) ** -len(set(favourites[v]) & set(chosen)))
        for v in range(n)
        if v not in chosen
    }
    return {u: sum(w for v, w in weight.items() if u in favourites[v]) for u in weight}


def naive_fast_votek(similarity, graph_size, budget, annotated):
    chosen = list(annotated)
    while len(chosen) < min(budget, len(similarity)):
        votes = naive_votes(similarity, graph_size, chosen)
        chosen.append(max(votes, key=lambda u: (votes[u], -u)))
    return chosen[len(annotated) :]


@given(pools, st.integers(1, 9), st.integers(0, 9), st.data())
def test_fast_votek_equals_counting_afresh(similarity, graph_size, budget, data):
    annotated = tuple(data.draw(st.lists(st.sampled_from(range(len(similarity))), unique=True)))
    picks = fast_votek(
        similarity, SelectionRequest(budget=budget, annotated=annotated), graph_size=graph_size
    )
    assert order(picks) == naive_fast_votek(similarity, graph_size, budget, annotated)


def test_fast_votek_is_the_published_algorithm():
    # The peer of `make bench`.
    similarity = clustered(250)
    favourites = similarity.neighbours(20).indices.tolist()
    picks = fast_votek(similarity, SelectionRequest(budget=12), graph_size=20)
    assert order(picks) == published_fast_votek(favourites, 12)


def test_fast_votek_by_hand():
    # One favourite each: 0 -> 1, 1 -> 2, 2 -> 1, 3 -> 1, 4 -> 3.
    matrix = np.eye(5)
    for voter, favourite in [(0, 1), (1, 2), (2, 1), (3, 1), (4, 3)]:
        matrix[voter, favourite] = 0.5
    picks = fast_votek(Dense(matrix), SelectionRequest(budget=3), graph_size=1)
    # 1 has three votes. It then does not vote, so 2 has none; 3 keeps the vote of 4. Then all are at 0.
    assert order(picks) == [1, 3, 0]
    assert [pick.reason.score for pick in picks] == [3.0, 1.0, 0.0]
    assert picks[0].reason.words == "3 votes from 3 texts that it resembles"


def test_a_vote_weighs_a_tenth_for_each_favourite_chosen():
    # Everybody but text 0 has 0 first and 1 second; once 0 is chosen their votes for 1 weigh a tenth.
    matrix = np.eye(4)
    matrix[1:, 0], matrix[2:, 1], matrix[1, 2], matrix[0, 3], matrix[0, 1] = 0.9, 0.8, 0.8, 0.9, 0.8
    picks = fast_votek(Dense(matrix), SelectionRequest(budget=2), graph_size=2)
    assert order(picks) == [0, 1]
    assert picks[1].reason.score == pytest.approx(0.2)  # of 2 and 3; text 0, chosen, votes no more


def test_votek_takes_one_of_each_group_least_confident_first():
    n = 21
    similarity = Dense(np.eye(n))  # everybody votes for the lowest two others
    sure = np.arange(n)[::-1].astype(float)  # text 20 is the least sure one
    asked = []

    def confidence(first):
        asked.append(list(first))
        return sure

    picks = votek(similarity, SelectionRequest(budget=10), graph_size=2, confidence=confidence)
    assert asked == [[0]]
    # 20 others in 10 groups of two, from the unsure end; all have no votes, so the lower index of each.
    # The last group, (1, 2), is the surest and gets nothing.
    assert order(picks) == [0, 19, 17, 15, 13, 11, 9, 7, 5, 3]


def test_votek_by_default_takes_the_less_similar_for_the_less_sure():
    # Text 0 has all votes; the rest, by similarity to it: 4 and 3, least sure, then 2 and 1.
    similarity = line([0.0, 0.1, 0.2, 0.6, 0.7])
    assert order(votek(similarity, SelectionRequest(budget=2), graph_size=4)) == [0, 3]


@given(similarity=pools, budget=st.integers(1, 8), done=st.integers(0, 8))
def test_votek_is_prefix_stable_with_a_model_of_its_own(similarity, budget, done):
    strategy = partial(votek, confidence=lambda first: np.arange(len(similarity)) % 3 + len(first) * 1.0)
    queue = order(strategy(similarity, SelectionRequest(budget=budget)))
    annotated = tuple(queue[:done])
    rest = order(strategy(similarity, SelectionRequest(budget=budget, annotated=annotated)))
    assert rest == queue[len(annotated) :]
