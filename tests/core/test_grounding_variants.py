"""Words that a model spells otherwise than the text: planted in a text, they are found where they stand."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allabel_core.grounding import GroundingPolicy, ground
from allabel_core.types import Mention, without_outer_space

FIRST = GroundingPolicy(occurrences="first")

VARIANTS = [
    ("مُحَمَّد", "محمد"),
    ("محـــمد", "محمد"),
    ("محمد", "مُحَمَّد"),
    ("שָׁלוֹם", "שלום"),
    ("José", "Jose"),
    ("Jose", "José"),
    ("Nguyễn", "Nguyen"),
    ("Łódź", "Lodz"),
    ("Пётр", "Петр"),
    ("IŞIK", "ışık"),
    ("YANGIN", "yangın"),
    ("Fe", '"Fe"'),
    ("Fe", "«Fe»"),
    ("Fe", "**Fe**"),
    ("iron", "iron."),
    ("iron", "(iron)"),
    ("iron", "the iron"),
    ("Haus", "das Haus"),
    ("eau", "l'eau"),
    ("Na-\nCl", "NaCl"),
    ("super-\r\n conductor", "superconductor"),
    ("3 × 10 cm", "3 x 10 cm"),
    ("3 x 10 cm", "3 × 10 cm"),
    ("10³", "10^3"),
    ("10^3", "10³"),
    ("25 ºC", "25 °C"),
    ("25 ˚C", "25°C"),
    ("H<sub>2</sub>O", "H2O"),
    ("H2O", "H<sub>2</sub>O"),
    ("H_{2}O", "H2O"),
    ('Fe<span class="x">3</span>O4', "Fe3O4"),
    ("5% Cr", r"5\% Cr"),
    ("sample_1", r"sample\_1"),
    (r"\times 3", "\times 3"),
    (r"\beta-iron", "\beta-iron"),
    (r"\nu_e", "\nu_e"),
    (r"\frac", "\frac"),
    (r"\rho", "\rho"),
    (r"C:\temp\new", "C:\temp\new"),
    ("cœur", "coeur"),
    ("Ærø", "aero"),
    ("≤ 5 mm", "<= 5 mm"),
    ("3 ± 1", "3 +/- 1"),
    ("İstanbul", "istanbul"),
    ("Frankie James", " Frankie James\n"),
    ("C++", "C++"),
]


@pytest.mark.parametrize(("planted", "words"), VARIANTS)
@given(before=st.sampled_from(["", "in 4 d ", "zur Zeit "]), after=st.sampled_from(["", " was hot", ", und"]))
def test_planted_words_are_found_whole(planted: str, words: str, before: str, after: str) -> None:
    text = f"{before}{planted}{after}"
    [found] = ground(text, [Mention(words, "X")], policy=FIRST).spans
    assert (found.span.start, found.span.end) == (len(before), len(before) + len(planted))


@given(
    st.lists(
        st.sampled_from(["Zürich", "Curaçao", "naïve", "Ångström", "Škoda", "Việt"]), min_size=1, max_size=6
    )
)
def test_words_without_their_accents_are_found_in_reading_order(words: list[str]) -> None:
    text = " , ".join(words)
    plain = [
        "".join(c for c in unicodedata.normalize("NFD", w) if unicodedata.category(c) != "Mn") for w in words
    ]
    grounding = ground(text, [Mention(each, "X") for each in plain], policy=FIRST)
    assert [text[g.span.start : g.span.end] for g in grounding.spans] == words


@pytest.mark.parametrize(
    ("text", "words"),
    [("Müller and Mûller", "Muller"), ("résumé, resumé", "resume"), ("H<sub>2</sub>O and H₂O.", "H^2O")],
)
def test_words_that_differ_among_themselves_are_refused(text: str, words: str) -> None:
    grounding = ground(text, [Mention(words, "X")])
    assert not grounding.spans
    assert dict(grounding.rejected) == {"ambiguous": 1}


def test_the_very_words_come_before_those_that_only_resemble_them() -> None:
    text = "José met Jose"
    [found] = ground(text, [Mention("Jose", "X")], policy=FIRST).spans
    assert (found.span.start, found.quality) == (9, 1.0)


def test_a_letter_with_signs_is_a_name_of_its_own() -> None:
    text = "C++ and C, not C#"
    assert [g.span.start for g in ground(text, [Mention("C", "X")]).spans] == [8]
    # Where there is no other, it is meant.
    assert [g.span.start for g in ground("Na+ flows", [Mention("Na", "X")]).spans] == [0]


@given(st.text(alphabet="ab \n\t\u00a0", max_size=8), st.data())
def test_outer_space_is_trimmed_and_nothing_else(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    trimmed = text[slice(*without_outer_space(text, start, end))]
    assert trimmed == (text[start:end].strip() or text[start:end])
