"""MGSM (Shi et al. 2022): 250 word problems in eleven languages; an answer is right when its number is the gold one.

    row       {"item": "0", "question": "Janets Enten legen ...", "gold": "18"}
    response  what the model says; its number is read by the rules of lidr.evals.mgsm.number_reading

Three forms of the prompt, each in one turn of the user, without examples:

    plain        the bare question, as the paper's authors generate with            lidr_mgsm_de
    paper_instr  in the paper's instruction to answer in the language               lidr_mgsm_de_paper_instr
    instr        after a short instruction of our own, in the language              lidr_mgsm_de_instr

`score` and `summarise` hold every rule; the lm-eval hooks only call them, so lm-eval's numbers and ours are equal.

`acc_flexible` is what lm-eval's own filter and metric (flexible-extract, exact_match without punctuation) make of the
same answer: a second column, for comparison with published numbers. It is a metric and not a second filter, because
lm-eval logs every answer again for each filter.

The paper's own scorer is not published: its MGSM numbers cannot be matched from code.
"""

from __future__ import annotations

import hashlib
import re
import string
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from lidr.errors import EvaluationError
from lidr.evals.benchmark_rows import load_rows
from lidr.evals.mgsm.number_reading import gold_number, read_number
from lidr.evals.mgsm.words import WORDS
from lidr.evals.results import Score, Scored, mean_score
from lidr.languages import LANGUAGES as NAMES

if TYPE_CHECKING:
    from datasets import Dataset

Row = Mapping[str, Any]
Values = Mapping[str, float | None]

LANGUAGES = ("en", "de", "es", "fr", "ja", "ru", "th", "zh", "bn", "sw", "te")
"""The languages of MGSM. An answer may be found to be in any other, too, whichever languages were
evaluated."""

VARIANTS = ("plain", "paper_instr", "instr")

VERSION = 2
"""Of the tasks, as lm-eval shows it: goes up when a number would change. 2: sentences are read, with numbers in words;
an answer may be in any language."""

METRICS = {
    "acc": True,
    "off_target": False,
    "off_target_all": False,
    "undecided": False,
    "parsed": True,
    "hit_prefix": True,
    "acc_flexible": True,
}
"""What each answer gives, 0 or 1 -> whether more is better. `off_target` is the share of the answers whose language can
be told, `off_target_all` of all; `undecided` is the share that lies between them."""

_FLEXIBLE = re.compile(r"(-?[$0-9.,]{2,})|(-?[0-9]+)")  # lm_eval/tasks/mgsm, filter flexible-extract
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def task_name(language: str, variant: str = "plain") -> str:
    """Name of the lm-eval task.

    Raises:
        EvaluationError: MGSM has no such language, or there is no such form of the prompt.

    >>> task_name("de"), task_name("te", "instr")
    ('lidr_mgsm_de', 'lidr_mgsm_te_instr')
    """
    _check(language, variant)
    return f"lidr_mgsm_{language}" + ("" if variant == "plain" else f"_{variant}")


def prompt_of(row: Row, language: str, variant: str = "plain") -> str:
    """What the user says.

    Raises:
        EvaluationError: as task_name.
    """
    _check(language, variant)
    question: str = row["question"]
    if variant == "paper_instr":
        from lidr.transforms import LANGUAGE_INSTRUCTION

        return LANGUAGE_INSTRUCTION.format(language=NAMES[language].name, question=question)
    return f"{WORDS[language].instruction}\n\n{question}" if variant == "instr" else question


def prompt_sha256(language: str, variant: str = "plain") -> str:
    """Identity of the form of the prompt and of the answer word that is looked for."""
    form = prompt_of({"question": "{question}"}, language, variant)
    return hashlib.sha256(f"{form}\n{WORDS[language].answer}".encode()).hexdigest()


def _check(language: str, variant: str) -> None:
    if language not in LANGUAGES:
        raise EvaluationError(f'MGSM is not in "{language}"; its languages: {", ".join(LANGUAGES)}')
    if variant not in VARIANTS:
        raise EvaluationError(f'unknown variant "{variant}" of MGSM\'s prompt; allowed: {", ".join(VARIANTS)}')


def score(row: Row, response: str, *, language: str, verdict: None = None) -> Scored:
    """Score one answer; many are quicker with `score_all`.

    Args:
        row: of MGSM, as lidr.evals.benchmark_rows gives it.
        response: the model's answer; may be empty.
        language: of the prompt.
        verdict: no judge is asked here.

    Returns:
        values: METRICS, each 0 or 1. `off_target` is None where the language of the answer cannot be told; an answer
        without a number is wrong and not `parsed`. detail: the number, the rule and the text that it was read by, the
        detected language, and the gold answer.
    """
    return score_all([row], [response], language=language)[0]


