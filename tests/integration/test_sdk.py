"""Label Studio's own SDK, as a user's script would use it, sees what we have published."""

from __future__ import annotations

import httpx
import pytest

from stack import SAMPLES, Stack

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def test_a_script_with_the_sdk_reads_the_queue(stack: Stack) -> None:
    from label_studio_sdk import LabelStudio

    project_id = stack.project("Seen by the SDK", SAMPLES[:8])
    stack.connect(project_id, budget="3", window=3, k=1)
    with httpx.Client() as http:
        access = {"base_url": stack.label_studio.base_url, "api_key": stack.label_studio.token}
        sdk = LabelStudio(**access, httpx_client=http)
        project = sdk.projects.get(id=project_id)
        predictions = sdk.predictions.list(project=project_id)

    assert project.sampling == "Uncertainty sampling"
    assert {prediction.model_version for prediction in predictions} == {project.model_version}
    by_score = sorted(predictions, key=lambda prediction: prediction.score)
    assert [prediction.task for prediction in by_score] == stack.queue(project_id)
