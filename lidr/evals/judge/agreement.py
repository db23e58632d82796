"""How far a judge can be trusted: ask it about each item three times and compare its answers with each other.

items = items_of(Path("runs/demo/0.1.0/iter_1/evaluate"), against=None, data=None, limit=50)
report = check_judge(items, settings)         # calls_of(items, settings) says beforehand what it costs

Asked again means: the same question, kept apart by the cache, with another `seed` in the request. Where the judge reads
log-probabilities or answers greedily, a server may well repeat itself exactly: then the number says that it is
deterministic, and no more. Give the judge a temperature to see how firm its verdicts are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lidr.errors import EvaluationError
from lidr.evals.benchmark_rows import load_rows
from lidr.evals.judge.agreement_statistics import Across, Asked, across, of_language
from lidr.evals.judge.judge_cache import answers_in
from lidr.evals.judge.judge_client import Reply
from lidr.evals.judge.judge_comparisons import collect, order_of, reasons
from lidr.evals.judge.judge_template import comparing_template
from lidr.evals.judge.question import Question, facts_of, question
from lidr.evals.judge.settings import JudgeSettings
from lidr.evals.judge.verdicts import Comparison
from lidr.evals.model_outputs import Output, OutputSet, pairs_of, read_outputs
from lidr.evals.results import JudgeFacts
from lidr.evals.statistics import Estimate

CALLS_PER_ITEM = 3

Items = Mapping[str, Sequence[Comparison]]
"""Language -> comparisons; the key of a comparison is its item, the same in every language."""


@dataclass(frozen=True)
class JudgeReport:
    """What was found.

    Args:
        numbers: language -> name -> estimate: see lidr.evals.judge.agreement_statistics.
        across: every two languages.
        errors: language -> why items have no preference in one of their three questions, one text each.
        items: language -> number of items asked.
    """

    judge: JudgeFacts
    numbers: Mapping[str, Mapping[str, Estimate]]
    across: Sequence[Across]
    errors: Mapping[str, Sequence[str]]
    items: Mapping[str, int]

    @property
    def error_share(self) -> float:
        """Share of questions without a preference."""
        return sum(map(len, self.errors.values())) / max(1, CALLS_PER_ITEM * sum(self.items.values()))

    def as_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "judge": self.judge.model_dump(mode="json"),
            "languages": {
                code: {
                    "items": self.items[code],
                    "errors": len(self.errors[code]),
                    "reasons": reasons(self.errors[code]),
                    **{name: estimate.as_json() for name, estimate in found.items()},
                }
                for code, found in self.numbers.items()
            },
            "across": [pair.as_json() for pair in self.across],
        }


def items_of(
    outputs: Path, *, against: Path | None, data: str | None, limit: int | None, languages: Sequence[str] | None = None
) -> dict[str, list[Comparison]]:
    """Read what is to be judged; equal outputs are left out, since a judge is never asked about them.

    Args:
        outputs: a results folder with x_alpacaeval answers, or files in alpaca_eval's form.
        against: the same, of another model; None for the benchmark's reference answers.
        data: where those stand, as for `lidr eval run`.
        limit: only the first items of each language.
        languages: only these.

    Raises:
        EvaluationError: nothing to judge, or the two do not answer the same instructions.
    """
    ours = read_outputs(outputs)
    theirs = read_outputs(against) if against is not None else None
    there = [code for code in ours.by_language if theirs is None or code in theirs.by_language]
    if missing := [code for code in languages or () if code not in there]:
        raise EvaluationError(f"{outputs}: no answers in {', '.join(missing)}; languages there: {', '.join(there)}")
    found = {}
    for code in languages or there:
        other = theirs or _reference(code, data, {output.instruction for output in ours.by_language[code]})
        pairs = [pair for pair in pairs_of(other, ours, code) if pair.a != pair.b][:limit]
        found[code] = [Comparison(pair.item, pair.instruction, pair.a, pair.b) for pair in pairs]
    if not any(found.values()):
        raise EvaluationError(f"{outputs}: no two different answers to judge")
    return found


def calls_of(items: Items, settings: JudgeSettings) -> int:
    """How many calls a check will make: three an item, less what the cache holds."""
    wanted = {asked.sha256 for group in _questions(items, settings).values() for asked in group}
    return len(wanted) - len(answers_in(settings.cache, wanted))


def check_judge(items: Items, settings: JudgeSettings, *, progress: Callable[[int], None] | None = None) -> JudgeReport:
    """Ask and compare; the settings' random order plays no part, and logprob_swap is asked as two single orders.

    Args:
        items: what `items_of` gives.
        settings: of the judge.
        progress: called with the number of items that were finished since the last call.

    Raises:
        EvaluationError: the judge cannot be asked at all. Single failures are counted.
    """
    groups, replies = _questions(items, settings), dict[str, Reply]()
    collect(list(groups.values()), settings, settings.mode, replies, progress=progress)
    judged: dict[str, list[Asked]] = {}
    errors: dict[str, list[str]] = {}
    for code, comparisons in items.items():
        judged[code], errors[code] = [], []
        for place, comparison in enumerate(comparisons):
            found = [_preference(asked, replies[asked.sha256], settings) for asked in groups[code, place]]
            errors[code] += [error for _, error in found if error is not None]
            given, turned, again = (preference for preference, _ in found)
            lengths = len(comparison.output_1), len(comparison.output_2)
            judged[code].append(Asked(comparison.key, given, turned, again, *lengths))
    numbers = {code: of_language(asked) for code, asked in judged.items()}
    return JudgeReport(facts_of(settings), numbers, across(judged), errors, {code: len(v) for code, v in items.items()})


def _questions(items: Items, settings: JudgeSettings) -> dict[tuple[str, int], tuple[Question, ...]]:
    """As given, turned round, and as given again."""
    template = comparing_template(settings)
    later = settings.model_copy(update={"repeat": settings.repeat + 1})
    return {
        (code, place): (
            question(comparison, settings, template, switched=False),
            question(comparison, settings, template, switched=True),
            question(comparison, later, template, switched=False),
        )
        for code, comparisons in items.items()
        for place, comparison in enumerate(comparisons)
    }


def _preference(asked: Question, reply: Reply, settings: JudgeSettings) -> tuple[float | None, str | None]:
    if reply.response is None:
        return None, reply.error or "not judged"
    order = order_of(asked, reply.response, settings.mode, cached=reply.cached)
    return order.preference, order.error


def _reference(code: str, data: str | None, instructions: set[str]) -> OutputSet:
    """The benchmark's reference answers to these instructions, as if they were a model's."""
    loaded = load_rows("x_alpacaeval", code, data)
    rows = [row for row in loaded.rows if row["instruction"] in instructions]
    outputs = tuple(Output(row["item"], row["instruction"], row["reference"]) for row in rows)
    return OutputSet(loaded.facts.reference or "reference", {code: outputs}, {code: loaded.facts.source})