def score_all(rows: Sequence[Row], responses: Sequence[str], *, language: str) -> list[Scored]:
    """Score the answers of one language, in order: languages are told four times as fast together as one by one."""
    detected = _detect(responses, language)
    return [_score(*one, language) for one in zip(rows, responses, detected, strict=True)]


def _score(row: Row, response: str, detected: str | None, language: str) -> Scored:
    number, rule, text = read_number(response, language)
    values = {
        "acc": float(number is not None and _is_gold(number, row)),
        "off_target": None if detected is None else float(detected != language),
        "off_target_all": float(detected not in (None, language)),
        "undecided": float(detected is None),
        "parsed": float(number is not None),
        "hit_prefix": float(rule == "prefix"),
        "acc_flexible": float(_is_flexibly_right(response, row["gold"])),
    }
    shown = None if number is None else f"{number:f}"
    detail = {"number": shown, "rule": rule, "text": text, "detected": detected, "gold": row["gold"]}
    return Scored(values, detail)


def _is_gold(number: Decimal, row: Row) -> bool:
    """Whether a number is the gold one; where the row says so, by its text: "2,125" is never the plain 2125."""
    if row.get("gold_as") == "text":
        gold: str = row["gold"]
        return f"{number.normalize():f}" == gold.strip()
    return number == gold_number(row["gold"])


def as_text(rows: Sequence[Row]) -> tuple[dict[str, Any], ...]:
    """Rows whose gold answers are compared as they are written (authors_compat.mgsm_string_match)."""
    return tuple({**row, "gold_as": "text"} for row in rows)


def _detect(responses: Sequence[str], language: str) -> list[str | None]:
    """The language of each answer; None where it is empty, too short, or only numbers and signs."""
    import polars as pl

    from lidr.transforms import identify

    whole = [
        response.encode("utf-8", "replace").decode() for response in responses
    ]  # a server may send half characters
    found = identify(pl.Series(whole, dtype=pl.String), (), asked=language)
    codes: list[str | None] = found["language"].to_list()
    return codes


def _is_flexibly_right(response: str, gold: str) -> bool:
    """Whether lm-eval's bundled tasks count it as right."""
    matches = _FLEXIBLE.findall(response)
    found = next(filter(None, matches[-1])).strip() if matches else "[invalid]"
    return found.translate(_NO_PUNCTUATION) == gold.translate(_NO_PUNCTUATION)


def summarise(values: Sequence[Values]) -> dict[str, Score]:
    """The scores of one task: mean, standard error and number of the items that were scored, 0-1."""
    return {name: mean_score([value[name] for value in values]) for name in METRICS}


# What lm-eval calls. The YAML files in evals/mgsm name these functions.


def load(
    *,
    lidr_language: str,
    lidr_variant: str = "plain",
    lidr_data: str | None = None,
    lidr_gold: str = "number",
    **_: Any,
) -> dict[str, Dataset]:
    """`custom_dataset`: the rows of one language. lm-eval also hands over everything that is in its metadata.

    Raises:
        EvaluationError: no data for the language, or not 250 rows.
    """
    from datasets import Dataset

    rows = load_rows("mgsm", lidr_language, lidr_data).rows
    rows = as_text(rows) if lidr_gold == "text" else rows
    return {
        "test": Dataset.from_list(
            [{**row, "language": lidr_language, "prompt": prompt_of(row, lidr_language, lidr_variant)} for row in rows]
        )
    }


def read_answers(resps: Sequence[Sequence[str | None]], docs: Sequence[Row]) -> list[dict[str, Any]]:
    """Score all answers of a task at once: the filter `lidr` of the task."""
    responses = [str(found[0] or "") if found else "" for found in resps]  # a chat server may send null
    scored = score_all(docs, responses, language=docs[0]["language"]) if docs else []
    return [one._asdict() for one in scored]


def process_results(doc: Row, results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """`process_results`: the value of each metric, and how it came about for the logged samples."""
    return {**results[0]["values"], "reading": {"item": doc["item"], **results[0]["detail"]}}


def mean_of_decided(values: Sequence[float | None]) -> float:
    """`aggregation` of off_target: the mean over the answers whose language can be told; NaN where there is none."""
    mean = mean_score(values).value
    return float("nan") if mean is None else mean


def count_readings(readings: Sequence[Mapping[str, Any]]) -> int:
    """`aggregation` of the readings: how many numbers were read. They themselves stand in the logged samples."""
    return sum(reading["number"] is not None for reading in readings)
