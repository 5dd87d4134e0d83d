"""An OpenAI-compatible server on port 8000 that answers with the sample's gold, a second later each time."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

from allabel_backend.demo.sample import SAMPLE
from allabel_backend.importers import read_tasks

sys.path.insert(0, str(Path(__file__).parents[1]))
from scripted_llm import Request, ScriptedLlm

GOLD = {task.gold.text: task.gold for task in read_tasks(SAMPLE) if task.gold}


def say_gold(request: Request) -> str:
    """The entities of the text asked about, which stands between an opening and a closing tag."""
    asked = "\n".join(request.body["messages"][-1]["content"].splitlines()[1:-1])
    spans = GOLD[asked].spans if asked in GOLD else ()
    return json.dumps(
        {"entities": [{"text": asked[span.start : span.end], "label": span.label} for span in spans]}
    )


if __name__ == "__main__":
    with ScriptedLlm(delay=1.0, host="0.0.0.0", port=8000) as server:
        server.remember_requests = False
        server.say = say_gold
        threading.Event().wait()
