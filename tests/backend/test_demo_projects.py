import hashlib
import io
import json
import sys
import threading
import time
import types

import pytest
from rich.console import Console

from backend.demo import label_studio_environment
from backend.demo import screen as screen_module
from backend.demo.embedded_model import EmbeddedModel
from backend.demo.processes import ServiceError, silent
from backend.demo.product import uses_own_endpoint
from backend.demo.projects import DemoState, ensure_project, gold_by_task, read_data
from backend.demo.screen import Job, Screen
from backend.errors import LabelStudioNotFoundError
from backend.labeling.config_writing import label_config
from backend.labeling.label_config import parse_label_config
from backend.labeling.results import document_from_annotation
from backend.ports import Task


class Client:
    def __init__(self):
        self.projects = {}

    def project(self, project_id):
        if project_id not in self.projects:
            raise LabelStudioNotFoundError("gone")

    def create_project(self, title, config, instructions=""):
        self.projects[len(self.projects) + 1] = []
        return len(self.projects)

    def import_tasks(self, project_id, tasks):
        self.projects[project_id] += tasks
        return list(range(len(tasks)))

    def tasks(self, project_id):
        return [Task(100 + i, task["data"]) for i, task in enumerate(self.projects[project_id])]


def test_the_project_is_made_once_and_kept(tmp_path):
    client, data = Client(), read_data(None)
    assert ensure_project(client, DemoState.load(tmp_path), data, silent) == (1, True)
    assert ensure_project(client, DemoState.load(tmp_path), data, silent) == (1, False)
    assert len(client.projects[1]) == len(data.tasks)


def test_five_texts_come_annotated_and_other_gold_is_found_again_by_text(tmp_path):
    client, data = Client(), read_data(None)
    ensure_project(client, DemoState.load(tmp_path), data, silent)
    interface = parse_label_config(data.label_config)
    for imported, task in zip(client.projects[1][:5], data.tasks, strict=False):
        [annotation] = imported["annotations"]
        text = task.data["text"]
        assert document_from_annotation(interface, text, annotation["result"]) == task.gold
    assert all(task.keys() == {"data"} for task in client.projects[1][5:])
    found = gold_by_task(client, 1, data)
    assert len(found) == len(data.tasks)
    assert found[103] == data.tasks[3].gold


def test_a_deleted_project_is_made_anew(tmp_path):
    client, data = Client(), read_data(None)
    ensure_project(client, DemoState.load(tmp_path), data, silent)
    del client.projects[1]
    client.projects[7] = []
    told = []
    assert ensure_project(client, DemoState.load(tmp_path), data, told.append)[1]
    assert "Project 1 is gone" in told[0]


def test_own_data_gets_its_own_project_and_the_labels_of_its_gold(tmp_path):
    path = tmp_path / "mine.jsonl"
    spans = [
        {"type": "labels", "value": {"start": i, "end": i + 1, "labels": [label]}}
        for i, label in enumerate("BAB")
    ]
    path.write_text(json.dumps({"data": {"text": "xyz"}, "annotations": [{"result": spans}]}))
    data = read_data(path)
    assert parse_label_config(data.label_config).labels == ("B", "A")
    client, state = Client(), DemoState.load(tmp_path)
    ensure_project(client, state, read_data(None), silent)
    assert ensure_project(client, state, data, silent) == (2, True)
    plain = tmp_path / "plain.txt"
    plain.write_text("one\n")
    assert read_data(plain).gold == {}
    assert "Person" in parse_label_config(read_data(plain).label_config).labels


