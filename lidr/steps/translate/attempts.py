"""The attempts at each translation: who is due, what is asked, what was read. The step itself is `translate`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lidr.engines import ChatRequest, Completion, Message, Sampling
from lidr.languages import LANGUAGES
from lidr.recipe import TranslateConfig
from lidr.rows import SAMPLE, TRANSLATION_STATUSES, UNANSWERED, Response, TranslationStatus, answer_key
from lidr.steps.answering import request_seed
from lidr.steps.score import AnswerScores, best_answers, scorer_of
from lidr.steps.step_kind import StepRun
from lidr.steps.translate.readers import Readers
from lidr.store import ROWS_AT_ONCE
from lidr.transforms import (
    PREFILL,
    Attempt,
    Unchecked,
    has_words,
    read_lines,
    read_paragraphs,
    retry_plan,
    split_lines,
    split_paragraphs,
    translation_messages,
)


@dataclass
class PendingTranslation:
    """One response on its way into one language, and the best that its attempts gave so far."""

    prompt_id: str
    source: str
    target: str
    response: str
    sample: int | None = None  # which of several answers to the prompt
    status: TranslationStatus = "failed_upstream"
    first_status: TranslationStatus = "truncated"  # of the first attempt; it decides what the later ones change
    attempts: int = 0
    best: int = 0  # the attempt that text, raw and reasoning are of
    text: str = ""
    raw: str = ""
    reasoning: str = ""  # what was thought before it
    reasoning_tokens: int = 0

    @property
    def key(self) -> str:
        """`bees-1/es->en`; of several answers, `bees-1/es#2->en`."""
        return f"{answer_key(self.prompt_id, self.source, self.sample)}->{self.target}"


class Standings:
    """How far each translation came: four bytes for each, by its number. Texts stay on disk, in the answers."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def put(self, number: int, item: PendingTranslation) -> None:
        """Keep where an item stands."""
        here = bytes((item.attempts, item.best, *map(TRANSLATION_STATUSES.index, (item.status, item.first_status))))
        if missing := 4 * number - len(self._bytes):
            self._bytes.extend(bytes(max(0, missing)))
        self._bytes[4 * number : 4 * number + 4] = here

    def stand(self, number: int, item: PendingTranslation) -> PendingTranslation:
        """The item as it was kept; one that was not kept is as it came."""
        here = self._bytes[4 * number : 4 * number + 4]
        if any(here[:1]):  # an attempt was made
            item.attempts, item.best = here[:2]
            item.status, item.first_status = (TRANSLATION_STATUSES[one] for one in here[2:])
        return item


def pending_of(run: StepRun) -> Iterator[PendingTranslation]:
    """Every response of a prompt on its way: d into each other language, each other language into d."""
    languages = run.recipe.languages
    wanted = _chosen(run)
    for batch in run.inputs[Response.name].batches(ROWS_AT_ONCE):
        for row in batch.to_pylist():
            if wanted is not None and (row["prompt_id"], row["language"], row.get(SAMPLE)) not in wanted:
                continue
            source = row["language"]
            targets = languages.others if source == languages.dominant else (languages.dominant,)
            for target in targets:
                text = "" if row["finish_reason"] in UNANSWERED else row["text"]
                yield PendingTranslation(row["prompt_id"], source, target, text, sample=row.get(SAMPLE))


def _chosen(run: StepRun) -> set[tuple[Any, ...]] | None:
    """Prompt, language and number of the answers that are translated; None: all."""
    import polars as pl

    if run.config.best_by is None:
        return None
    scorer = scorer_of(run.around, run.config.best_by, "translate.best_by")
    scores = pl.DataFrame(run.inputs[AnswerScores.name].read()).filter(scorer=scorer)
    return set(best_answers(scores, dominant=run.recipe.languages.dominant).rows())


def is_due(item: PendingTranslation, config: TranslateConfig, number: int) -> bool:
    """Whether an item takes part in this attempt: all that can in the first, then those that failed."""
    if number == 0:
        return bool(item.response.strip())
    return item.attempts > 0 and item.status in config.retry.statuses


def requests_of(run: StepRun, item: PendingTranslation, number: int) -> list[ChatRequest]:
    """The requests of one attempt: one, or one for each paragraph or, of a model that only translates, each line."""
    config: TranslateConfig = run.config
    attempt = _attempt(config, item, number)
    return [
        ChatRequest(
            key=key,
            sampling=Sampling(
                max_tokens=attempt.max_tokens,
                temperature=attempt.temperature,
                top_p=config.top_p,
                repetition_penalty=config.repetition_penalty,
                top_k=config.top_k,
                min_p=config.min_p,
                presence_penalty=config.presence_penalty,
                seed=request_seed(run.recipe.seed + attempt.seed, key),
            ),
            **_asked(run, item, piece.strip()),
        )
        for key, piece in _pieces(config, item, number).items()
    ]


