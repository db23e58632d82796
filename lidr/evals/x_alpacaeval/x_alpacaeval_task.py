"""X-AlpacaEval (arXiv 2410.08964): open instructions; a judge compares each answer with one of a reference model.

    row       {"item": "3", "instruction": "...", "reference": "...", "generator": "...", "dataset": "koala"}
    response  what the model says to the bare instruction
    verdict   the judge's preference, 1 (reference better) to 2 (model better); None where nobody was asked

`score` and `summarise` hold every rule; the lm-eval hooks only call them, so lm-eval's numbers and ours are equal.

An empty answer is an answer: it is judged as the empty text against the reference (alpaca_eval does the same), it has
length 0, and its language is undecided. An item without a verdict is left out of the win rates and counted; never lost.

Language fidelity: `off_target` is 1 where the detected language is another than the prompt's. Instructions that ask for
another language ("translate into Latin") count against the model like any other. Undecidable answers (too short, code
only) are `undecided`, leave `off_target` empty and count as 0 in `off_target_all`. Shares are in per cent here, as win
rates are.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lidr.evals import win_rate as rates
from lidr.evals.benchmark_rows import load_rows
from lidr.evals.judge import Comparison, JudgeSettings, Verdict
from lidr.evals.results import Score, Scored, mean_score

if TYPE_CHECKING:
    from datasets import Dataset

Row = Mapping[str, Any]
Values = Mapping[str, float | None]

PUBLISHED = ("en", "de", "es", "fr", "ru")
"""Languages of X-AlpacaEval as the paper's authors published it: the members of the group `lidr_x_alpacaeval`."""

LANGUAGES = (*PUBLISHED, "ar", "bn", "hi", "it", "ja", "ko", "nl", "pl", "pt", "sw", "te", "th", "tr", "vi", "zh")
"""Languages that have a task file; asked without data, a task says which languages there are."""

VERSION = 2
"""Of the tasks, as lm-eval shows it: goes up when a number would change. 2: lc_win_rate has a prior on its slope; an
answer may be in any language."""


def task_name(language: str, variant: str = "") -> str:
    """Name of the lm-eval task; there is one variant, the bare instruction.

    >>> task_name("de")
    'lidr_x_alpacaeval_de'
    """
    return f"lidr_x_alpacaeval_{language}"


def prompt_of(row: Row, language: str, variant: str = "") -> str:
    """What the user says: the instruction and nothing else, as in the paper."""
    instruction: str = row["instruction"]
    return instruction


def prompt_sha256(language: str, variant: str = "") -> str:
    """Identity of the form of the prompt: the same in every language, since lidr adds no word."""
    return hashlib.sha256(b"{instruction}").hexdigest()


def comparison(row: Row, response: str) -> Comparison:
    """What the judge is asked: output_1 is the reference's, output_2 the model's."""
    return Comparison(row["item"], row["instruction"], row["reference"], response)


def score(row: Row, response: str, *, language: str, verdict: Verdict | None = None) -> Scored:
    """Score one answer.

    Args:
        row: of X-AlpacaEval, as lidr.evals.benchmark_rows gives it; of the reference its `reference_length` is enough.
        response: the model's answer; may be empty.
        language: of the prompt.
        verdict: of the judge; None where it was not asked.

    Returns:
        values: preference (1-2), win and discrete_win (0-1), tie, judge_error, off_target, off_target_all, undecided (0
        or 1), length and reference_length (characters); None where not scored. detail: the verdict and the detected
        language.
    """
    preference = None if verdict is None else rates.preference_of(verdict.preference)
    found = detect(response, language)
    values = {
        "preference": preference,
        "win": None if preference is None else preference - 1,
        "discrete_win": rates.discrete(preference),
        "tie": None if preference is None else float(preference == rates.TIE),
        "length": float(len(response)),
        "reference_length": float(len(row["reference"]) if "reference" in row else row["reference_length"]),
        "off_target": None if found is None else float(found != language),
        "off_target_all": float(found not in (None, language)),
        "undecided": float(found is None),
        "judge_error": None if verdict is None else float(preference is None),
    }
    return Scored(values, {"verdict": None if verdict is None else verdict.as_json(), "detected": found})


