"""Replay on pools small enough to solve by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from allabel_core import select
from allabel_core.errors import InvalidInputError
from allabel_core.retrieval import DemonstrationIndex
from allabel_core.similarity import Bm25
from allabel_core.simulation.extractors import Copying, Question, copied
from allabel_core.simulation.runs import FOLDS, Replay, RunSpec
from allabel_core.simulation.strategies import annotated_by, check_strategy, is_drawn
from allabel_core.types import Document, Span


def marked(text: str, *entities: tuple[str, str]) -> Document:
    """A document whose entities are the first occurrences of the words."""
    spans = [Span(text.index(words), text.index(words) + len(words), label) for words, label in entities]
    return Document(text, tuple(spans))


POOL = [
    marked("heat the zinc now", ("zinc", "Metal")),
    marked("heat the iron now", ("iron", "Metal")),
    marked("cool the zinc soon", ("zinc", "Metal")),
    marked("wash with water", ("water", "Liquid")),
    marked("rinse with water twice", ("water", "Liquid")),
    marked("thank you"),
]


class Noting:
    """Answers with nothing and keeps what it was asked."""

    name = "noting"

    def __init__(self, *, learns: bool = False) -> None:
        self.learns = learns
        self.asked: list[tuple[list[Document], list[Question]]] = []

    def extract(self, corpus, questions, on_done):  # type: ignore[no-untyped-def]
        self.asked.append((list(corpus.documents), list(questions)))
        return Copying().extract(corpus, questions, on_done)


def test_copying_marks_the_demonstrations_words_wherever_they_stand() -> None:
    shown = marked("iron oxide and iron", ("iron oxide", "Oxide"), ("and", "Word"))
    found = copied(Question("Iron oxide, then iron oxides and iron oxide", (shown,)))
    assert found.spans == (Span(0, 10, "Oxide"), Span(29, 32, "Word"), Span(33, 43, "Oxide"))


def test_copying_takes_the_nearest_demonstrations_label_and_the_longer_words() -> None:
    far = marked("zinc", ("zinc", "Far"))
    near = marked("zinc dust", ("zinc", "Near"))
    dust = marked("zinc dust", ("zinc dust", "Dust"))
    assert copied(Question("a zinc", (far, near))).spans == (Span(2, 6, "Near"),)
    assert copied(Question("a zinc", (near, far))).spans == (Span(2, 6, "Far"),)
    assert copied(Question("a zinc dust", (near, dust))).spans == (Span(2, 11, "Dust"),)


def test_a_run_evaluates_what_was_not_annotated_with_demonstrations_from_what_was() -> None:
    replay = Replay(POOL)
    spec = RunSpec("coverage", 2, "bm25", 1, 0)
    run = replay.run(spec)
    assert run.corpus == select([d.text for d in POOL], 2, strategy="coverage", k=1).order
    assert set(run.evaluated) == set(range(6)) - set(run.corpus)
    index = DemonstrationIndex([POOL[i].text for i in run.corpus])
    for text, shown in zip(run.evaluated, run.shown, strict=True):
        assert shown == tuple(run.corpus[at] for at, _ in index.nearest(POOL[text].text, 1))


def test_full_annotation_shows_every_text_all_but_itself() -> None:
    run = Replay(POOL).full_run("bm25", 5, (0, 3))
    assert [set(shown) for shown in run.shown] == [{1, 2, 3, 4, 5}, {0, 1, 2, 4, 5}]
    assert run.shown[0][-1] in (1, 2)
    assert run.shown[1][-1] == 4


def test_scores_of_a_run_solved_by_hand() -> None:
    replay = Replay(POOL)
    full = replay.full_run("bm25", 1, range(6))
    scores = replay.score(full, replay.extract(full, Copying()))
    # "water" is found twice. The text nearest to 0 is 1, to 1 it is 0, neither has the other's metal,
    # and to 2 it is 0, with its zinc.
    assert (scores.total.tp, scores.total.fp, scores.total.fn) == (3, 0, 2)
    assert scores.labels == ("Liquid", "Metal")
    assert scores.entities.sum(axis=1).tolist() == [[2, 0, 0], [1, 0, 2]]
    assert scores.total.f1 == pytest.approx(6 / 8)
    assert scores.on([0, 2]).recall == pytest.approx(1 / 2)
    assert scores.by_text(6)[2].tolist() == [1, 0, 0, 1]


def test_texts_that_were_not_evaluated_are_marked() -> None:
    replay = Replay(POOL)
    run = replay.full_run("bm25", 1, (2, 4))
    counts = replay.score(run, replay.extract(run, Copying())).by_text(6)
    assert counts[:, 3].tolist() == [0, 0, 1, 0, 1, 0]


def test_spans_are_scored_one_by_one_entities_as_a_set() -> None:
    twice = Document("zinc zinc", (Span(0, 4, "Metal"), Span(5, 9, "Metal")))
    replay = Replay([twice, marked("zinc", ("zinc", "Metal"))])
    run = replay.full_run("bm25", 1, (0,))
    scores = replay.score(run, replay.extract(run, Copying()))
    assert scores.entities[0, 0].tolist() == [1, 0, 0]
    assert scores.spans[0, 0].tolist() == [2, 0, 0]


def test_closeness_is_similarity_as_a_part_of_self_similarity() -> None:
    replay = Replay(POOL)
    run = replay.full_run("bm25", 1, (0, 5))
    block = Bm25([d.text for d in POOL]).block(np.arange(6))
    nearest = run.shown[0][-1]
    assert run.closeness[0] == pytest.approx(block[0, nearest] / block[0, 0])
    assert run.closeness[1] == 0


def test_test_texts_are_the_same_for_all_strategies_as_far_as_possible() -> None:
    documents = [marked(f"word{i} zinc", ("zinc", "Metal")) for i in range(40)]
    replay = Replay(documents, test_texts=10)
    runs = [replay.run(RunSpec(s, 4, "bm25", 1, 0)) for s in ("random", "coverage", "allabel")]
    assert all(len(run.evaluated) == 10 for run in runs)
    everything = {text for run in runs for text in run.evaluated}
    assert len(everything) <= 10 + 3 * 4
    assert not any(set(run.evaluated) & set(run.corpus) for run in runs)


def test_a_learner_is_never_asked_about_a_text_it_learnt_from() -> None:
    documents = [marked(f"word{i} zinc", ("zinc", "Metal")) for i in range(25)]
    noting = Noting(learns=True)
    replay = Replay(documents)
    run = replay.full_run("bm25", 1, range(25))
    answers = replay.extract(run, noting)
    assert [answer.document.text for answer in answers] == [d.text for d in documents]
    assert len(noting.asked) == FOLDS
    for corpus, questions in noting.asked:
        learnt = {document.text for document in corpus}
        assert not learnt & {question.text for question in questions}
        assert len(learnt) + len(questions) == 25


def test_what_does_not_learn_is_asked_once_with_the_whole_corpus() -> None:
    noting = Noting()
    replay = Replay(POOL)
    replay.extract(replay.full_run("bm25", 1, range(6)), noting)
    assert [len(corpus) for corpus, _ in noting.asked] == [6]


def test_sentence_embeddings_are_made_once() -> None:
    calls: list[int] = []

    def encode(texts):  # type: ignore[no-untyped-def]
        calls.append(len(texts))
        return np.array([[len(text), text.count("t") + 1.0] for text in texts])

    replay = Replay(POOL, encode=encode)
    for similarity in ("sbert", "fused"):
        run = replay.run(RunSpec("coverage", 2, similarity, 2, 0))
        assert all(len(shown) == 2 for shown in run.shown)
    assert sum(calls) == 6


@pytest.mark.parametrize("name", ["nothing", "random@1:1:1", "allabel@1:1", "allabel@warm", "allabel@1:-1:1"])
def test_unknown_strategies_are_refused(name: str) -> None:
    with pytest.raises(InvalidInputError):
        check_strategy(name)


def test_variants_of_the_stages() -> None:
    texts = [document.text for document in POOL]
    bm25 = Bm25(texts)
    no_first = annotated_by("allabel@0:3:1", bm25, budget=4, k=1, seed=0)
    assert no_first == select(texts, 4, k=1, stage_ratio=(0, 3, 1)).order
    assert annotated_by("allabel@1:3:1", bm25, budget=4, k=1, seed=0) == select(texts, 4, k=1).order
    cold = {annotated_by("allabel@cold", bm25, budget=3, k=1, seed=seed)[0] for seed in range(20)}
    assert len(cold) > 2
    assert is_drawn("allabel@cold")
    assert is_drawn("random")
    assert not is_drawn("allabel")


@given(
    st.integers(1, 5), st.sampled_from(["random", "coverage", "allabel", "allabel@cold"]), st.integers(0, 9)
)
def test_every_strategy_spends_its_budget_on_different_texts(budget: int, name: str, seed: int) -> None:
    texts = [document.text for document in POOL]
    order = annotated_by(name, Bm25(texts), budget=budget, k=3, seed=seed)
    assert len(set(order)) == len(order) == budget


def test_replay_needs_two_texts_and_a_known_similarity() -> None:
    with pytest.raises(InvalidInputError):
        Replay(POOL[:1])
    with pytest.raises(InvalidInputError):
        Replay(POOL).run(RunSpec("random", 1, "cosine", 1, 0))
