"""`allabel demo`: the whole product on this machine, on texts that can be annotated at once."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Protocol

from ..adapters.label_studio import LabelStudioClient
from ..bootstrap import build_tools, project_defaults
from ..importing.command import left_out_lines
from ..labeling.label_config import parse_label_config
from ..settings import read_settings
from ..usecases.connect import annotate_url, project_page
from ..usecases.memory import TITLE
from ..usecases.report import report
from ..usecases.tools import Tools
from .autopilot import Autopilot
from .processes import LOOPBACK, ServiceError, free_port, is_free, require_free_port
from .product import BackendServer, Worker, product_environment, uses_own_endpoint
from .projects import DemoData, DemoState, ensure_project, gold_by_task, read_data
from .screen import Job, Screen
from .services import LabelStudioServer, ModelServer, RedisServer
from .waiting import wait_for_queue

DIRECTORY = Path(".demo")
LABEL_STUDIO_ENVIRONMENT = Path(".label-studio")
POLL_SECONDS = 0.5
SECONDS_PER_EDIT = 0.5
"""Of the autopilot: sooner than any person, and slow enough to be watched."""


class Running(Protocol):
    """What is watched while the demo runs."""

    name: str

    @property
    def log(self) -> Path: ...

    def exit_code(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class Options:
    """``autopilot``: how many tasks to annotate from gold, ``pace`` seconds for each at least.

    ``exit_after``: stop everything then. ``labels`` and ``text_field``: of the file ``data``.
    ``with_model``: the environment's, otherwise the embedded one.
    """

    data: Path | None
    port: int
    label_studio_port: int
    autopilot: int
    pace: float
    exit_after: bool
    labels: tuple[str, ...] = ()
    text_field: str | None = None
    with_model: bool = True


def run_demo(
    *,
    data: Path | None,
    port: int,
    label_studio_port: int,
    autopilot: int,
    exit_after: bool,
    pace: float = 0.0,
    labels: tuple[str, ...] = (),
    text_field: str | None = None,
    with_model: bool = True,
) -> int:
    """Start everything, show how to use it, and stay until Ctrl-C or, on request, the autopilot's end.

    Needs nothing but a Python and a network at the first start; keeps its data in ``.demo`` and
    Label Studio's environment in ``.label-studio`` (or LABEL_STUDIO_ENVIRONMENT) below the current
    folder. Returns the exit code.

    :raises AllabelError: something cannot be started or read; everything is stopped by then.
    """
    options = Options(
        data,
        port,
        label_studio_port,
        autopilot,
        pace,
        exit_after,
        labels=labels,
        text_field=text_field,
        with_model=with_model,
    )
    previous = {number: signal.signal(number, _interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    screen = Screen()
    summary: dict[str, object] = {}
    try:
        with ExitStack() as stack:
            demo = _start(options, screen, stack)
            summary = demo.fly()
            if not exit_after:
                demo.explain()
                demo.watch()
            screen.say("Stopping ...")
    except KeyboardInterrupt:
        return 130 if exit_after else 0
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    if exit_after:
        sys.stdout.write(json.dumps(summary) + "\n")
    return 0


def _interrupt(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt


@dataclass(slots=True)
class Demo:
    """Everything is running: what is left to do with it."""

    options: Options
    screen: Screen
    running: list[Running]
    data: DemoData
    client: LabelStudioClient
    tools: Tools
    project_id: int
    label_studio: LabelStudioServer
    directory: Path

    def fly(self) -> dict[str, object]:
        """Annotate from gold, showing how the suggestions get better; the figures for the JSON line."""
        store, project_id = self.tools.store, self.project_id
        gold = gold_by_task(self.client, project_id, self.data)
        interface = parse_label_config(self.data.label_config)
        before = report(self.tools, project_id)
        expected = [entry.task_id for entry in store.queue(project_id)]
        stages = {entry.task_id: entry.stage for entry in store.queue(project_id)}
        pilot = Autopilot(
            self.client,
            project_id,
            interface,
            gold,
            settle=lambda: self._settle(
                before.annotated + len(pilot.served), whole=len(pilot.served) < self.options.autopilot
            ),
            seconds_per_edit=SECONDS_PER_EDIT,
            seconds_per_text=self.options.pace,
            blind=frozenset(store.audit(project_id)),
        )

        def tell(task_id: int) -> None:
            if pilot.served[-1:] != [task_id]:
                self.screen.say(f"[red]     task {task_id} was refused: Label Studio did not save it[/red]")
                return
            done = len(pilot.served)
            self.screen.say(
                f"     {done:3} of {self.options.autopilot}  task {task_id:<5} "
                f"{stages.get(task_id, 'outside the queue'):12} "
                f"suggestions so far F1 {100 * pilot.entity_f1():5.1f}, last 5 {100 * pilot.entity_f1(5):.1f}"
            )

        pilot.annotate(self.options.autopilot, tell)
        after = report(self.tools, project_id)
        return {
            "annotated": len(pilot.served),
            "refused": len(pilot.refused),
            "rerankings": after.rankings - before.rankings,
            "served_in_queue_order": pilot.served == expected[: len(pilot.served)],
            "entity_f1": round(pilot.entity_f1(), 4) if pilot.served else None,
            "entity_f1_last_10": round(pilot.entity_f1(10), 4) if pilot.served else None,
            "tokens": after.spending.prompt_tokens + after.spending.completion_tokens,
        }

    def _settle(self, annotated: int, *, whole: bool) -> None:
        step = "Queue ranked and pre-annotated anew" if whole else "Queue ranked anew"
        with self.screen.step(step) as tell:
            wait_for_queue(self.tools, self.project_id, self.check, tell, whole=whole, annotated=annotated)

    def check(self) -> None:
        """:raises ServiceError: one of the processes has ended."""
        for service in self.running:
            if (code := service.exit_code()) is not None:
                raise ServiceError(f"{service.name} ended with code {code}; its log is {service.log}.")

    def watch(self) -> None:
        """Until Ctrl-C, or until a process ends."""
        while True:
            self.check()
            time.sleep(POLL_SECONDS)

    def explain(self) -> None:
        name, password = self.label_studio.login
        base = self.label_studio.base_url
        project = f"{base}/projects/{self.project_id}"
        page = project_page(self.tools, self.project_id)
        annotate = annotate_url(self.tools, self.project_id)
        command = f"(set -a; . {self.directory}/env; {Path(sys.executable).parent}/allabel"
        self.screen.say(
            f"""
