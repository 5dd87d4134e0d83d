"""An OpenAI-compatible model that takes as long as it is told and marks the longest word of each text.

``python -m bench.scripted_model SECONDS`` runs until its standard input ends; each line of it is a new
number of seconds.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from scripted_llm import Abilities, Request, ScriptedLlm

if TYPE_CHECKING:
    from typing import Any

LABEL_CONFIG = (
    '<View><Labels name="label" toName="text"><Label value="Word"/></Labels>'
    '<Text name="text" value="$text"/></View>'
)


def mark_longest_word(request: Request) -> str:
    """The answer to a chat request: one entity, the longest word of the text that it asks about."""
    messages: list[dict[str, Any]] = request.body["messages"]
    # The text stands on the lines between an opening and a closing tag.
    asked = str(messages[-1]["content"]).splitlines()[1:-1]
    longest = max(" ".join(asked).split(), key=len, default="")
    return json.dumps({"entities": [{"text": longest, "label": "Word"}]})


if __name__ == "__main__":
    with ScriptedLlm(Abilities(logprobs=False), delay=float(sys.argv[1])) as server:
        server.remember_requests = False
        server.say = mark_longest_word
        print(server.url, flush=True)
        for line in sys.stdin:
            server.delay = float(line)
