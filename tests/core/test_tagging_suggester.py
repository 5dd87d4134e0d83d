"""What is suggested, by whom, how sure; stored and read again."""

from __future__ import annotations

import json

import numpy as np
import pytest

from allabel_core.errors import InvalidInputError
from allabel_core.metrics import score_entities
from allabel_core.tagging import Figures, ModelSpan, SuggestedSpan, Suggester, dump, load, loads
from allabel_core.tagging.storage import MAGIC
from allabel_core.tagging.suggester import FEWEST_FOR_ARBITER, FEWEST_FOR_TAGGER
from allabel_core.types import Document, Span

METALS = ("zinc", "iron", "tin", "lead", "gold", "nickel", "cobalt", "copper", "silver", "platinum")
GASES = ("argon", "neon", "helium", "xenon", "krypton")
WAYS = ("heat the {0} powder under {1}", "{1} flows over {0} foil", "we weighed {0} and shut off {1} twice")


def document(metal: str, gas: str, way: str) -> Document:
    text = way.format(metal, gas)
    spans = [
        Span(text.index(word), text.index(word) + len(word), label)
        for word, label in ((metal, "Metal"), (gas, "Gas"))
    ]
    return Document(text, tuple(sorted(spans)))


def corpus(n: int) -> list[Document]:
    return [document(METALS[i % 7], GASES[i % 4], WAYS[i % 3]) for i in range(n)]


UNSEEN = [document(metal, gas, way) for metal in METALS[7:] for gas in GASES for way in WAYS]


def answer(of: Document, score: float = 0.8) -> list[ModelSpan]:
    return [ModelSpan(span, score) for span in of.spans]


def shown(suggester: Suggester, of: Document, said: list[ModelSpan] | None = None) -> Document:
    return Document(of.text, tuple(each.span for each in suggester.suggest(of.text, said).spans))


def wrong(of: Document) -> list[ModelSpan]:
    """The words after those that are right."""
    return [
        ModelSpan(Span(span.end + 1, min(len(of.text), span.end + 4), span.label), 0.8)
        for span in of.spans
        if span.end + 2 < len(of.text)
    ]


def test_without_a_model_it_finds_words_that_nobody_ever_marked() -> None:
    suggester = Suggester.train(corpus(30))
    found = [shown(suggester, each) for each in UNSEEN]
    assert score_entities(found, UNSEEN).f1 > 0.8


def test_every_stage_from_nothing_to_an_arbiter_suggests() -> None:
    asked = document("zinc", "argon", WAYS[0])
    assert Suggester.train([]).suggest(asked.text).spans == ()
    few = Suggester.train(corpus(FEWEST_FOR_TAGGER - 1))
    assert few.tagger is None
    assert few.suggest("").spans == ()
    tagging = Suggester.train(corpus(FEWEST_FOR_TAGGER))
    assert tagging.tagger is not None
    assert tagging.learned is None
    assert shown(tagging, asked) == asked
    judging = Suggester.train(corpus(FEWEST_FOR_ARBITER))
    assert judging.learned is not None
    assert judging.joined is None
    assert shown(judging, asked) == asked


def test_before_an_arbiter_the_models_spans_stand_and_sure_words_are_added() -> None:
    suggester = Suggester.train(corpus(9))
    asked = document("zinc", "argon", WAYS[1])
    spans = suggester.suggest(asked.text, wrong(asked)).spans
    by_model = [each for each in spans if "model" in each.sources]
    assert {each.span for each in by_model} == {each.span for each in wrong(asked)}
    assert all(each.confidence == 0.8 for each in by_model)
    added = [each for each in spans if "model" not in each.sources]
    assert added
    assert all(each.marked >= 2 for each in added)


def test_before_an_arbiter_an_answer_that_is_not_sure_of_itself_outweighs_nobody() -> None:
    suggester = Suggester.train(corpus(9))
    asked = document("zinc", "argon", WAYS[1])
    unsure = [ModelSpan(each.span, 0.1) for each in wrong(asked)]
    assert shown(suggester, asked, unsure) == asked
    sure_of_one = [ModelSpan(Span(6, 11, "Metal"), 0.4)]
    assert Span(6, 11, "Metal") in shown(suggester, asked, sure_of_one).spans


def test_a_dictionary_suggests_before_the_first_annotation() -> None:
    suggester = Suggester.train([], dictionary=[("Carbon dioxide", "Gas"), ("zinc", "Metal")])
    (gas, metal) = suggester.suggest("carbon dioxide and ZINC").spans
    assert (gas.span, metal.span) == (Span(0, 14, "Gas"), Span(19, 23, "Metal"))
    assert "dictionary" in gas.sources


