"""What is simulated is what the product does."""

from __future__ import annotations

import pytest

from allabel_core.simulation.runs import RunSpec
from backend.simulate.reading import Dataset
from backend.simulate.through import through_label_studio
from stack import SAMPLES, Stack


@pytest.mark.parametrize("strategy", ["allabel", "coverage"])
def test_the_product_chooses_and_scores_as_the_simulation(stack: Stack, strategy: str) -> None:
    documents = tuple(SAMPLES[:18])
    found = through_label_studio(
        Dataset("sample", documents),
        RunSpec(strategy, 5, "bm25", 2, 0),
        stack.tools,
        stack.client,
        auth=None,
        say=lambda _: None,
    )
    assert found.served == found.simulated
    assert len(set(found.served)) == 5
    assert found.served_f1 == found.simulated_f1