def detect(response: str, language: str) -> str | None:
    """The language of an answer: a code, OTHER, or None where it cannot be told."""
    from lidr.transforms import language_of

    whole = response.encode("utf-8", "replace").decode()  # a server may send half characters
    return language_of(whole, (), asked=language) if whole.strip() else None


def _of(values: Sequence[Values], name: str) -> list[float | None]:
    return [value[name] for value in values]


def _lc_win_rate(values: Sequence[Values]) -> Score:
    return rates.lc_win_rate(_of(values, "preference"), _of(values, "length"), _of(values, "reference_length"))


def minimal_lc_win_rate(values: Sequence[Values]) -> Score:
    """What rules 1 called lc_win_rate: the fit without a prior."""
    return rates.lc_win_rate_minimal(_of(values, "preference"), _of(values, "length"), _of(values, "reference_length"))


def _n_judged(values: Sequence[Values]) -> Score:
    return Score(value=float(sum(p is not None for p in _of(values, "preference"))), n=len(values))


_PREFERENCE = ("preference",)
_SCORES: Mapping[str, tuple[tuple[str, ...], Callable[[Sequence[Values]], Score]]] = {
    "win_rate": (_PREFERENCE, lambda values: rates.win_rate(_of(values, "preference"))),
    "discrete_win_rate": (_PREFERENCE, lambda values: rates.discrete_win_rate(_of(values, "preference"))),
    "lc_win_rate": (("preference", "length", "reference_length"), _lc_win_rate),
    "n_judged": (_PREFERENCE, _n_judged),
    "judge_errors": (("judge_error",), lambda values: rates.count(_of(values, "judge_error"))),
    "n_ties": (("tie",), lambda values: rates.count(_of(values, "tie"))),
    "avg_length": (("length",), lambda values: mean_score(_of(values, "length"))),
    "avg_reference_length": (("reference_length",), lambda values: mean_score(_of(values, "reference_length"))),
    "off_target": (("off_target",), lambda values: rates.percent(mean_score(_of(values, "off_target")))),
    "off_target_all": (("off_target_all",), lambda values: rates.percent(mean_score(_of(values, "off_target_all")))),
    "undecided": (("undecided",), lambda values: rates.percent(mean_score(_of(values, "undecided")))),
}
"""Score -> the values that it reads, and how."""


def summarise(values: Sequence[Values]) -> dict[str, Score]:
    """Sum up one task.

    Args:
        values: of `score`, one an item, in any order.

    Returns:
        win_rate, discrete_win_rate, lc_win_rate, off_target, off_target_all, undecided in per cent; n_judged,
        judge_errors, n_ties as counts (n: items looked at); avg_length, avg_reference_length in characters.
    """
    return {name: how(values) for name, (_, how) in _SCORES.items()}


# What lm-eval calls. The YAML files in evals/x_alpacaeval name these functions.


def load(*, lidr_language: str, lidr_data: str | None = None, **_: Any) -> dict[str, Dataset]:
    """`custom_dataset`: the rows of one language. lm-eval also hands over everything that is in its metadata.

    Raises:
        EvaluationError: no data for the language.
    """
    from datasets import Dataset

    rows = load_rows("x_alpacaeval", lidr_language, lidr_data).rows
    return {"test": Dataset.from_list([{**row, "language": lidr_language} for row in rows])}


def judge_filter(resps: Sequence[Sequence[str | None]], docs: Sequence[Row]) -> list[dict[str, Any]]:
    """Judge all answers of a task at once; settings are the LIDR_JUDGE_* variables. The filter `judge` of the task.

    Never raises: an exception here would cost lm-eval every answer that was generated. Without settings nothing is
    judged. Where judging as a whole fails, each item gets that error.

    Returns:
        For each answer {"item", "response", "verdict"}, in the order given, which after ranks is not that of the rows.
    """
    responses = [str(found[0] or "") if found else "" for found in resps]  # a chat server may send null
    asked = [
        replace(comparison(doc, response), key=str(place))
        for place, (doc, response) in enumerate(zip(docs, responses, strict=True))
    ]
    verdicts = _judged(asked)
    return [
        {"item": doc["item"], "response": response, "verdict": verdict}
        for doc, response, verdict in zip(docs, responses, verdicts, strict=True)
    ]


