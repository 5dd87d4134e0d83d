import time

import pytest

from allabel_core.errors import AllabelError
from allabel_core.types import Document, Span
from backend.demo.autopilot import Autopilot
from backend.errors import LabelStudioRejectedError
from backend.labeling.config_writing import label_config
from backend.labeling.label_config import parse_label_config
from backend.labeling.results import result_from_spans

INTERFACE = parse_label_config(label_config(["Fruit", "Animal"]))
GOLD = {
    7: Document("a pear", (Span(2, 6, "Fruit"),)),
    3: Document("😀 fig, cat", (Span(2, 5, "Fruit"), Span(7, 10, "Animal"))),
    5: Document("nothing", ()),
}


class Person:
    """Serves tasks in the order given, each with its suggested spans, and keeps what is submitted.

    The first ``refusals`` submissions are refused.
    """

    def __init__(self, queue, suggestions=None, refusals=0):
        self.queue = list(queue)
        self.refusals = refusals
        self.suggestions = suggestions or {}
        self.submitted = []
        self.lead_times = []

    def next_task(self, project_id):
        assert project_id == 4
        if not self.queue:
            return None
        task_id = self.queue[0]
        spans = self.suggestions.get(task_id)
        if spans is None:
            return task_id, []
        return task_id, [{"result": result_from_spans(INTERFACE, GOLD[task_id].text, spans)}]

    def submit_annotation(self, task_id, result, lead_time=0.0, *, skip=False):
        if self.refusals:
            self.refusals -= 1
            raise LabelStudioRejectedError("parent_prediction: Invalid pk")
        assert task_id == self.queue.pop(0)
        self.submitted.append((task_id, result))
        self.lead_times.append(lead_time)
        return len(self.submitted)


def pilot(person, **options):
    settled = []
    made = Autopilot(
        person, 4, INTERFACE, GOLD, settle=lambda: settled.append(len(person.submitted)), **options
    )
    return made, settled


def test_it_submits_gold_for_whatever_is_served_and_settles_at_intervals():
    person = Person([7, 3, 5])
    made, settled = pilot(person, settle_every=2)
    told = []
    made.annotate(3, told.append)
    assert made.served == told == [7, 3, 5]
    assert settled == [2, 3]
    values = [item["value"] for item in person.submitted[1][1]]
    assert [(v["start"], v["end"], v["text"], v["labels"]) for v in values] == [
        (2, 5, "fig", ["Fruit"]),
        (7, 10, "cat", ["Animal"]),
    ]
    assert person.submitted[2][1] == []


def test_f1_is_of_the_suggestions_before_correction():
    # 7: right. 3: one of two found, and one wrong. Hence tp 2, fp 1, fn 1: F1 = 4 / 6.
    suggestions = {7: GOLD[7].spans, 3: (Span(2, 5, "Fruit"), Span(7, 10, "Fruit"))}
    made, _ = pilot(Person([7, 3], suggestions))
    made.annotate(2, lambda _: None)
    assert made.entity_f1() == pytest.approx(4 / 6)
    assert made.entity_f1(last=1) == pytest.approx(2 / 4)


def test_it_submits_the_time_that_its_corrections_took():
    # 7 is right as it is; in 3 both spans have to be added.
    person = Person([7, 3], {7: GOLD[7].spans, 3: ()})
    started = time.monotonic()
    pilot(person, seconds_per_edit=0.05)[0].annotate(2, lambda _: None)
    assert 0 < person.lead_times[0] < 0.05
    assert person.lead_times[1] >= 0.1
    assert sum(person.lead_times) <= time.monotonic() - started


def test_it_ends_when_nothing_is_left():
    made, settled = pilot(Person([5]))
    made.annotate(9, lambda _: None)
    assert made.served == [5]
    assert settled == []


def test_a_task_without_gold_ends_it_with_the_reason():
    made, _ = pilot(Person([99]))
    with pytest.raises(AllabelError, match="task 99, which has no gold"):
        made.annotate(1, lambda _: None)


def test_tasks_of_the_blind_audit_do_not_count_as_bad_suggestions():
    made, _ = pilot(Person([7, 3], {7: GOLD[7].spans, 3: ()}), blind={3})
    made.annotate(2, lambda _: None)
    assert made.served == [7, 3]
    assert made.entity_f1() == made.entity_f1(last=1) == 1.0


def test_a_refused_submission_is_counted_and_is_no_annotation():
    told = []
    made, _ = pilot(Person([7, 3], {7: GOLD[7].spans}, refusals=1), settle_every=1)
    made.annotate(3, told.append)
    assert made.refused == [7]
    assert made.served == [7, 3]
    assert told == [7, 7, 3]
    assert len(made.suggested) == 2


def test_it_ends_though_everything_is_refused():
    made, _ = pilot(Person([7], refusals=99))
    made.annotate(3, lambda _: None)
    assert made.refused == [7, 7, 7]
    assert made.served == []


def test_at_a_persons_pace_it_waits_for_nothing_in_between():
    person = Person([7, 3, 5], {7: GOLD[7].spans})
    made, settled = pilot(person, settle_every=1, seconds_per_text=0.02)
    made.annotate(3, lambda _: None)
    assert settled == [3]
    assert min(person.lead_times) >= 0.02
