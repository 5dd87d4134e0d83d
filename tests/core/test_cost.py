import numpy as np
import pytest
from dense import Dense

from allabel_core.selection.allabel import allabel
from allabel_core.selection.coreset import coreset_warm
from allabel_core.selection.cost import as_many_as_affordable, reading_costs
from allabel_core.selection.datatypes import SelectionRequest
from allabel_core.selection.random_order import random_order
from allabel_core.selection.scarcity import scarce_labels
from allabel_core.types import Document, Span


def test_reading_costs_are_tokens_but_never_nothing():
    assert reading_costs(["Heat to 80 C.", "", "..."]).tolist() == [4.0, 1.0, 1.0]
    assert reading_costs(["ab c"], tokenizer=list).tolist() == [4.0]


@pytest.mark.parametrize("strategy", [allabel, coreset_warm, random_order])
@pytest.mark.parametrize("budget", range(0, 30, 3))
def test_affordable_and_one_more_is_not(strategy, budget):
    rng = np.random.default_rng(3)
    similarity = Dense(rng.random((9, 9)))
    costs = np.array([1.0, 2, 3, 4, 5, 1, 2, 3, 4])
    annotated = (4,) if budget >= 5 else ()
    request = SelectionRequest(budget=budget, costs=costs, annotated=annotated)
    picks = as_many_as_affordable(strategy)(similarity, request)
    queue = [*annotated, *(pick.index for pick in picks)]
    assert costs[queue].sum() <= budget
    one_more = strategy(similarity, SelectionRequest(budget=len(queue) + 1, annotated=annotated))
    assert costs[[*annotated, *(pick.index for pick in one_more)]].sum() > budget or len(queue) == 9


def test_without_costs_nothing_changes():
    similarity = Dense(np.random.default_rng(3).random((9, 9)))
    request = SelectionRequest(budget=5)
    assert as_many_as_affordable(allabel)(similarity, request) == allabel(similarity, request)


def test_labels_shown_by_fewer_than_k_demonstrations():
    documents = [
        Document("a b", (Span(0, 1, "Acid"), Span(2, 3, "Acid"))),
        Document("c d", (Span(0, 1, "Acid"), Span(2, 3, "Base"))),
        Document("e"),
    ]
    assert scarce_labels(documents, ["Salt", "Acid", "Base"], 2) == {"Salt": 0, "Base": 1}
    assert scarce_labels([], ["Acid"], 1) == {"Acid": 0}
    assert scarce_labels(documents, ["Acid", "Base"], 1) == {}
