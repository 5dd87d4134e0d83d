"""Regions of the picture bear the words that set them apart."""

from __future__ import annotations

import numpy as np

from allabel_core.quality.regions import name_regions


def test_each_corner_is_called_by_its_own_words() -> None:
    texts = ["the column of silica 4711"] * 8 + ["the glovebox and argon"] * 6 + ["the rest"] * 2
    points = np.array([[-0.9, -0.9]] * 8 + [[0.9, 0.7]] * 6 + [[0.0, 0.0]] * 2)
    first, second = name_regions(texts, points)
    assert (first.x, first.y, set(first.words)) == (-0.9, -0.9, {"column", "silica"})
    assert (second.x, second.y) == (0.9, 0.7)
    assert set(second.words) == {"glovebox", "argon"}


def test_where_all_texts_are_alike_no_region_has_a_name() -> None:
    assert name_regions(["one text"] * 9, np.zeros((9, 2))) == []
    assert name_regions([], np.zeros((0, 2))) == []


def test_of_very_many_texts_a_part_is_read() -> None:
    texts = ["apple tree"] * 6000 + ["stone wall"] * 6000
    points = np.array([[-0.9, 0.0]] * 6000 + [[0.9, 0.0]] * 6000)
    assert {region.words for region in name_regions(texts, points)} == {("apple", "tree"), ("stone", "wall")}
