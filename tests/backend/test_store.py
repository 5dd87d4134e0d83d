"""The store on a real Redis."""

from __future__ import annotations

import json
import time
from dataclasses import asdict

import pytest
from redis import Redis

from allabel_core.types import Document, Relation, Span
from backend.adapters import store as store_module
from backend.adapters.store import Store
from backend.errors import SettingsError
from backend.ports import (
    AnnotatedTask,
    Place,
    PlaceState,
    ProjectSettings,
    QueueEntry,
    ShownSuggestion,
    StoredDemonstration,
    Submission,
    Suggestion,
)

pytestmark = pytest.mark.slow

PROJECT = 7


def test_a_mark_is_due_only_after_a_quiet_moment(store: Store) -> None:
    store.mark_dirty(PROJECT, "annotations")
    assert store.due_projects() == []
    time.sleep(store_module.QUIET_SECONDS + 0.05)
    assert store.due_projects() == [PROJECT]


def test_steady_events_cannot_put_a_sync_off_for_ever(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "PATIENCE_SECONDS", 0.6)
    for _ in range(8):
        store.mark_dirty(PROJECT, "annotations")
        time.sleep(0.1)
    assert store.due_projects() == [PROJECT]


def test_marks_are_cleared_only_if_nothing_came_in_meanwhile(store: Store) -> None:
    store.mark_dirty(PROJECT, "setup")
    kinds, revision = store.dirty(PROJECT)
    store.mark_dirty(PROJECT, "annotations")

    assert kinds == {"setup"}
    assert not store.clear_dirty(PROJECT, revision)
    kinds, revision = store.dirty(PROJECT)
    assert kinds == {"annotations"}
    assert store.clear_dirty(PROJECT, revision)
    assert store.dirty(PROJECT)[0] == set()
    time.sleep(store_module.QUIET_SECONDS + 0.05)
    assert store.due_projects() == []


def test_a_postponed_project_is_not_due(store: Store) -> None:
    store.mark_dirty(PROJECT, "tasks")
    store.postpone(PROJECT, 60)
    time.sleep(store_module.QUIET_SECONDS + 0.05)
    assert store.due_projects() == []


def test_only_one_holds_a_lock(store: Store) -> None:
    with store.lock("sync:7") as first, store.lock("sync:7") as second:
        assert (first, second) == (True, False)
    with store.lock("sync:7") as again:
        assert again


def test_a_lock_is_renewed_while_its_holder_lives(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "LOCK_SECONDS", 0.3)
    with store.lock("sync:7"):
        time.sleep(0.8)
        assert store.locked("sync:7")


def test_a_dead_holder_loses_the_lock(store: Store, redis: Redis) -> None:
    redis.lock("allabel:lock:sync:7", timeout=0.2).acquire()
    assert store.locked("sync:7")
    time.sleep(0.3)
    with store.lock("sync:7") as held:
        assert held


def test_texts_come_back_in_id_order(store: Store) -> None:
    store.add_texts(PROJECT, {10: "ten", 9: "néuf 😀", 100: "hundred"})
    assert list(store.texts(PROJECT).items()) == [(9, "néuf 😀"), (10, "ten"), (100, "hundred")]
    assert store.some_texts(PROJECT, [100, 5]) == {100: "hundred"}


def test_wanted_tasks_are_claimed_most_urgent_first_and_once(store: Store) -> None:
    store.replace_wanted(PROJECT, [5, 3, 8])
    store.want_now(PROJECT, [42])

    assert store.claim_wanted(PROJECT, 2) == [42, 5]
    assert store.claim_wanted(PROJECT, 5) == [3, 8]
    assert store.claim_wanted(PROJECT, 5) == []
    assert store.unclaimed(PROJECT) == 0


def test_a_claim_expires_with_its_worker(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "CLAIM_SECONDS", 0.2)
    store.replace_wanted(PROJECT, [5])
    assert store.claim_wanted(PROJECT, 1) == [5]
    assert store.claim_wanted(PROJECT, 1) == []
    time.sleep(0.3)
    assert store.claim_wanted(PROJECT, 1) == [5]


def test_a_new_plan_keeps_what_a_person_waits_for(store: Store) -> None:
    store.replace_wanted(PROJECT, [1, 2, 3])
    store.want_now(PROJECT, [2])
    store.replace_wanted(PROJECT, [3, 4])
    assert store.wanted(PROJECT) == [2, 3, 4]


def test_claims_on_what_is_no_longer_wanted_do_not_count(store: Store) -> None:
    store.replace_wanted(PROJECT, [1, 2, 3])
    store.claim_wanted(PROJECT, 3)
    store.replace_wanted(PROJECT, [4])
    assert store.unclaimed(PROJECT) == 1