[bold]Label Studio is at {base}[/bold]   login {name}   password {password}
[bold]The project's page is {page}[/bold]

Three things to try:
  1. Annotate: {annotate} opens the first task of the
     queue with suggestions in it. Correct them, press Submit; the next task of the queue comes.
  2. Watch it learn: every few annotations the rest of the queue is ranked and pre-annotated anew.
     The project's page follows by itself; so does the tab 'ALLabel queue' in {project}/data;
     in another terminal: {command} status {self.project_id})
  3. Have the rest labelled: when the budget is used up, the project's page says if more is worth it;
     press '20 more' there, or 'Label the rest'; or 'Start Training' in {project}/settings/ml;
     or in another terminal: {command} finish {self.project_id})

Logs: {self.directory}/*/*.log. Ctrl-C stops everything; the project is kept for the next time."""
        )


def _start(options: Options, screen: Screen, stack: ExitStack) -> Demo:
    """Services, backend, worker and project, up to the first published queue."""
    # Now rather than by a backend that does not start, when Label Studio is up at last.
    project_defaults(read_settings())
    # What the autopilot is to annotate must not be annotated yet.
    data = read_data(
        options.data,
        labels=options.labels,
        text_field=options.text_field,
        keep_annotations=not options.autopilot,
    )
    if options.autopilot and not data.gold:
        raise ServiceError("The autopilot annotates from gold; this file has no annotated tasks.")
    directory = DIRECTORY.resolve()
    state = DemoState.load(directory)
    _require_ports(options)
    stack.callback(screen.say, "Everything is stopped.")
    redis = RedisServer(directory / "redis", _kept_port(state, "redis"), persistent=True)
    environment = Path(os.environ.get("LABEL_STUDIO_ENVIRONMENT", LABEL_STUDIO_ENVIRONMENT))
    label_studio = LabelStudioServer(
        directory / "label-studio", options.label_studio_port, environment=environment
    )
    embedded = options.with_model and not uses_own_endpoint()
    model = ModelServer(directory / "model", _kept_port(state, "model")) if embedded else None
    state.save()
    # Label Studio takes the longest by far, so it comes last, in the thread that Ctrl-C ends.
    services = [(redis, 1.0), *([(model, 2.0)] if model else []), (label_studio, 10.0)]
    for service, _ in services:
        stack.callback(service.stop)
    screen.side_by_side([Job(service.name, weight, service.start) for service, weight in services])
    settings = product_environment(port=options.port, redis=redis, label_studio=label_studio, model=model)
    if not options.with_model:
        settings["OPENAI_PROVIDER"] = "none"
    _write_environment(directory / "env", settings)
    backend = BackendServer(directory / "backend", options.port, settings)
    worker = Worker(directory / "backend", settings)
    for process in (backend, worker):
        stack.callback(process.stop)
        with screen.step(process.name) as tell:
            process.start(tell)
    running: list[Running] = [redis, label_studio, *([model] if model else []), backend, worker]
    client = LabelStudioClient(label_studio.base_url, label_studio.token)
    stack.callback(client.close)
    with screen.step("Project") as tell:
        project_id, is_new = ensure_project(client, state, data, tell)
    if options.data is not None:
        screen.say(f"     {data.prepared} {'came in' if is_new else 'are in the project from before'}.")
        for line in left_out_lines(data.prepared.left_out):
            screen.say(f"     {line}")
    tools = build_tools(read_settings({**os.environ, **settings}))
    demo = Demo(options, screen, running, data, client, tools, project_id, label_studio, directory)
    _connect(demo)
    return demo


def _connect(demo: Demo) -> None:
    """Connect the model as Label Studio's settings page does; all else the worker does by itself."""
    tools, project_id, options = demo.tools, demo.project_id, demo.options
    parameters = {}
    if options.autopilot:
        done = report(tools, project_id).annotated if tools.store.knows(project_id) else 0
        tenth = len(demo.data.prepared.tasks) // 10
        if done + options.autopilot > tenth:
            parameters["budget"] = str(min(done + options.autopilot, len(demo.data.prepared.tasks)))
    with demo.screen.step("First queue") as tell:
        demo.client.connect_backend(
            project_id,
            url=f"http://{LOOPBACK}:{options.port}",
            title=TITLE,
            extra_params=parameters,
            auth=read_settings().basic_auth,
        )
        wait_for_queue(tools, project_id, demo.check, tell, whole=bool(options.autopilot))


def _require_ports(options: Options) -> None:
    """Before anything is started: the two ports that people see must be free, and two."""
    if options.port == options.label_studio_port:
        raise ServiceError(
            f"Backend and Label Studio cannot share port {options.port}; choose another one with "
            f"{BackendServer.port_option} or {LabelStudioServer.port_option}."
        )
    require_free_port(options.label_studio_port, LabelStudioServer.name, LabelStudioServer.port_option)
    require_free_port(options.port, BackendServer.name, BackendServer.port_option)


def _kept_port(state: DemoState, name: str) -> int:
    """The port of last time where it is free: the model's address is part of what answers are cached by."""
    port = state.ports.get(name)
    if port is None or not is_free(port):
        port = free_port()
    state.ports[name] = port
    return port


def _write_environment(path: Path, settings: dict[str, str]) -> None:
    """For `. .demo/env` in another terminal. It holds the demo's token, so nobody else may read it."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text("".join(f"{name}='{value}'\n" for name, value in settings.items()), "utf-8")
