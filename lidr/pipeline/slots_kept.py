"""How many of an iteration's slots are still pairs: a run warns where few are, and stops where none is."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from lidr.errors import RowError
from lidr.pipeline.planned import DONE, Plan, PlannedStep
from lidr.rows import Pair
from lidr.steps import LITTLE_KEPT
from lidr.store import Record, read_record

_SETTINGS = {
    "translation_truncated": "translate.max_tokens, and translate.retry",
    "translation_unclosed_at_end": "pair.accept",
    "translation_wrong_language": "translate.by (another translator), or translate.check_language where it errs",
    "translation_copied_source": "translate.by (another translator), and translate.retry",
    "translation_empty": "translate.by (another translator), and translate.retry",
    "translation_refused": "translate.by (another translator), and translate.retry",
    "translation_failed_upstream": "generate: the answer that was to be translated is missing",
    "translation_ok": "pair.accept",
    "other_direction_failed": "pair.drop (independent takes only the pair that needs the translation)",
    "truncated_response": "generate.max_tokens, or pair.truncated",
    "empty_response": "generate, and the policy's chat template",
    "prompt_too_long": "generate.max_tokens and the length of the prompts: they share the model's window",
    "content_filter": "policy.model: a filter of its server took the answer, or the prompt",
    "refused": "policy.model: its server, or the model, would not answer the prompt",
    "unreadable": "policy.model: what its server sent for the prompt was no answer, each time",
    "too_few_scored": "generate.n, and the scorer in score: fewer than two answers of a prompt have a score",
    "tied": "generate.n and generate.temperature, or another scorer in score: all answers score the same",
    "identical": "policy.model: its answers do not differ between the languages",
    "empty_prompt": "prompts.source",
    "duplicate_prompt": "prompts.source",
    "untranslated_prompt": "prompts.translate",
    "repetition_lines": "filter.repetition.lines",
    "repetition_ngram": "filter.repetition.ngram",
    "script_share": "filter.script.min_share",
    "language": "filter.language.min_confidence",
    "contaminated": "clean.decontaminate",
    "exact_duplicate": "clean.exact",
    "near_duplicate": "clean.near.threshold",
    "uncertain_reward": "weigh.uncertain",
    "over_long": "train.max_length",
    "train.prompt_too_long": "train.max_length",
    "empty_completion": "generate and translate: an answer is empty",
    "equal_completions": "pair: chosen and rejected are the same text",
    "prompt_mismatch": "policy.chat_template.training",
    "template_refused": "policy.chat_template.file: it refuses the conversation, as of a system message",
    "pairs.*": "pairs.columns, and the set itself",
}
"""Reason of a drop -> the setting to look at; with the step before it where it depends on that. Any other reason is a
setting of the step that drops."""


@dataclass(frozen=True)
class KeptShare:
    """Of one iteration so far.

    Args:
        kept: pairs.
        requested: slots that the recipe asks for.
        reasons: (step, reason) -> how many slots it took, the most first.
        last: where none is kept, the reason for which most of the last ones went, and how many went with them.
    """

    iteration: int
    kept: int
    requested: int
    reasons: tuple[tuple[tuple[str, str], int], ...]
    last: tuple[tuple[str, str], int] | None = None

    @property
    def share(self) -> float:
        """0-1; 1 where nothing was asked for."""
        return self.kept / self.requested if self.requested else 1.0


def setting_of(step: str, reason: str) -> str:
    """The setting to look at where much is dropped for this reason."""
    names = (f"{step}.{reason}", f"{step}.*", reason)
    return next((_SETTINGS[name] for name in names if name in _SETTINGS), f"{step}.{reason}")


def kept_share(planned: Plan, iteration: int) -> KeptShare | None:
    """What the records of an iteration say so far; None before its first pairs."""
    records: list[Record] = []
    for step in planned.steps:
        if step.iteration == iteration and (record := read_record(planned.folder(step))) is not None:
            records.append(record)
    with_pairs = [record for record in records if record.writes == Pair.name]
    if not with_pairs:
        return None
    kept = _kept(with_pairs[-1])
    lost: Counter[tuple[str, str]] = Counter()
    for record in records:
        lost += _lost(record)
    emptied = next((_lost(record) for record in with_pairs if not _kept(record) and _lost(record)), None)
    last = (emptied.most_common(1)[0][0], emptied.total()) if emptied else None
    return KeptShare(iteration, kept, kept + lost.total(), tuple(lost.most_common()), last)


def _kept(record: Record) -> int:
    return sum(row["count"] for row in record.counts.get("kept", ()))


def _lost(record: Record) -> Counter[tuple[str, str]]:
    """(step, reason) -> how many slots it took; none that took none."""
    lost: Counter[tuple[str, str]] = Counter()
    for row in record.counts.get("dropped", ()):
        lost[record.step, row["reason"]] += row["count"]
    return +lost


def _look_at(step: str, reason: str) -> str:
    return f"look at {setting_of(step, reason)}"


def is_last_of_pairs(planned: Plan, step: PlannedStep) -> bool:
    """Whether no later step of the iteration writes pairs."""
    writes = [one for one in planned.steps if one.iteration == step.iteration and one.kind.writes is Pair]
    return bool(writes) and writes[-1].place == step.place


def little_kept(planned: Plan, step: PlannedStep) -> str | None:
    """What to say where few slots are kept.

    Raises:
        RowError: too few to go on with, or to end with, unless what follows is there already.
    """
    found = kept_share(planned, step.iteration)
    if found is None or not found.requested:
        return None
    limits = [s.config.min_kept for s in planned.recipe.chain if hasattr(s.config, "min_kept")]
    given = next((limit for limit in limits if limit is not None), None)
    least = LITTLE_KEPT if given is None else given
    stops = found.kept == 0 if given is None else found.share < given
    if not stops and found.share >= least:
        return None
    (where, reason), count = found.reasons[0]
    is_harmless = reason == "identical" and found.kept and not stops
    advice = "answers alike in both languages teach nothing" if is_harmless else _look_at(where, reason)
    said = (
        f"iteration {step.iteration}: {found.kept:,} of {found.requested:,} slots are kept ({found.share:.0%}). "
        f"Most go to {where}: {reason} ({count:,}); {advice}"
    )
    if found.last is not None and found.last[0][0] != where:
        (last, why), number = found.last
        said += f". The last {number:,} go to {last}: {why}; {_look_at(last, why)}"
    position = [one.place for one in planned.steps].index(step.place)
    follows = planned.steps[position + 1 :]
    is_cut = not any(one.name == planned.recipe.chain[-1].name for one in (step, *follows))  # --until ends it before
    left = [one.state for one in follows if one.state != "skipped"]
    went_on = bool(left) and set(left) <= {*DONE} and not is_cut  # what follows is there: it was made all the same
    if stops and not went_on and least > 0:
        limit = "pair.min_kept is the smallest share to go on with (0 goes on with none)"
        raise RowError(f"{said}. All that was made stays; {limit if limits else 'without a pair a run cannot go on'}")
    return said if least > 0 else None
