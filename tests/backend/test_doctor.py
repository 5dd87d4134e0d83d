"""What the doctor recommends."""

from __future__ import annotations

import pytest

from backend import doctor
from backend.usecases.memory import IMPORT_FLAG
from fakes import FakeLabelStudio


@pytest.mark.parametrize(
    ("tasks", "without_flag", "recommended"),
    [(10_000, True, True), (10_000, False, False), (100, True, False)],
)
def test_the_import_flag_is_recommended_where_there_are_many_tasks(
    tasks: int, without_flag: bool, recommended: bool
) -> None:
    label_studio = FakeLabelStudio(dict.fromkeys(range(tasks), "text"))
    label_studio.without_import_flag = without_flag
    assert (f"{IMPORT_FLAG}=true" in doctor._imports(label_studio, 1)) == recommended
