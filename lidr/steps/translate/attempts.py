"""The attempts at each translation: who is due, what is asked, what was read. The step itself is `translate`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lidr.engines import ChatRequest, Completion, Message, Sampling
from lidr.languages import LANGUAGES
from lidr.rows import TRANSLATION_STATUSES, Response, TranslationStatus
from lidr.steps.answering import request_seed
from lidr.steps.step_kind import StepRun
from lidr.steps.translate.translate_config import TranslateConfig
from lidr.transforms import (
    PREFILL,
    Attempt,
    Parsed,
    has_words,
    parse_paragraphs,
    read_untagged,
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
    parsed: Parsed
    raw: str = ""
    attempts: int = 0
    first_status: TranslationStatus = "truncated"  # of the first attempt; it decides what the later ones change

    @property
    def key(self) -> str:
        """`bees-1/es->en`."""
        return f"{self.prompt_id}/{self.source}->{self.target}"


def pending_of(run: StepRun) -> Iterator[PendingTranslation]:
    """Every response of a prompt on its way: d into each other language, each other language into d."""
    languages = run.recipe.languages
    for batch in run.inputs[Response.name].batches(4096):
        for row in batch.to_pylist():
            source = row["language"]
            targets = languages.others if source == languages.dominant else (languages.dominant,)
            for target in targets:
                text = "" if row["finish_reason"] == "prompt_too_long" else row["text"]
                yield PendingTranslation(row["prompt_id"], source, target, text, Parsed("", "failed_upstream"))


def is_due(item: PendingTranslation, config: TranslateConfig, number: int) -> bool:
    """Whether an item takes part in this attempt: all that can in the first, then those that failed."""
    if number == 0:
        return bool(item.response.strip())
    return item.attempts > 0 and item.parsed.status in config.retry.statuses


def requests_of(run: StepRun, item: PendingTranslation, number: int) -> list[ChatRequest]:
    """The requests of one attempt: one, or one for each paragraph or, of a model that only translates, each line."""
    config: TranslateConfig = run.config
    attempt = _attempt(config, item, number)
    if is_untagged(config):
        pieces = [piece for piece in split_lines(item.response) if has_words(piece)]
    else:
        pieces = split_paragraphs(item.response) if attempt.split else [item.response]
    return [
        ChatRequest(
            key=(key := f"{item.key}/{number}.{part}"),
            sampling=Sampling(
                max_tokens=attempt.max_tokens,
                temperature=attempt.temperature,
                top_p=config.top_p,
                repetition_penalty=config.repetition_penalty,
                seed=request_seed(run.recipe.seed + attempt.seed, key),
            ),
            **_asked(run, item, piece.strip()),
        )
        for part, piece in enumerate(pieces)
    ]


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
    return {"messages": messages, "prefill": PREFILL if by is None or by.prefill else None}


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


def read_answers(run: StepRun, item: PendingTranslation, answers: Sequence[Completion]) -> None:
    """Read one attempt's answers: one, or one for each paragraph or line."""
    config: TranslateConfig = run.config
    said = [(answer.text, answer.finish_reason) for answer in answers]
    target, candidates = item.target if config.check_language else None, run.recipe.languages.all
    if is_untagged(config):
        parsed = read_untagged(said, item.response, target=target, candidates=candidates)
    else:
        pieces = split_paragraphs(item.response) if len(answers) > 1 else [item.response]
        parsed = parse_paragraphs(said, pieces, target=target, candidates=candidates)
    if item.attempts == 0:
        item.first_status = parsed.status
    if item.attempts == 0 or parsed.status in ("ok", "unclosed_at_end"):  # a retry that failed too is no better
        item.parsed, item.raw = parsed, "\n\n".join(answer.text for answer in answers)
    item.attempts += 1


def translation_counts(items: Sequence[PendingTranslation]) -> dict[str, Any]:
    """Statuses by direction, and how many needed how many attempts."""
    statuses: dict[str, Counter[str]] = {}
    for item in items:
        statuses.setdefault(f"{item.source}->{item.target}", Counter())[item.parsed.status] += 1
    attempts = Counter(str(item.attempts) for item in items)
    return {
        "directions": {name: {s: counter[s] for s in TRANSLATION_STATUSES} for name, counter in statuses.items()},
        "attempts": dict(sorted(attempts.items())),
    }
