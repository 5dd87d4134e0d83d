"""Scores of places, and the few changes that bring one order into another."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from backend.ports import NewPrediction, Place, PlaceState, PredictionChange
from backend.usecases.places import (
    ASIDE,
    EMPTY,
    FRONT_ENDS,
    RETIRED_VERSION,
    Target,
    changed,
    difference,
    digest,
    serving_order,
    spaced,
)

RED = [{"id": "red"}]
BLUE = [{"id": "blue"}]

orders = st.lists(st.integers(1, 40), unique=True, max_size=25)


def applied(board: dict[int, Place], target: Target) -> dict[int, Place]:
    """The board once Label Studio has done what the difference asks for."""
    todo = difference(board, target, "allabel-1")
    assert not set(todo.changes) & {each.task_id for each in todo.new}
    after = dict(board)
    for task_id, change in todo.changes.items():
        after[task_id] = changed(board[task_id], change, 1.0)
    for each in todo.new:
        after[each.task_id] = Place(100 + each.task_id, each.score, digest(each.result))
    return after


def test_nearest_tasks_come_first_and_the_end_of_the_queue_before_what_comes_to_the_front_next() -> None:
    board = applied({}, Target(front={3: RED, 1: BLUE}, behind=[7, 8, 9]))
    assert serving_order(board, done=()) == [3, 1, 9, 8, 7]
    assert [place.digest for place in board.values()] == [digest(RED), digest(BLUE), EMPTY, EMPTY, EMPTY]


def test_a_suggestion_that_is_ready_moves_one_place_and_nothing_else() -> None:
    board = applied({}, Target(front={3: RED, 1: RED}, behind=[7, 8]))
    todo = difference(board, Target(front={3: RED, 1: RED, 7: BLUE}, behind=[8]), "allabel-1")
    [(task_id, change)] = todo.changes.items()
    assert (task_id, change.id, change.result, change.model_version) == (7, 107, BLUE, None)
    assert change.score is not None
    assert board[1].score < change.score < FRONT_ENDS
    assert todo.new == []


def test_one_task_that_moves_costs_one_change() -> None:
    order = list(range(1, 21))
    board = applied({}, Target(front=dict.fromkeys(order, RED)))
    moved = [*order[:3], 15, *(task for task in order[3:] if task != 15)]
    todo = difference(board, Target(front=dict.fromkeys(moved, RED)), "allabel-1")
    assert list(todo.changes) == [15]


def test_what_may_be_open_keeps_its_regions_but_an_empty_place_is_filled() -> None:
    board = applied({}, Target(front={1: RED, 2: []}))
    todo = difference(board, Target(front={1: BLUE, 2: BLUE}, fixed={1, 2}), "allabel-1")
    assert {task: change.result for task, change in todo.changes.items()} == {2: BLUE}


def test_what_leaves_the_queue_is_retired_and_comes_back_with_the_same_id() -> None:
    board = applied({}, Target(front={1: RED, 2: RED}))
    without = applied(board, Target(front={1: RED}))
    assert without[2] == Place(102, board[2].score, digest(RED), PlaceState.RETIRED, 1.0)
    assert difference(board, Target(front={1: RED}), "allabel-1").changes == {
        2: PredictionChange(102, model_version=RETIRED_VERSION)
    }
    again = applied(without, Target(front={2: RED, 1: RED}))
    assert again[2].prediction_id == 102
    assert again[2].state is PlaceState.QUEUED
    assert serving_order(again, done=()) == [2, 1]


def test_annotated_tasks_keep_their_places_but_are_not_served() -> None:
    board = applied({}, Target(front={1: RED, 2: RED}))
    after = applied(board, Target(front={2: RED}, staying={1}))
    assert after == board
    assert serving_order(after, done={1}) == [2]


def test_a_task_that_was_opened_out_of_turn_gets_its_regions_and_stays_behind() -> None:
    board = {1: Place(5, ASIDE, EMPTY, PlaceState.ANSWERED)}
    after = applied(board, Target(front={}, aside={1: RED}))
    assert after[1] == Place(5, ASIDE, digest(RED), PlaceState.ANSWERED)
    assert serving_order(after, done=()) == []
    assert difference(after, Target(front={}, aside={1: RED}), "allabel-1").changes == {}


def test_the_front_gets_new_scores_when_two_places_come_too_close() -> None:
    scores = spaced([1, 2, 3], {1: 0.25, 3: 0.25 + 1e-13})
    assert all(b - a > 1e-9 for a, b in pairwise(scores.values()))


def test_places_can_be_appended_for_ever() -> None:
    known: dict[int, float] = {}
    for task_id in range(60_000):
        known = {**dict(list(known.items())[-5:]), task_id: 0.0}
        known = spaced(list(known), {task: score for task, score in known.items() if score})
    assert all(a < b < FRONT_ENDS for a, b in pairwise(known.values()))


@given(before=orders, front=orders, split=st.integers(0, 25), done=st.sets(st.integers(1, 40)))
def test_any_order_is_reached_from_any_other(
    before: list[int], front: list[int], split: int, done: set[int]
) -> None:
    board = applied({}, Target(front=dict.fromkeys(before[:split], RED), behind=before[split:]))
    front = [task for task in front if task not in done]
    queue, behind = front[:split], front[split:]
    target = Target(front=dict.fromkeys(queue, BLUE), behind=behind, staying=done)
    after = applied(board, target)

    served = serving_order(after, done)
    assert served[: len(queue)] == queue
    assert set(served) == {*queue, *behind}
    assert difference(after, target, "allabel-1").changes == {}
    assert all(after[task].prediction_id == place.prediction_id for task, place in board.items())
    assert all(0 < place.score <= ASIDE for place in after.values())


@given(orders, st.dictionaries(st.integers(1, 40), st.floats(0.01, 0.49), max_size=25))
def test_scores_ascend_in_the_order_asked_for(order: list[int], known: dict[int, float]) -> None:
    scores = spaced(order, known)
    assert list(scores) == order
    assert all(a < b for a, b in pairwise(scores.values()))
    assert all(0 < score < FRONT_ENDS for score in scores.values())


def test_new_predictions_carry_their_regions() -> None:
    [new] = difference({}, Target(front={1: RED}), "allabel-1").new
    assert new == NewPrediction(1, RED, new.score)