def test_records_survive_the_round_trip(store: Store) -> None:
    settings = ProjectSettings(budget="70", k=8)
    queue = [QueueEntry(3, "diversity", "no text resembles it", 0.25, serves=2, nearest=9, similarity=1.5)]
    document = Document(
        "1 g NaCl", (Span(0, 3, "Amount"), Span(4, 8, "Material")), (Relation(1, 0, "amount"),)
    )
    suggestion = Suggestion(3, [{"id": "a"}], "recipe", [9], confidence=0.5, rejected={"not_found": 1})

    store.save_settings(PROJECT, settings)
    store.save_queue(PROJECT, queue)
    made = Submission(9, 4, "2026-01-01", 7, 12.5, document, True)
    annotated = [AnnotatedTask(8, "2026-01-02", 2), AnnotatedTask(9, "2026-01-01", 1, (made,))]
    store.save_annotated(PROJECT, annotated, [], "2026-01-03")
    store.save_suggestions(PROJECT, [suggestion])
    store.save_places(PROJECT, {3: Place(5, 0.25, "x"), 1: Place(6, 0.5, "y", PlaceState.RETIRED, 17.5)})
    store.save_shown(PROJECT, [ShownSuggestion("2026-01-01", suggestion)])

    assert store.settings(PROJECT) == settings
    assert store.queue(PROJECT) == queue
    assert store.annotated(PROJECT) == {task.task_id: task for task in annotated}
    assert store.demonstrations(PROJECT) == [StoredDemonstration(9, document)]
    assert store.suggestions(PROJECT, [3, 4]) == {3: suggestion}
    assert store.board(PROJECT) == {3: Place(5, 0.25, "x"), 1: Place(6, 0.5, "y", PlaceState.RETIRED, 17.5)}
    assert store.shown_history(PROJECT, [3, 4]) == {3: [ShownSuggestion("2026-01-01", suggestion)]}


def test_a_store_of_another_schema_is_rebuilt_not_read(store: Store, redis: Redis) -> None:
    store.add_project(PROJECT)
    store.save_queue(PROJECT, [])
    redis.set("allabel:schema", 0)

    store.migrate()

    assert redis.get("allabel:project:7:queue") is None
    assert store.projects() == [PROJECT]
    assert store.dirty(PROJECT)[0] == {"setup", "tasks"}


def test_an_upgrade_keeps_what_label_studio_could_not_tell(store: Store, redis: Redis) -> None:
    store.add_project(PROJECT)
    old = {"budget": "70", "k": "many", "of_old": True}
    redis.set("allabel:project:7:settings", json.dumps(old))
    store.set_facts(PROJECT, finishing=1, backend_url="http://b", state="ready", version="allabel-4")
    redis.set("allabel:schema", 0)

    store.migrate()
    store.migrate()

    assert store.settings(PROJECT) == ProjectSettings(budget="70")
    facts = store.facts(PROJECT)
    assert (facts["finishing"], facts["backend_url"], facts["version"]) == ("1", "http://b", "allabel-4")
    assert "state" not in facts


def test_a_store_of_which_nothing_has_its_old_form_is_taken_over_all_the_same(
    store: Store, redis: Redis
) -> None:
    store.add_project(PROJECT)
    for name in ("settings", "facts", "queue", "texts"):
        redis.lpush(f"allabel:project:7:{name}", "not even JSON")
    redis.set("allabel:schema", 0)
    store.migrate()
    assert store.settings(PROJECT) == ProjectSettings()
    assert store.texts(PROJECT) == {}


def test_the_state_of_a_newer_release_is_left_alone(store: Store, redis: Redis) -> None:
    store.add_project(PROJECT)
    redis.set("allabel:project:7:queue", "of another time")
    redis.set("allabel:schema", 99)
    with pytest.raises(SettingsError, match="another release"):
        store.migrate()
    with pytest.raises(SettingsError, match="another release"):
        store.require_schema()
    assert redis.get("allabel:project:7:queue") == b"of another time"


def test_what_annotators_were_shown_under_the_release_before_is_kept(store: Store, redis: Redis) -> None:
    store.add_project(PROJECT)
    made = Suggestion(3, [{"id": "a"}], "recipe", [9])
    store.save_suggestions(PROJECT, [made])
    redis.hset("allabel:project:7:shown", "3", json.dumps(asdict(made)))
    redis.set("allabel:project:7:published", '[[3, "d"]]')
    store.set_facts(PROJECT, version="allabel-4", publishing=5)
    redis.set("allabel:schema", 3)

    store.migrate()

    assert store.shown_history(PROJECT, [3]) == {3: [ShownSuggestion("", made)]}
    assert store.suggestions(PROJECT, [3]) == {3: made}
    assert store.fact(PROJECT, "version") == "allabel-4"
    assert store.fact(PROJECT, "publishing") is None
    assert store.dirty(PROJECT)[0] == {"setup", "tasks"}


def test_claims_are_kept_while_their_worker_lives(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "CLAIM_SECONDS", 0.3)
    store.replace_wanted(PROJECT, [5])
    claimed = store.claim_wanted(PROJECT, 1)
    with store.keeping_claims(PROJECT, claimed):
        time.sleep(0.8)
        assert store.claim_wanted(PROJECT, 1) == []
    time.sleep(0.4)
    assert store.claim_wanted(PROJECT, 1) == [5]


def test_redis_that_takes_nothing_in_says_why(store: Store, redis: Redis) -> None:
    assert store.refusal() == ""
    redis.config_set("maxmemory", 1)
    try:
        assert "maxmemory" in store.refusal()
    finally:
        redis.config_set("maxmemory", 0)


def test_a_forgotten_project_leaves_nothing(store: Store, redis: Redis) -> None:
    store.add_project(PROJECT)
    store.mark_dirty(PROJECT, "tasks")
    store.add_texts(PROJECT, {1: "one"})
    store.forget_project(PROJECT)
    assert [key for key in redis.scan_iter() if b":7" in key] == []
    assert store.projects() == []


def test_of_problems_that_come_again_in_turns_each_is_listed_once_the_latest_first(store: Store) -> None:
    for message in ("The model is down.", "Label Studio is down.") * 3:
        store.note_error(PROJECT, message, "Start it.")
    assert [each.message for each in store.errors(PROJECT)] == ["Label Studio is down.", "The model is down."]
