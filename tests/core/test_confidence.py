from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from allabel_core.answers import LabelSet, parse_answer
from allabel_core.confidence import (
    Calibration,
    confidence_from_agreement,
    confidence_from_logprobs,
    confidence_from_support,
    expected_calibration_error,
    fit_calibration,
    span_confidences,
)
from allabel_core.errors import InvalidInputError
from allabel_core.grounding import ground
from allabel_core.types import Document, Mention, Span

LABELS = LabelSet(("M",))


def tokens(*pairs: tuple[str, float]) -> list[tuple[str, float]]:
    return [(token, math.log(probability)) for token, probability in pairs]


def test_the_probability_of_a_mention_is_the_product_over_its_tokens() -> None:
    said = tokens(
        (" iron", 0.5), (" =", 0.9), (" M", 0.8), (" ;", 0.3), (" zi", 0.7), ("nc", 1.0), (" = M", 0.5)
    )
    answer = "".join(token for token, _ in said)
    parsed = parse_answer(answer, LABELS, form="completion")
    found = confidence_from_logprobs(answer, parsed.places, said)
    assert found == (pytest.approx(0.36), pytest.approx(0.35))


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(tokens(("thoughts", 0.1), ("\n", 0.1), ("ab", 0.5), ("cd", 0.25)), id="tokens before"),
        pytest.param(tokens(("ab", 0.5), ("cd", 0.25), ("<|end|>", 0.1)), id="a token after"),
    ],
)
def test_tokens_beyond_the_answer_do_not_count(said: list[tuple[str, float]]) -> None:
    assert confidence_from_logprobs("abcd", [(0, 2), (2, 4)], said) == (
        pytest.approx(0.5),
        pytest.approx(0.25),
    )


def test_a_character_in_several_tokens() -> None:
    # A server spells the bytes of the emoji in its own way.
    said = tokens(("aaaaaaaaaaaa ", 1.0), ("\\xf0\\x9f", 0.5), ("\\x8e\\x89", 0.5), (" bbbbbbbbbbbb", 1.0))
    found = confidence_from_logprobs("aaaaaaaaaaaa 🎉 bbbbbbbbbbbb", [(0, 12), (13, 14)], said)
    assert found == (pytest.approx(1.0), pytest.approx(0.25))


def test_tokens_of_another_answer_are_no_evidence() -> None:
    assert confidence_from_logprobs("iron = M", [(0, 8)], tokens(("something", 1.0), ("else", 1.0))) is None
    assert confidence_from_logprobs("iron = M", [(0, 8)], []) is None


def test_agreement_counts_this_answer_as_well() -> None:
    iron, zinc = Span(0, 4, "M"), Span(5, 9, "M")
    assert confidence_from_agreement([iron, zinc], [[iron], [iron, Span(5, 9, "X")], []]) == (0.75, 0.25)


def test_support_by_hand() -> None:
    shown = [
        Document("Iron and iron", (Span(0, 4, "M"), Span(9, 13, "M"))),
        Document("iron man , iron works", (Span(0, 8, "P"),)),
    ]
    text = "iron , zinc"
    spans = ground(text, [Mention("iron", "M"), Mention("zinc", "M")]).spans
    # iron: marked M twice, once unmarked, once within a longer span, which says nothing.
    assert confidence_from_support(text, spans, shown) == (pytest.approx(2.7 / 4), pytest.approx(0.7))


def test_the_best_evidence_is_taken() -> None:
    text = "IRON"
    grounding = ground(text, [Mention("iron", "M")])
    assert span_confidences(text, grounding, from_logprobs=[0.5], others=[grounding]) == (0.95 * 0.5,)
    assert span_confidences(text, grounding, others=[grounding, ground(text, [])]) == (
        pytest.approx(0.95 * 2 / 3),
    )
    assert span_confidences(text, grounding) == (pytest.approx(0.95 * 0.7),)


def test_calibration_error_by_hand() -> None:
    # Bin .9-1: confidence .95, all accepted: gap .05. Bin .1-.2: .15, half accepted: gap .35.
    error = expected_calibration_error([0.95, 0.95, 0.15, 0.15], [True, True, True, False])
    assert error == pytest.approx((2 * 0.05 + 2 * 0.35) / 4)
    assert expected_calibration_error([1.0, 0.0], [True, False]) == 0.0


def test_calibration_waits_for_enough_history() -> None:
    assert fit_calibration([0.5] * 99, [True, False] * 49 + [True]) is None
    assert fit_calibration([0.5] * 200, [True] * 195 + [False] * 5) is None
    assert fit_calibration([], []) is None


def test_calibration_pools_what_does_not_rise() -> None:
    # Shares by confidence: .2 -> 20/40, .4 -> 10/40 (pooled: 30/80), .8 -> 30/40.
    shown = [0.2] * 40 + [0.4] * 40 + [0.8] * 40
    kept = [True] * 20 + [False] * 20 + [True] * 10 + [False] * 30 + [True] * 30 + [False] * 10
    calibration = fit_calibration(shown, kept)
    assert calibration == Calibration(((0.2, 0.375), (0.4, 0.375), (0.8, 0.75)), 120)
    assert calibration is not None
    assert calibration(0.0) == 0.375
    assert calibration(0.6) == pytest.approx((0.375 + 0.75) / 2)
    assert calibration(1.0) == 0.75


def test_calibration_lowers_the_error_of_a_boastful_model() -> None:
    rng = np.random.default_rng(3)
    shown = rng.uniform(0.5, 1.0, 2_000)
    kept = rng.random(2_000) < shown**3
    calibration = fit_calibration(shown[:1_000], kept[:1_000])
    assert calibration is not None
    before = expected_calibration_error(shown[1_000:], kept[1_000:])
    after = expected_calibration_error([calibration(c) for c in shown[1_000:]], kept[1_000:])
    assert before > 0.2
    assert after < 0.07


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=20, max_size=60))
def test_calibrated_confidence_rises_with_confidence(history: list[tuple[float, bool]]) -> None:
    shown, kept = zip(*history, strict=True)
    calibration = fit_calibration(shown, kept, min_history=20, min_each=1)
    if calibration is not None:
        values = [calibration(c) for c in np.linspace(0, 1, 30)]
        assert values == sorted(values)
        assert all(0 <= value <= 1 for value in values)


def test_wrong_input_is_refused() -> None:
    with pytest.raises(InvalidInputError):
        expected_calibration_error([], [])
    with pytest.raises(InvalidInputError):
        fit_calibration([0.5], [True, False])
    with pytest.raises(InvalidInputError):
        expected_calibration_error([1.5], [True])
