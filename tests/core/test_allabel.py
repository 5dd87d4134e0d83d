"""The three stages on a matrix that can be solved by hand, ties included.

Rows are queries, columns are demonstrations; the matrix is not symmetric.
"""

from __future__ import annotations

import numpy as np
import pytest

from allabel_core import Embeddings, SelectionRequest, select, select_by
from allabel_core.selection import diversity
from allabel_core.selection.allabel import stage_quotas
from allabel_core.selection.diversity import pick_diverse
from allabel_core.selection.sumrank import count_votes
from allabel_core.selection.uncertainty import weak_points
from allabel_core.similarity.nearest import nearest_before
from oracle import MatrixSimilarity

SIMILARITY = MatrixSimilarity(
    [
        [9, 5, 2, 3],
        [1, 9, 1, 1],
        [2, 1, 9, 4],
        [0, 3, 0, 9],
    ]
)
ALL = np.ones(4, dtype=np.bool_)


def mask(*indices: int) -> np.ndarray:
    chosen = np.zeros(4, dtype=np.bool_)
    chosen[list(indices)] = True
    return chosen


def test_seed_has_the_lowest_mean_and_the_lower_index():
    # Means to others: 10/3, 1, 7/3, 1.
    assert [pick.index for pick in pick_diverse(SIMILARITY, 1, chosen=[], eligible=ALL)] == [1]


def test_core_set_reads_columns_and_takes_the_farthest():
    picks = pick_diverse(SIMILARITY, 9, chosen=[], eligible=ALL)
    # To text 1: 5, -, 1, 3, hence 2; then 3 (at most 3) before 0 (at most 5).
    assert [pick.index for pick in picks] == [1, 2, 3, 0]
    assert [(pick.reason.nearest, pick.reason.similarity) for pick in picks[1:]] == [(1, 1), (1, 3), (1, 5)]


def test_core_set_goes_on_from_annotated_texts_and_skips_ineligible_ones():
    picks = pick_diverse(SIMILARITY, 2, chosen=[3], eligible=mask(0, 2, 3))
    assert [pick.index for pick in picks] == [0, 2]


def test_votes_break_ties_by_sum_then_index():
    votes = count_votes(SIMILARITY, 1, candidates=mask(0, 2, 3))
    # Queries 0 and 2 vote for 3 (3 + 4); 1 and 3 meet ties and vote for 0 (1 + 0).
    assert votes.counts.tolist() == [2, 0, 0, 2]
    assert votes.similarity_sums.tolist() == [1, 0, 0, 7]
    assert votes.ranking(mask(0, 2, 3), 3).tolist() == [3, 0, 2]


def test_votes_with_equal_counts_and_sums_go_to_the_lower_index():
    votes = count_votes(MatrixSimilarity(np.ones((4, 4))), 3, candidates=ALL)
    assert votes.ranking(ALL, 4).tolist() == [0, 1, 2, 3]
    assert votes.ranking(ALL, 2).tolist() == [0, 1]


def test_weak_points_have_the_worst_best_demonstration():
    assert weak_points(SIMILARITY, 2, corpus=[1, 3], among=mask(0, 2)).tolist() == [2, 0]
    flat = MatrixSimilarity(np.ones((4, 4)))
    assert weak_points(flat, 2, corpus=[0], among=mask(1, 2, 3)).tolist() == [1, 2]


def test_nearest_before_looks_only_at_earlier_picks():
    nearest, similarities = nearest_before(SIMILARITY, np.array([3, 0, 2]), 0)
    assert nearest.tolist() == [-1, 3, 3]
    assert similarities.tolist() == [-np.inf, 3, 4]


def test_whole_queue_with_reasons():
    found = select_by(SIMILARITY, SelectionRequest(budget=3, k=1))
    assert found.order == (1, 3, 0)
    assert found.stages == ("diversity", "similarity", "uncertainty")
    central, weak = found.reasons[1:]
    assert (central.serves, central.score, central.nearest, central.similarity) == (2, 7.0, 1, 3.0)
    assert central.words == "among the 1 best examples for 2 texts"
    assert (weak.serves, weak.score, weak.nearest, weak.similarity) == (1, 2.0, 1, 5.0)


def test_ineligible_texts_are_never_picked_but_still_vote():
    found = select_by(SIMILARITY, SelectionRequest(budget=3, k=1, eligible=mask(0, 1, 2)))
    assert 3 not in found.order
    assert len(found.order) == 3


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        (0, (0, 0, 0)),
        (1, (1, 0, 0)),
        (2, (1, 1, 0)),
        (3, (1, 1, 1)),
        (5, (1, 3, 1)),
        (8, (2, 4, 2)),
        (70, (14, 42, 14)),
    ],
)
def test_quotas_share_the_budget_1_3_1(budget, expected):
    assert stage_quotas(budget) == expected


def test_quotas_of_other_ratios():
    assert stage_quotas(9, (1, 1, 1)) == (3, 3, 3)
    assert stage_quotas(10, (0, 4, 1)) == (0, 8, 2)
    assert stage_quotas(10, (1, 0, 1)) == (5, 0, 5)
    assert stage_quotas(10, (1, 3, 0)) == (2, 8, 0)


def test_golden_queue():
    texts = [
        "copper oxide films were annealed at 300 C",
        "zinc oxide films were grown on glass",
        "the films were annealed in air",
        "gold nanoparticles in citrate solution",
        "silver nanoparticles in citrate solution at 90 C",
        "the solution was stirred for two hours",
        "the mixture was stirred overnight",
        "results are shown in figure 2",
        "copper sulfate and sodium hydroxide were mixed",
        "zinc nitrate and sodium hydroxide were mixed in water",
    ]
    found = select(texts, 10)
    assert found.order == (7, 0, 1, 2, 5, 3, 9, 4, 6, 8)
    assert found.stages == ("diversity",) * 2 + ("similarity",) * 6 + ("uncertainty",) * 2


@pytest.mark.parametrize("most_contenders", [0, 2, 64])
@pytest.mark.parametrize("copies", [1, 5])
def test_rough_columns_give_the_exact_core_set(monkeypatch, most_contenders, copies):
    monkeypatch.setattr(diversity, "_MOST_CONTENDERS", most_contenders)
    vectors = np.repeat(np.random.default_rng(copies).integers(-2, 3, size=(40, 4)), copies, axis=0)
    similarity = Embeddings(vectors)
    exact = MatrixSimilarity(similarity.block(np.arange(len(vectors))), decimals=6)
    eligible = np.ones(len(vectors), dtype=np.bool_)
    picks = pick_diverse(similarity, 30, chosen=[5], eligible=eligible)
    assert picks == pick_diverse(exact, 30, chosen=[5], eligible=eligible)
