"""translate: the same policy translates its own answers, d -> xx and xx -> d, with the paper's prompt and prefill.

responses      bees-1  es  Las abejas hacen miel.
translations   bees-1  es -> en  Bees make honey.   ok   1 attempt
"""

from __future__ import annotations

from pydantic import Field

from lidr.recipe.schema import Frozen
from lidr.rows import Translation, TranslationStatus
from lidr.steps.answering import Answering
from lidr.steps.kind import Expected, Outcome, Policy, Scale, StepRun


class Retry(Frozen):
    """What is tried again when a translation failed; no two tries are alike."""

    times: int = Field(0, ge=0, le=5)
    """How often: first with more tokens if it was truncated, then paragraph by paragraph, then at a temperature."""
    max_tokens: int | None = Field(None, ge=1)
    """Longest translation in a retry, tokens; null: twice as many."""
    temperature: float = Field(0.7, gt=0)
    """Of the last kind of retry."""
    statuses: tuple[TranslationStatus, ...] = ("truncated", "empty", "refused", "copied_source", "wrong_language")
    """What counts as failed here. An answer that only lacks its closing tag is whole, so it is not in this list."""


class TranslateConfig(Frozen):
    """How the policy translates."""

    max_tokens: int = Field(ge=1)
    """Longest translation, tokens."""
    temperature: float = Field(0.0, ge=0)
    """0 is greedy."""
    top_p: float = Field(1.0, gt=0, le=1)
    """Nucleus sampling, above temperature 0."""
    repetition_penalty: float = Field(1.0, gt=0)
    """1 is none, as the authors translated."""
    check_language: bool = True
    """Whether a text that is confidently in another language than asked for is `wrong_language`."""
    retry: Retry = Retry()


def run_translate(run: StepRun) -> Outcome:
    """Translate every response, failed ones again by the recipe's retries; one engine start for all of it."""
    import pyarrow as pa

    from lidr.steps.tries import counts_of, is_due, items_of, requests_of, take

    config: TranslateConfig = run.config
    items = list(items_of(run))
    with Answering(run) as answering:
        for number in range(config.retry.times + 1):
            requests = {item.key: requests_of(run, item, number) for item in items if is_due(item, config, number)}
            flat = [request for batch in requests.values() for request in batch]
            if number == 0:
                run.progress.start(len(flat), "requests", done=answering.known(flat))
            else:
                run.progress.more(len(flat), done=answering.known(flat))
            answers = answering.ask(flat)
            for item in items:
                if batch := requests.get(item.key):
                    take(run, item, [answers[request.key] for request in batch])
    policy = run.inputs[Policy.name].name
    columns = ("prompt_id", "source", "target", "raw", "attempts")
    rows = [
        {name: getattr(item, name) for name in columns}
        | {"text": item.parsed.text, "status": item.parsed.status, "policy": policy}
        for item in items
    ]
    run.out.data.write(pa.Table.from_pylist(rows, Translation.schema))
    return Outcome(counts_of(items), run.progress.rate())


def expect_translate(config: TranslateConfig, scale: Scale) -> Expected:
    """2 N L requests, and retries for those that fail."""
    requests = scale.slots
    note = "+ retries" if config.retry.times else ""
    return Expected(requests, "requests", requests * config.max_tokens, note)
