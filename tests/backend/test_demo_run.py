import socket
import stat
from types import SimpleNamespace

import pytest

from backend.demo import run, waiting
from backend.demo.processes import PortTakenError, ServiceError, free_port, silent
from backend.demo.waiting import wait_for_queue
from backend.errors import SettingsError
from backend.ports import ProgressNote


class Store:
    """Plays one moment per look: what the worker has stored by then; the last one stays."""

    def __init__(self, *moments):
        self.moments = list(moments)
        self.looks = 0
        self.marked = []

    def mark_dirty(self, project_id, kind):
        self.marked.append(kind)

    def facts(self, project_id):
        self.now = self.moments[min(self.looks, len(self.moments) - 1)]
        self.looks += 1
        return {name: str(value) for name, value in self.now.items() if name not in ("dirty", "to_learn")}

    def dirty(self, project_id):
        return self.now.get("dirty", set()), 1

    def to_learn(self):
        return self.now.get("to_learn", [])

    def progress(self, project_id):
        return ProgressNote("pre-annotating", self.looks, 9)


def wait(store, **options):
    wait_for_queue(SimpleNamespace(store=store), 1, lambda: None, silent, **options)


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    monkeypatch.setattr(waiting, "POLL_SECONDS", 0.001)
    monkeypatch.setattr(waiting, "QUIET_SECONDS", 0.05)


PART = {"state": "suggesting", "published": 1}
DIRTY = {"state": "ready", "published": 1, "dirty": {"annotations"}}
READY = {"state": "ready", "published": 1, "annotated": 3}


def test_a_person_can_begin_at_the_first_publication():
    store = Store({"state": "connected"}, {"state": "connected"}, PART)
    wait(store, whole=False)
    assert store.looks == 3


def test_the_whole_queue_is_ready_when_nothing_has_been_left_for_a_while():
    store = Store(PART, READY, DIRTY, READY)
    wait(store, whole=True)
    assert store.looks > 4


def test_what_is_being_learnt_is_waited_for():
    store = Store({**READY, "to_learn": [1]}, {**READY, "to_learn": [1]}, {**READY, "to_learn": [2]})
    wait(store, whole=True)
    assert store.looks > 3


def test_annotations_on_their_way_are_waited_for():
    store = Store({**READY, "annotated": 2}, {**READY, "annotated": 2}, READY)
    wait(store, whole=True, annotated=3)
    assert store.looks > 3


def test_trouble_of_an_earlier_run_is_tried_again_before_it_counts():
    stale = {"state": "degraded", "problem": "of yesterday", "failures": 7}
    store = Store(stale, stale, READY)
    wait(store, whole=False)
    assert store.marked == ["reconcile"]
    with pytest.raises(ServiceError, match="of today"):
        wait(Store(stale, stale, {**stale, "failures": 8, "problem": "of today"}), whole=False)


def test_a_used_up_budget_ends_the_wait_without_a_publication():
    wait(Store({"state": "budget_used"}), whole=True)


def test_waiting_ends_with_the_problem_of_the_project_or_the_time(monkeypatch):
    with pytest.raises(ServiceError, match="no labels"):
        wait(Store({"state": "ranking"}, {"state": "degraded", "problem": "no labels"}), whole=False)
    monkeypatch.setattr(waiting, "PUBLISH_SECONDS", 0.02)
    with pytest.raises(ServiceError, match="No queue was published"):
        wait(Store({"state": "connected"}), whole=False)


def demo(**changes):
    options = {"data": None, "port": free_port(), "label_studio_port": free_port(), "autopilot": 0}
    return run.run_demo(**{**options, "exit_after": True, **changes})


@pytest.mark.parametrize("option", ["port", "label_studio_port"])
def test_a_taken_port_is_said_before_anything_starts(tmp_path, monkeypatch, capsys, option):
    monkeypatch.chdir(tmp_path)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(PortTakenError, match=f"--{option.replace('_', '-')}"):
            demo(**{option: other.getsockname()[1]})
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().out == ""


def test_two_servers_do_not_share_a_port(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    port = free_port()
    with pytest.raises(ServiceError, match=rf"cannot share port {port}; choose another one with --port"):
        demo(port=port, label_studio_port=port)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "value"), [("BUDGET", "a tenth"), ("STRATEGY", "best"), ("WINDOW", "0")])
def test_a_setting_that_cannot_be_used_is_said_before_anything_starts(tmp_path, monkeypatch, name, value):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=f"Wrong settings: {name}"):
        demo()
    assert list(tmp_path.iterdir()) == []


def test_the_autopilot_needs_gold(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "texts.txt"
    path.write_text("one\ntwo\n")
    with pytest.raises(ServiceError, match="no annotated tasks"):
        demo(data=path, autopilot=3)


def test_the_environment_file_is_for_its_owner_alone(tmp_path):
    path = tmp_path / "env"
    path.write_text("old")
    run._write_environment(path, {"PORT": "9090", "LABEL_STUDIO_API_KEY": "t"})
    assert path.read_text() == "PORT='9090'\nLABEL_STUDIO_API_KEY='t'\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