def keys_of(config: TranslateConfig, item: PendingTranslation, number: int) -> list[str]:
    """The keys of one attempt's requests."""
    return list(_pieces(config, item, number))


def _pieces(config: TranslateConfig, item: PendingTranslation, number: int) -> dict[str, str]:
    """What one attempt asks, by the keys of its requests."""
    if is_untagged(config):
        pieces = [piece for piece in split_lines(item.response) if has_words(piece)]
    elif number and _attempt(config, item, number).split:
        pieces = split_paragraphs(item.response)
    else:
        pieces = [item.response]
    return {f"{item.key}/{number}.{part}": piece for part, piece in enumerate(pieces)}


def is_untagged(config: TranslateConfig) -> bool:
    """Whether the answers are translations and nothing else: those of a model that only translates."""
    return config.by is not None and not config.by.is_chat


def _asked(run: StepRun, item: PendingTranslation, text: str) -> dict[str, Any]:
    """What one piece is asked with: the paper's prompt, or the text and its direction alone."""
    by = run.config.by
    if is_untagged(run.config):
        user: Message = {"role": "user", "content": text}
        return {"messages": (user,), "direction": (item.source, item.target)}
    system = _system(run.recipe.system_prompt if by is None else by.system_prompt)
    messages = (*system, *translation_messages(text, LANGUAGES[item.target].name))
    server = run.recipe.policy.openai
    is_started = by.prefill if by else server is None or server.prefill
    return {"messages": messages, "prefill": PREFILL if is_started else None}


def _attempt(config: TranslateConfig, item: PendingTranslation, number: int) -> Attempt:
    assert config.max_tokens is not None  # only a file has none
    plan = retry_plan(
        config.retry.times,
        max_tokens=config.max_tokens,
        retry_max_tokens=config.retry.max_tokens,
        paragraphs=1 if is_untagged(config) else len(split_paragraphs(item.response)),
        status=item.first_status,
        temperature=config.temperature,
        retry_temperature=config.retry.temperature,
    )
    return plan[number]


def _system(prompt: str | None) -> tuple[Message, ...]:
    return () if prompt is None else ({"role": "system", "content": prompt},)


def read_answers(
    run: StepRun, items: Sequence[PendingTranslation], answers: Sequence[Sequence[Completion]], readers: Readers
) -> None:
    """Read one attempt's answers: of each item one, or one for each paragraph or line."""
    config: TranslateConfig = run.config
    read = [_read(config, item, said) for item, said in zip(items, answers, strict=True)]
    targets = [item.target if config.check_language else None for item in items]
    replicas, _ = run.progress.replicas or (1, 1)
    found = readers.checked(read, targets, run.recipe.languages.all, replicas=replicas)
    for item, parsed in zip(items, found, strict=True):
        if item.attempts == 0:
            item.first_status = parsed.status
        if item.attempts == 0 or parsed.status in ("ok", "unclosed_at_end"):  # a retry that failed too is no better
            item.best, item.status = item.attempts, parsed.status
        item.attempts += 1


def with_texts(config: TranslateConfig, item: PendingTranslation, answers: Sequence[Completion]) -> PendingTranslation:
    """The item with what the answers of its best attempt say."""
    item.text, item.raw = _read(config, item, answers).text, "\n\n".join(answer.text for answer in answers)
    item.reasoning = "\n\n".join(answer.reasoning for answer in answers if answer.reasoning)
    item.reasoning_tokens = sum(answer.reasoning_tokens for answer in answers)
    return item


def _read(config: TranslateConfig, item: PendingTranslation, answers: Sequence[Completion]) -> Unchecked:
    said = [(answer.text, answer.finish_reason) for answer in answers]
    if any(answer.finish_reason in UNANSWERED and answer.finish_reason != "prompt_too_long" for answer in answers):
        return Unchecked("", "refused")  # by the server, not in the model's words
    if is_untagged(config):
        return read_lines(said, item.response)
    return read_paragraphs(said, split_paragraphs(item.response) if len(answers) > 1 else [item.response])


class TranslationCounts:
    """Statuses by direction, and how many needed how many attempts."""

    def __init__(self) -> None:
        self._statuses: dict[str, Counter[str]] = {}
        self._attempts: Counter[str] = Counter()

    def add(self, item: PendingTranslation) -> None:
        """Count one translation."""
        self._statuses.setdefault(f"{item.source}->{item.target}", Counter())[item.status] += 1
        self._attempts[str(item.attempts)] += 1

    @property
    def counts(self) -> dict[str, Any]:
        """As they stand in a record."""
        statuses = {name: {s: counter[s] for s in TRANSLATION_STATUSES} for name, counter in self._statuses.items()}
        return {"directions": statuses, "attempts": dict(sorted(self._attempts.items()))}