def test_a_good_model_is_believed_a_useless_one_is_not() -> None:
    unknown = [Document(f"{'abcdefghij'[i] * 7} quarrels", (Span(0, 7, "Metal"),)) for i in range(10)]
    documents = [*corpus(40), *unknown]
    good = Suggester.train(documents, {i: answer(each) for i, each in enumerate(documents)})
    useless = Suggester.train(documents, {i: wrong(each) for i, each in enumerate(documents)})
    odd = "purple boron quarrels"
    said = [ModelSpan(Span(7, 12, "Metal"), 0.8)]
    assert said[0].span in shown(good, Document(odd), said).spans
    found = [shown(useless, each, wrong(each)) for each in UNSEEN]
    alone = [shown(useless, each) for each in UNSEEN]
    assert score_entities(found, UNSEEN).f1 >= score_entities(alone, UNSEEN).f1 - 0.005
    assert useless.figures is not None
    assert useless.figures.model == 0


def test_what_nobody_else_can_judge_stays_the_models() -> None:
    documents = [*corpus(30), Document("one rare beast", (Span(4, 14, "Rare"),))]
    useless = {i: wrong(each) for i, each in enumerate(documents)}
    suggester = Suggester.train(documents, useless)
    text = "zinc and a beast of iron"
    said = [
        ModelSpan(Span(11, 16, "Rare"), 0.4),
        ModelSpan(Span(11, 16, "Unheard of"), 0.3),
        ModelSpan(Span(5, 8, "Gas"), 0.9, linked=True),
        ModelSpan(Span(17, 19, "Gas"), 0.9),
    ]
    found = {each.span: each for each in suggester.suggest(text, said).spans}
    assert Span(17, 19, "Gas") not in found
    assert found[Span(11, 16, "Rare")].confidence == 0.4
    assert {span.label for span in found} >= {"Rare", "Unheard of"}
    assert Span(5, 8, "Gas") in found


def test_nested_spans_stay_where_annotators_nest() -> None:
    outer, inner = Span(0, 12, "Metal"), Span(5, 9, "Gas")
    said = [ModelSpan(outer, 0.7), ModelSpan(inner, 0.7)]
    nesting = [Document("zinc argon mix", (Span(0, 14, "Metal"), Span(5, 10, "Gas")))]
    found = Suggester.train([*corpus(30), *nesting]).suggest("zinc neon mix", said)
    assert {outer, inner} <= {each.span for each in found.spans}
    documents = corpus(30)
    flat = Suggester.train(documents, {i: answer(each) for i, each in enumerate(documents)})
    spans = [each.span for each in flat.suggest("zinc neon mix", said).spans]
    assert not {outer, inner} <= set(spans)


def test_spans_say_who_proposes_them() -> None:
    assert SuggestedSpan(Span(0, 1, "A"), 0.5, ("model", "tagger", "lexicon"), 7, 7).because() == (
        "model and tagger; lexicon: marked 7 of 7 times"
    )
    assert SuggestedSpan(Span(0, 1, "A"), 0.5, ("lexicon",), 1, 1).because() == "lexicon: marked 1 of 1 time"
    assert SuggestedSpan(Span(0, 1, "A"), 0.5, ("model", "tagger", "dictionary")).because() == (
        "model, tagger and dictionary"
    )
    documents = corpus(30)
    suggester = Suggester.train(documents, {i: answer(each) for i, each in enumerate(documents)})
    asked = document("zinc", "argon", WAYS[0])
    for each in suggester.suggest(asked.text, answer(asked)).spans:
        assert each.sources == ("model", "tagger", "lexicon")
        assert (
            each.marked
            == each.seen
            == sum(
                s.label == each.span.label
                and d.text[s.start : s.end] == asked.text[each.span.start : each.span.end]
                for d in documents
                for s in d.spans
            )
        )


@pytest.mark.parametrize(
    ("way", "words"),
    [
        ("先把{0}粉加热再通入{1}。", ("锌", "氩气")),
        ("{0}를 가열하고 {1}을 흘린다", ("아연", "아르곤")),
        ("🔥 {0} 👩‍🔬🧪 then {1} 👍🏽", ("zinc", "argon")),
        ("Ann: heat {0}\r\nBob: with {1}?\r\n", ("zinc", "argon")),
        ("5{0}-{1}2x", ("Zn", "Ar")),
    ],
)
def test_planted_entities_are_found_at_their_exact_places(way: str, words: tuple[str, str]) -> None:
    documents = [document(*words, way)] * 12 + corpus(12)
    suggester = Suggester.train(documents)
    beginning = "".join(f"{i} nothing. " for i in range(2_000))
    asked = document(*words, way)
    planted = Document(
        beginning + asked.text,
        tuple(Span(s.start + len(beginning), s.end + len(beginning), s.label) for s in asked.spans),
    )
    assert shown(suggester, asked) == asked
    assert set(planted.spans) <= set(shown(suggester, planted).spans)


def test_the_same_annotations_give_the_same_suggester() -> None:
    documents = corpus(25)
    answers = {i: answer(each) for i, each in enumerate(documents)}
    assert dump(Suggester.train(documents, answers)) == dump(Suggester.train(documents, answers))


