"""Stage 3 by a model's weakness, hand-solved."""

import numpy as np
import pytest
from dense import Dense, grid_matrix
from hypothesis import given
from hypothesis import strategies as st

from allabel_core import select
from allabel_core.errors import InvalidInputError
from allabel_core.selection.allabel import allabel
from allabel_core.selection.datatypes import SelectionRequest
from allabel_core.selection.uncertainty import weak_points

# Text 0 is the corpus; column 0 says how well it serves the others.
SERVED = Dense(np.array([[9.0, 0, 0, 0], [4, 9, 0, 0], [1, 0, 9, 0], [3, 0, 0, 9]]))
OPEN = np.array([False, True, True, True])
WEAKNESS = np.array([1.0, 0.8, 0.1, 0.8])


def points(count, **options):
    return weak_points(SERVED, count, corpus=[0], among=OPEN, **options).tolist()


def test_weak_points_by_each_reading():
    assert points(3) == [2, 3, 1]
    assert points(3, weakness=WEAKNESS) == [1, 3, 2]
    # Ranks by similarity (worst served first): 2, 0, 1; by weakness: 0, 2, 0; sums 2, 2, 1.
    assert points(3, weakness=WEAKNESS, combine_weakness=True) == [3, 1, 2]
    assert points(1, weakness=WEAKNESS) == [1]


def test_select_with_weakness_asks_for_what_serves_the_weakest_texts():
    texts = ["red pear", "red pear tree", "blue sea", "blue sea salt", "green hill", "green hill top"]
    for weak, wanted in ((3, 2), (5, 4)):
        weakness = [float(index == weak) for index in range(6)]
        found = select(texts, 2, stage_ratio=(1, 0, 1), annotated=[0], weakness=weakness, k=1)
        assert found.order == (0, wanted)
        assert "the model is least sure of" in found.reasons[1].words


@pytest.mark.parametrize("weakness", [[0.0], [0.0, float("nan")]])
def test_weakness_must_fit(weakness):
    with pytest.raises(InvalidInputError, match="weakness must be 2 finite numbers"):
        select(["a", "b"], 1, weakness=weakness)


pools = st.integers(1, 8).flatmap(
    lambda n: st.lists(st.integers(-1, 5), min_size=1, max_size=n * n).map(lambda v: Dense(grid_matrix(v, n)))
)


@given(
    similarity=pools,
    weakness=st.lists(st.sampled_from([0.0, 0.3, 0.9]), min_size=8, max_size=8),
    budget=st.integers(1, 8),
    done=st.integers(0, 8),
    combine=st.booleans(),
)
def test_prefix_stable(similarity, weakness, budget, done, combine):
    options = {"weakness": np.array(weakness[: len(similarity)]), "combine_weakness": combine}
    queue = [pick.index for pick in allabel(similarity, SelectionRequest(budget=budget, **options))]
    annotated = tuple(queue[:done])
    rest = allabel(similarity, SelectionRequest(budget=budget, annotated=annotated, **options))
    assert [pick.index for pick in rest] == queue[len(annotated) :]