def _judged(asked: Sequence[Comparison]) -> Sequence[Verdict | None]:
    try:
        settings = JudgeSettings.from_environment(os.environ)
        if settings is None:
            return [None] * len(asked)
        from lidr.evals.judge import judge

        return judge(asked, settings, on_fatal="record")
    except Exception as error:
        text = f"unusable: {error}"
        return [Verdict(one.key, preference=None, error=text) for one in asked]


def process_results(doc: Row, results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """`process_results`: what each metric needs of one answer, and the whole judgement for the logged samples."""
    found = results[0]
    scored = score(doc, found["response"], language=doc["language"], verdict=found["verdict"])
    needs = {name: {need: scored.values[need] for need in needs} for name, (needs, _) in _SCORES.items()}
    values = {name: {"score": name, **needs[name]} for name in _SCORES}
    errors = {f"{name}_se": values[name] for name in _WITH_ERROR}
    return values | errors | {"judgement": {"item": doc["item"], **scored.detail}}


def aggregate(items: Sequence[Mapping[str, Any]]) -> float:
    """`aggregation` of every score. lm-eval needs a number, so what is not defined is NaN in its own files."""
    value = _SCORES[items[0]["score"]][1](items).value
    return math.nan if value is None else value


def aggregate_error(items: Sequence[Mapping[str, Any]]) -> float:
    """`aggregation` of every standard error: lm-eval computes none for aggregations that are not its own."""
    stderr = _SCORES[items[0]["score"]][1](items).stderr
    return math.nan if stderr is None else stderr


def count_judgements(items: Sequence[Mapping[str, Any]]) -> int:
    """`aggregation` of the judgements: how many there are. They themselves stand in the logged samples."""
    return sum(item["verdict"] is not None for item in items)


def task_files() -> dict[str, str]:
    """The YAML files of the tasks, by their path in evals/: what all share, the group, and one for each language."""
    group = f"{_GENERATED}group: lidr_x_alpacaeval\ntask:\n"
    group += "".join(f"  - {task_name(language)}\n" for language in PUBLISHED)
    group += "aggregate_metric_list:\n" + "".join(
        f"  - {{metric: {name}, aggregation: mean, weight_by_size: false}}\n" for name in _WITH_ERROR
    )
    files = {
        f"x_alpacaeval/{task_name(language)}.yaml": (
            f"{_GENERATED}include: _base\ntask: {task_name(language)}\ndataset_kwargs: {{lidr_language: {language}}}\n"
        )
        for language in LANGUAGES
    }
    return {
        "x_alpacaeval/_base": _BASE + "".join(_metrics()),
        "x_alpacaeval/lidr_x_alpacaeval.yaml": f"{group}metadata: {{version: {VERSION}}}\n",
        **files,
    }


def _metrics() -> Iterator[str]:
    names = dict.fromkeys(_SCORES, "aggregate") | {f"{name}_se": "aggregate_error" for name in _WITH_ERROR}
    for name, how in {**names, "judgement": "count_judgements"}.items():
        better = "true" if name in _HIGHER else "false" if name in _LOWER else "null"
        yield f"  - metric: {name}\n    aggregation: !function {__package__}.{how}\n    higher_is_better: {better}\n"


_WITH_ERROR = ("win_rate", "discrete_win_rate", "lc_win_rate")
_HIGHER, _LOWER = (
    {*_WITH_ERROR, "n_judged"},
    {"judge_errors", "off_target", "off_target_all", "undecided"},
)  # neither: lengths, ties
_GENERATED = "# Written by lidr.evals.harness.task_files.\n"

_BASE = f"""{_GENERATED}# What every language shares. No `until`: lm-eval would stop an answer at its first empty line.
custom_dataset: !function {__package__}.load
test_split: test
output_type: generate_until
doc_to_text: "{{{{instruction}}}}"
doc_to_target: ""
num_fewshot: 0
generation_kwargs: {{until: [], do_sample: false, max_gen_toks: 2048}}
filter_list:
  - name: judge
    filter:
      - {{function: custom, filter_fn: !function {__package__}.judge_filter}}
process_results: !function {__package__}.process_results
metadata: {{version: {VERSION}}}
metric_list:
"""