def test_confidence_says_how_often_it_is_right() -> None:
    rng = np.random.default_rng(0)
    documents = corpus(60)
    answers = {i: answer(each) if rng.random() < 0.7 else wrong(each) for i, each in enumerate(documents)}
    suggester = Suggester.train(documents, answers)
    pairs = [
        (each.confidence, each.span in asked.spans)
        for asked in UNSEEN
        for each in suggester.suggest(asked.text, answer(asked) if rng.random() < 0.7 else wrong(asked)).spans
    ]
    assert abs(np.mean([sure for sure, _ in pairs]) - np.mean([right for _, right in pairs])) < 0.1


def test_strange_texts_have_more_expected_errors() -> None:
    suggester = Suggester.train(corpus(30))
    known = suggester.suggest(document("zinc", "argon", WAYS[0]).text)
    strange = suggester.suggest("powder under twice foil the gold shut over tin")
    assert known.expected_errors < strange.expected_errors
    assert known.doubt < strange.doubt


def test_an_earlier_state_is_reused_until_a_tenth_is_new() -> None:
    before = Suggester.train(corpus(30))
    assert Suggester.train(corpus(33), previous=before).figures is before.figures
    after = Suggester.train(corpus(34), previous=before)
    assert after.figures is not before.figures
    assert after.judged == 34
    answers = {i: answer(each) for i, each in enumerate(corpus(31))}
    assert Suggester.train(corpus(31), answers, previous=before).joined is not None
    more = [*corpus(30), Document("a new kind", (Span(2, 5, "Kind"),))]
    assert Suggester.train(more, previous=before).judged == 31


# What is shown.


def figures(model: float | None, joined: float | None) -> Figures:
    return Figures(30, tagger=0.4, lexicon=0.3, learned=0.5, model=model, joined=joined)


def test_nothing_worse_than_the_model_alone_is_shown_and_nothing_flaps() -> None:
    assert figures(None, None).shown(None) == "joined"
    assert figures(0.6, 0.7).shown(None) == "joined"
    assert figures(0.7, 0.695).shown(None) == "model"
    assert figures(0.7, 0.695).shown("joined") == "joined"
    assert figures(0.7, 0.68).shown("joined") == "model"
    assert figures(0.7, 0.705).shown("model") == "model"
    assert figures(0.7, 0.715).shown("model") == "joined"


def test_the_model_is_asked_about_no_more_texts_than_pay() -> None:
    by_share = ((0.0, 0.70), (0.25, 0.72), (0.5, 0.733), (0.75, 0.735), (1.0, 0.734))
    assert Figures(30, 0.4, 0.3, 0.5, 0.6, 0.7, by_share).share_worth_asking() == 0.5
    assert figures(None, None).share_worth_asking() == 1.0


# Stored.


def test_what_is_stored_suggests_the_same() -> None:
    documents = corpus(25)
    answers = {i: answer(each) for i, each in enumerate(documents)}
    for suggester in (Suggester.train([]), Suggester.train(corpus(6)), Suggester.train(documents, answers)):
        again = loads(dump(suggester))
        assert dump(again) == dump(suggester)
        for each in UNSEEN[:5]:
            assert again.suggest(each.text, answer(each)) == suggester.suggest(each.text, answer(each))


def test_a_file_is_read_and_what_is_none_is_refused(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "tagger"
    path.write_bytes(dump(Suggester.train(corpus(25))))
    assert load(path).texts == 25
    with pytest.raises(InvalidInputError, match="cannot be read"):
        load(tmp_path / "none")


def altered(head: dict[str, object], rest: bytes = b"") -> bytes:
    encoded = json.dumps(head).encode()
    return MAGIC + len(encoded).to_bytes(8, "big") + encoded + rest


def test_damaged_bytes_are_refused_whatever_is_damaged() -> None:
    whole = dump(Suggester.train(corpus(25)))
    begin = len(MAGIC) + 8
    end = begin + int.from_bytes(whole[len(MAGIC) : begin], "big")
    head, weights = json.loads(whole[begin:end]), whole[end:]
    assert loads(altered(head, weights)).texts == 25
    for content in (b"", b"PK\x03\x04", MAGIC, whole[:-1], whole[: len(whole) // 2], whole + b"x"):
        with pytest.raises(InvalidInputError):
            loads(content)
    nan = np.full(len(weights) // 4, np.nan, dtype="<f4").tobytes()
    with pytest.raises(InvalidInputError):
        loads(altered(head, nan))
    harmless = {"texts": [1], "judged": [1], "terms": ["x", [1], {"a": "b"}], "learned": [None]}
    for key in head.keys() - {"nests"}:
        for value in ("x", -1, [1], {"a": "b"}, 1.5):
            if value not in harmless.get(key, []):
                with pytest.raises(InvalidInputError):
                    loads(altered({**head, key: value}, weights))
