"""What the model is asked about a text, and what its answer means for Label Studio."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, cast

from allabel_core.answers import render_answer
from allabel_core.chunking import Chunk, estimate_tokens, split_text
from allabel_core.grounding import GroundingPolicy, Occurrences, learn_policy
from allabel_core.prompting import (
    Form,
    LabelSet,
    Prompt,
    build_prompt,
    fit_demonstrations,
    prompt_tokens,
)
from allabel_core.retrieval import DemonstrationIndex
from allabel_core.types import Document, Relation, Span

from ..errors import LanguageModelError
from ..labeling.label_config import LabelingInterface, parse_label_config
from ..labeling.results import result_from_spans
from ..ports import (
    Answer,
    FailureKind,
    LanguageModel,
    ModelAnswer,
    ProjectSettings,
    StoredDemonstration,
    Suggestion,
)
from .reading import certainty, read_part, understand
from .tools import Tools

# Beside a chunk there must be room for demonstrations, and for an answer several times as long as it.
_CHUNK_SHARE = 1 / 8
_SHORTEST_CHUNK = 64
_OVERLAP_SHARE = 1 / 8
MOST_KEPT = 4


class Part(NamedTuple):
    """One prompt of a question: about ``chunk`` of the text, with these demonstrations, so similar to it."""

    chunk: Chunk
    prompt: Prompt
    demonstrations: tuple[StoredDemonstration, ...]
    similarities: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Question:
    """What the model is to be asked about a text, in several parts where the text is long.

    ``recipe`` identifies all that shapes the suggestion; ``basis`` the demonstrations alone.
    """

    parts: tuple[Part, ...]
    recipe: str
    basis: str

    @property
    def prompts(self) -> list[Prompt]:
        return [part.prompt for part in self.parts]

    @property
    def demonstrations(self) -> list[int]:
        """Their task ids, each once."""
        return _task_ids(self.parts)

    @property
    def similarities(self) -> list[float]:
        """Of each demonstration to the part of the text that it is nearest to."""
        nearest: dict[int, float] = {}
        for part in self.parts:
            for shown, similarity in zip(part.demonstrations, part.similarities, strict=True):
                nearest[shown.task_id] = max(similarity, nearest.get(shown.task_id, similarity))
        return [nearest[task_id] for task_id in self.demonstrations]


class Reading(NamedTuple):
    """A suggestion, not yet calibrated, and how many answers and mentions of which kind it came from."""

    suggestion: Suggestion
    tally: Mapping[str, int]


class Preannotator:
    """Asks about the texts of one project as it is now: labels, instructions, demonstrations."""

    def __init__(
        self,
        tools: Tools,
        interface: LabelingInterface,
        instructions: str,
        demonstrations: Sequence[StoredDemonstration],
        settings: ProjectSettings,
    ) -> None:
        self._tools = tools
        self.interface = interface
        self._settings = settings
        self.labels = LabelSet(
            labels=interface.labels,
            hints=tuple(interface.hints.items()),
            instructions=instructions,
            relation_labels=_relation_labels(interface),
        )
        self.form = _form(tools.model)
        self._longest_answer = tools.model.longest_answer() if tools.model else None
        self._chunk_tokens = self._tokens_per_chunk()
        self._digests = {shown.task_id: _digest(shown.to_json()) for shown in demonstrations}
        self._policy = _policy([shown.document for shown in demonstrations], settings.occurrences)
        self._passages = [
            StoredDemonstration(shown.task_id, passage)
            for shown in demonstrations
            for passage in passages(shown.document, self._chunk_tokens)
        ]
        self._index = self._built_index()

    @classmethod
    def of_project(
        cls, tools: Tools, project_id: int, settings: ProjectSettings | None = None
    ) -> Preannotator:
        """As the store knows the project now; ``settings`` in place of its own.

        The one used last is used again where nothing has changed: with a thousand demonstrations,
        building it takes longer than reading a dozen answers.
        """
        store, kept = tools.store, tools.preannotators
        label_config = store.fact(project_id, "label_config") or ""
        instructions = store.fact(project_id, "instructions") or ""
        chosen = settings or store.settings(project_id)
        version = store.demonstrations_version(project_id)
        model = tools.model
        with_model = (model, model and (model.context_window, model.longest_answer()), _form(model))
        built_from = (label_config, instructions, chosen, version, with_model, tools.samples, tools.templates)
        before = kept.pop(project_id, None)
        if before is not None and before[0] == built_from:
            made = before[1]
        else:
            demonstrations = store.demonstrations(project_id)
            made = cls(tools, parse_label_config(label_config), instructions, demonstrations, chosen)
        kept[project_id] = (built_from, made)
        if len(kept) > MOST_KEPT:
            del kept[next(iter(kept))]
        return made

    def _built_index(self) -> DemonstrationIndex:
        settings, documents = self._settings, [shown.document for shown in self._passages]
        chosen = settings.similarity if settings.retrieval == "similarity" else settings.retrieval
        costs = [self.demonstration_cost(document) for document in documents]
        return DemonstrationIndex(
            [document.text for document in documents],
            chosen,
            encode=self._tools.encoder,
            tokenizer=settings.tokenizer,
            labels=[frozenset(span.label for span in document.spans) for document in documents],
            costs=costs if settings.demonstration_tokens else None,
        )

    def _tokens_per_chunk(self) -> int:
        if self._tools.model is None:
            return 2**31
        empty = build_prompt(self.labels, [], "", templates=self._tools.templates)
        room = (self._tools.model.context_window - self._tokens(empty)) * _CHUNK_SHARE
        if self._longest_answer:
            # An answer may be allowed twice as many tokens as its text has.
            room = min(room, (self._longest_answer - empty.answer_limit(self.form)) / 2)
        return max(_SHORTEST_CHUNK, int(room))

    def _tokens(self, prompt: Prompt) -> int:
        """Of the prompt and its longest answer."""
        return prompt_tokens(prompt, form=self.form) + prompt.answer_limit(self.form)

    def demonstration_cost(self, document: Document) -> int:
        """Tokens that a demonstration adds to a prompt, by estimate."""
        answer = render_answer(document, self.labels, form=self.form)
        return estimate_tokens(document.text) + estimate_tokens(answer)

    def basis(self, task_ids: Sequence[int]) -> str | None:
        """Identifies these demonstrations as they are annotated now; None where one is gone."""
        if any(task_id not in self._digests for task_id in task_ids):
            return None
        return _digest([[task_id, self._digests[task_id]] for task_id in task_ids]) if task_ids else ""

    def question(self, text: str) -> Question:
        """The prompt for a text, with as many of its nearest demonstrations as the model can take in.

        A text that leaves no room for its answer, or, being long, for any demonstration, is asked
        about chunk by chunk, each with demonstrations of its own.
        """
        whole = self._part(text, Chunk(0, len(text), 0, len(text)))
        parts: tuple[Part, ...] = (whole,)
        if self._must_be_split(text, whole):
            overlap = int(self._chunk_tokens * _OVERLAP_SHARE)
            chunks = split_text(text, self._chunk_tokens, overlap_tokens=overlap)
            parts = tuple(self._part(text, chunk) for chunk in chunks) or parts
        return Question(parts, self._recipe(parts), self.basis(_task_ids(parts)) or "")

    def _must_be_split(self, text: str, whole: Part) -> bool:
        model = self._tools.model
        if model is None or estimate_tokens(text) <= self._chunk_tokens:
            return False
        if self._longest_answer and whole.prompt.answer_limit(self.form) > self._longest_answer:
            return True
        alone = bool(self._passages) and self._wants_demonstrations() and not whole.demonstrations
        return alone or self._tokens(whole.prompt) > model.context_window

    def _wants_demonstrations(self) -> bool:
        return self._settings.k > 0 or self._settings.demonstration_tokens > 0

    def _part(self, text: str, chunk: Chunk) -> Part:
        asked = text[chunk.start : chunk.end]
        shown = self._nearest(asked)
        templates = self._tools.templates
        if self._tools.model is not None:
            fitting = fit_demonstrations(
                self.labels,
                [each.document for each, _ in shown],
                asked,
                context_tokens=self._tools.model.context_window,
                form=self.form,
                templates=templates,
            )
            shown = [each for each in shown if any(each[0].document is fits for fits in fitting)]
        prompt = build_prompt(self.labels, [each.document for each, _ in shown], asked, templates=templates)
        return Part(chunk, prompt, tuple(each for each, _ in shown), tuple(near for _, near in shown))

    def _nearest(self, text: str) -> list[tuple[StoredDemonstration, float]]:
        settings = self._settings
        found = self._index.nearest(
            text,
            None if settings.demonstration_tokens else settings.k,
            token_budget=settings.demonstration_tokens or None,
            varied=settings.varied,
            cover_labels=settings.cover_labels,
        )
        return [(self._passages[each.corpus_index], each.similarity) for each in found]

    def _recipe(self, parts: Sequence[Part]) -> str:
        asked = [
            [part.chunk, [[m.role, m.content] for m in part.prompt.messages], part.prompt.schema]
            for part in parts
        ]
        model = self._tools.model.model + self._tools.model.variant if self._tools.model else ""
        return _digest([model, self._tools.samples, asked, self._policy.occurrences, self._policy.overlaps])

    def read(self, task_id: int, text: str, question: Question, answers: Sequence[Answer]) -> Reading:
        """The answers, one a part, as regions of the text; what has no place in it is counted, not shown."""
        chunks = [part.chunk for part in question.parts]
        parts = [
            read_part(
                text[part.chunk.start : part.chunk.end],
                answer,
                self.labels,
                self._policy,
                [shown.document for shown in part.demonstrations],
            )
            for part, answer in zip(question.parts, answers, strict=True)
        ]
        found = understand(chunks, parts)
        spans = [grounded.span for grounded in found.grounding.spans]
        regions = result_from_spans(
            self.interface, text, spans, scores=found.scores, relations=found.grounding.relations
        )
        sure = certainty(answers, found.scores)
        suggestion = Suggestion(
            task_id=task_id,
            result=[],
            recipe=question.recipe,
            demonstrations=question.demonstrations,
            problem=_problem(answers, found.tally),
            rejected=found.rejected,
            regions=regions,
            evidence=found.evidence,
            certainty=sure,
            answer=ModelAnswer(regions, found.evidence, sure),
            basis=question.basis,
            corpus=len(self._digests),
            similarities=question.similarities,
        )
        return Reading(suggestion, found.tally)


def _problem(answers: Sequence[Answer], tally: Mapping[str, int]) -> FailureKind | None:
    """What is wrong with answers that were read as far as they go."""
    if tally.get("answers_not_json"):
        return "malformed"
    cut = any(answer.truncated for answer in answers) or tally.get("answers_truncated")
    return "truncated" if cut else None


def _task_ids(parts: Sequence[Part]) -> list[int]:
    return list(dict.fromkeys(shown.task_id for part in parts for shown in part.demonstrations))


def passages(document: Document, max_tokens: int) -> list[Document]:
    """A demonstration that is short enough as it is, else in pieces, each with the spans inside it."""
    pieces = split_text(document.text, max_tokens) if estimate_tokens(document.text) > max_tokens else ()
    return [_passage(document, piece) for piece in pieces] if len(pieces) > 1 else [document]


def _passage(document: Document, piece: Chunk) -> Document:
    inside = [i for i, s in enumerate(document.spans) if piece.start <= s.start and s.end <= piece.end]
    place = {i: n for n, i in enumerate(inside)}
    spans = (document.spans[i] for i in inside)
    return Document(
        document.text[piece.start : piece.end],
        tuple(Span(s.start - piece.start, s.end - piece.start, s.label) for s in spans),
        tuple(
            Relation(place[link.source], place[link.target], link.label)
            for link in document.relations
            if link.source in place and link.target in place
        ),
    )


def _policy(documents: Sequence[Document], occurrences: str) -> GroundingPolicy:
    learned = learn_policy(documents)
    return (
        learned if occurrences == "learned" else replace(learned, occurrences=cast(Occurrences, occurrences))
    )


def _relation_labels(interface: LabelingInterface) -> tuple[str, ...]:
    """Where relations bear no label, each has the label ""."""
    return () if interface.relation_labels is None else interface.relation_labels or ("",)


def _form(model: LanguageModel | None) -> Form:
    """The form a model is asked in; a guess while the model cannot be reached, and no answer comes anyway."""
    if model is None:
        return "chat"
    try:
        return model.form()
    except LanguageModelError:
        return "chat"


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:32]