def test_annotations_of_own_data_are_imported_unless_the_autopilot_makes_them(tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_text(json.dumps({"text": "xyz", "spans": [[0, 1, "A"], [1, 2, "B"]]}) + '\n{"text": "uvw"}\n')
    client, state = Client(), DemoState.load(tmp_path)
    data = read_data(path)
    assert ensure_project(client, state, data, silent) == (1, True)
    assert [len(task.get("annotations", [])) for task in client.projects[1]] == [1, 0]
    assert str(data.prepared) == "2 texts, 1 annotations with 2 regions on 1 of them"
    flown = read_data(path, keep_annotations=False)
    assert ensure_project(client, state, flown, silent) == (2, True)
    assert all(task.keys() == {"data"} for task in client.projects[2])
    assert flown.gold.keys() == {"xyz"}


def test_labels_that_are_named_are_those_of_the_project_and_others_are_told(tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_text(json.dumps({"text": "xyz", "spans": [[0, 1, "A"], [1, 2, "B"]]}))
    data = read_data(path, labels=["B", "C"])
    assert parse_label_config(data.label_config).labels == ("B", "C")
    assert [str(each) for each in data.prepared.left_out] == [
        "1 regions with the label 'A', which the label config does not have (first: task 1)"
    ]


def test_label_names_are_escaped():
    assert parse_label_config(label_config(['a<b & "c"'])).labels == ('a<b & "c"',)


@pytest.mark.parametrize(
    ("environment", "own"),
    [
        ({}, False),
        ({"OPENAI_API_KEY": ""}, False),
        ({"OPENAI_API_KEY": "k"}, True),
        ({"OPENAI_BASE_URL": "u"}, True),
    ],
)
def test_an_endpoint_of_ones_own_replaces_the_embedded_model(environment, own):
    assert uses_own_endpoint(environment) is own


@pytest.fixture
def parts(tmp_path, monkeypatch):
    """Two importable packages with half a model each; importing them would fail."""
    for name, half in (("half_one", b"GG"), ("half_two", b"UF")):
        folder = tmp_path / "packages" / name
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text("raise ImportError('not to be imported')")
        (folder / "part").write_bytes(half)
    monkeypatch.syspath_prepend(tmp_path / "packages")
    monkeypatch.setitem(sys.modules, "xllamacpp", types.ModuleType("xllamacpp"))
    sys.modules["xllamacpp"].__spec__ = types.SimpleNamespace()
    return (("half_one", "part"), ("half_two", "part"))


def embedded(parts, content=b"GGUF"):
    return EmbeddedModel("tiny", "none", parts, hashlib.sha256(content).hexdigest(), "pip install tiny")


def test_a_model_in_parts_is_put_together_once(tmp_path, parts):
    path = embedded(parts).prepare(tmp_path / "model")
    assert path.read_bytes() == b"GGUF"
    path.write_bytes(b"kept")
    assert embedded(parts).prepare(tmp_path / "model").read_bytes() == b"kept"


def test_a_damaged_model_is_refused_and_leaves_nothing(tmp_path, parts):
    with pytest.raises(ServiceError, match="damaged; reinstall them: pip install tiny"):
        embedded(parts, b"other").prepare(tmp_path / "model")
    assert list((tmp_path / "model").iterdir()) == []


def test_missing_packages_are_named_with_both_remedies(tmp_path, parts):
    model = embedded((("no_such_package_at_all", "part"),))
    with pytest.raises(ServiceError, match=r"no_such_package_at_all: pip install tiny.*OPENAI_BASE_URL"):
        model.prepare(tmp_path)


@pytest.mark.parametrize(
    ("output", "cause"),
    [
        ("NewConnectionError: Failed to establish a new connection", "the package index cannot be reached"),
        ("error: command 'gcc' failed: No such file or directory", "install a C compiler"),
        ("ERROR: something else", "the reason is below"),
    ],
)
def test_a_failed_installation_names_the_likely_cause(tmp_path, monkeypatch, output, cause):
    code = f"import sys; print({output!r}); sys.exit(1)"
    monkeypatch.setattr(label_studio_environment, "pip_command", lambda _: [sys.executable, "-c", code])
    (tmp_path / "environment" / "bin").mkdir(parents=True)
    (tmp_path / "environment" / "bin" / "python").touch()
    with pytest.raises(ServiceError, match=f"(?s){cause}.*{output[:20]}"):
        label_studio_environment.install_label_studio(tmp_path / "environment")
    assert not label_studio_environment.is_installed(tmp_path / "environment")


def test_without_a_terminal_news_are_lines_not_too_many():
    out = io.StringIO()
    screen = Screen(Console(file=out, width=80))
    with screen.step("Redis") as tell:
        for number in range(100):
            tell(f"package {number}")
    assert out.getvalue().splitlines()[0].startswith("ok   Redis (0.")


def test_jobs_run_side_by_side_under_one_bar(monkeypatch):
    monkeypatch.setattr(screen_module, "SECONDS_BETWEEN_LINES", 0.0)
    out = io.StringIO()
    met = threading.Barrier(2, timeout=20)

    def first(tell):
        tell("Model is starting")
        met.wait()

    def last(tell):
        met.wait()
        tell("package 55 of about 110", 0.5)

    Screen(Console(file=out, width=200)).side_by_side(
        [Job("Model", 1.0, first), Job("Label Studio", 9.0, last)]
    )
    lines = out.getvalue().splitlines()
    assert any("45%" in line or "55%" in line for line in lines)
    assert any("Label Studio: package 55 of about 110" in line for line in lines)
    assert lines[-1].startswith("ok   Model, Label Studio (")


@pytest.mark.parametrize("failing", ["Model", "Label Studio"])
def test_a_job_that_fails_ends_the_others(failing):
    def fail(_):
        raise ServiceError("It does not start.")

    def wait(tell):
        for _ in range(1000):
            tell("waiting")
            time.sleep(0.01)

    jobs = [Job(name, 1.0, fail if name == failing else wait) for name in ("Model", "Label Studio")]
    with pytest.raises(ServiceError, match="It does not start"):
        Screen(Console(file=io.StringIO())).side_by_side(jobs)
