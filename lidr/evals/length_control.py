"""AlpacaEval's length-controlled win rate, version 1: the number of its leaderboard, where its conditions hold.

    P(y_i) = sigmoid(slope * x_i + weight * difficulty_i + constant)        x_i as in lidr.evals.win_rate
    LC     = 100 * mean over i of sigmoid(weight * difficulty_i + constant)

fitted to the model's items and, with a tenth of their weight each and without the constant, to the rows of two gamed
baselines, which keep slope and weight where they belong (arXiv 2404.04475). Two files of the Hub's data set
tatsu-lab/alpaca_eval hold what that needs. They are CC BY-NC, so lidr brings neither: it reads them from a folder of
the user, or from a commit, which `lidr lock` resolves where a recipe names the data set (`evaluate.length_control`).

    instruction_difficulty.csv   index, instruction_difficulty: one row for each of the 805 instructions
    df_gamed.csv                 index, std_delta_len, instruction_difficulty, not_gamed_baseline, preference (0-1)

alpaca_eval adds an L1 penalty whose strength it finds by cross-validation; lidr adds none (docs/measured.md).
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lidr.errors import EvaluationError
from lidr.evals.hub_rows import file_at
from lidr.evals.reader import item_values
from lidr.evals.results import (
    Results,
    Score,
    TaskResult,
    read_results,
    read_samples,
    read_scores,
    write_results,
)
from lidr.evals.win_rate import fit, preference_of, shorter_of
from lidr.references import HubReference, parse_reference
from lidr.store import file_sha256

SCORE = "lc_win_rate_v1"
"""Its name among a task's scores."""

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]

ROWS = 805
BASELINE = "gpt4_1106_preview"
INSTRUCTIONS_SHA256 = "c5770d532bf3f697768ed9a57a05d8b58b2617321ca65070620f059676e7c99a"
"""Of AlpacaEval's instructions in their order, as a JSON list."""

_FILES = _DIFFICULTY, _GAMED = "instruction_difficulty.csv", "df_gamed.csv"
_WEIGHT = 0.1  # of a gamed row: 0.2 over two gamed baselines


@dataclass(frozen=True)
class LengthControl:
    """What version 1 needs beside a model's items.

    Args:
        difficulty: of the instructions in their order, (805,).
        gamed: length (as x), difficulty and preference (0-1) of the gamed rows, (rows, 3).
        sha256: of the two files' own.
    """

    difficulty: tuple[float, ...]
    gamed: tuple[tuple[float, float, float], ...]
    sha256: str


def read_length_control(place: str) -> LengthControl:
    """Read both files.

    Args:
        place: a folder, or org/name@COMMIT of a data set on the Hub.

    Raises:
        EvaluationError: not there, not at a commit, or not what the two files hold.
    """
    reference = parse_reference(place) if "/" in place and not Path(place).exists() else None
    if isinstance(reference, HubReference):
        if not reference.is_pinned:
            raise EvaluationError(
                f"{place}: not at a commit, so the number could change unseen; write {reference.repo}@COMMIT (40 hex "
                "digits, as the Hub shows it), give a folder, or name it in a recipe as evaluate.length_control: "
                "`lidr lock` writes the commit that it has"
            )
        paths = [file_at(reference.repo, str(reference.revision), name) for name in _FILES]
    else:
        paths = [Path(place) / name for name in _FILES]
    difficulty = {
        _whole(row, "index", path): _number(row, "instruction_difficulty", path) for path, row in _rows(paths[0])
    }
    if sorted(difficulty) != list(range(ROWS)):
        raise EvaluationError(
            f"{paths[0]}: has {len(difficulty)} instructions, needs the {ROWS} of AlpacaEval, 0 to 804"
        )
    gamed = tuple(
        (_number(row, "std_delta_len", path), _number(row, "instruction_difficulty", path), _share(row, path))
        for path, row in _rows(paths[1])
    )
    if not gamed:
        raise EvaluationError(f"{paths[1]}: holds no row; it needs those of the gamed baselines")
    sums = hashlib.sha256("".join(map(file_sha256, paths)).encode()).hexdigest()
    return LengthControl(tuple(difficulty[at] for at in range(ROWS)), gamed, sums)


def check_conditions(task: TaskResult, prompts: Sequence[str]) -> None:
    """Whether version 1 may be computed of a task.

    Args:
        prompts: that were asked, in their order.

    Raises:
        EvaluationError: names every condition that does not hold, with what was found.
    """
    problems = [] if task.judge is not None else ["nothing was judged"]
    if task.benchmark != "x_alpacaeval" or task.language != "en":
        problems.insert(0, f"the task is {task.benchmark} in {task.language}, needed is x_alpacaeval in en")
    problems += unlike_alpaca_eval(task.data.reference, prompts)
    if problems:
        raise EvaluationError(
            f"{task.task}: no length-controlled win rate of AlpacaEval's version 1: {'; '.join(problems)}. It stands "
            "for AlpacaEval's own setting alone; lc_win_rate holds for any language and reference"
        )


def unlike_alpaca_eval(reference: str | None, prompts: Sequence[str]) -> list[str]:
    """What of a reference and of instructions in their order is not AlpacaEval's."""
    found = hashlib.sha256(json.dumps(list(prompts)).encode()).hexdigest()
    problems = []
    if reference != BASELINE:
        problems.append(f"answers were compared with those of {reference}, needed are those of {BASELINE}")
    if len(prompts) != ROWS:
        problems.append(f"{len(prompts):,} instructions were asked, needed are all {ROWS}")
    elif found != INSTRUCTIONS_SHA256:
        problems.append(f"the instructions are others than AlpacaEval's, or in another order (SHA-256 {found[:12]})")
    return problems


def length_controlled(folder: Path, control: LengthControl) -> Score:
    """Version 1's rate of a results folder.

    Raises:
        EvaluationError: no results, or a condition that does not hold.
    """
    tasks = {task.language: task for task in read_results(folder).of("x_alpacaeval")}
    if "en" not in tasks:
        raise EvaluationError(
            f"{folder}: no English X-AlpacaEval answers (has {', '.join(tasks) or 'none'}), and version 1 of "
            "AlpacaEval's length-controlled win rate is for those alone; lc_win_rate holds for any language"
        )
    task = tasks["en"]
    asked = [row for row in read_samples(folder).to_pylist() if row["task"] == task.task]
    check_conditions(task, [row["prompt"] for row in asked])
    values = {name: item_values(read_scores(folder), name)[task.task] for name in _VALUES}
    preferences, lengths, references = ([values[name][row["item"]] for row in asked] for name in _VALUES)
    return lc_win_rate_v1(preferences, lengths, references, control)


_VALUES = ("preference", "length", "reference_length")


def with_length_control(folder: Path, control: LengthControl) -> Results:
    """Write version 1's rate into a results folder, beside the other scores of its English task.

    Raises:
        EvaluationError: as `length_controlled`.
    """
    found, results = length_controlled(folder, control), read_results(folder)
    tasks = tuple(
        task.model_copy(update={"scores": {**task.scores, SCORE: found}, "length_control_sha256": control.sha256})
        if (task.benchmark, task.language) == ("x_alpacaeval", "en")
        else task
        for task in results.tasks
    )
    results = results.model_copy(update={"tasks": tasks})
    write_results(folder, results, read_samples(folder), read_scores(folder))
    return results


def lc_win_rate_v1(
    preferences: Sequence[float | None],
    lengths: Sequence[float | None],
    reference_lengths: Sequence[float | None],
    control: LengthControl,
) -> Score:
    """Version 1's rate, per cent, of the 805 items in AlpacaEval's order; without a standard error, as it has none.

    Args:
        preferences: 1-2, None where not judged.
        lengths, reference_lengths: characters.

    Raises:
        ValueError: not 805 items.
    """
    import numpy as np
    from scipy.special import expit

    if not len(preferences) == len(lengths) == len(reference_lengths) == ROWS:
        raise ValueError(f"version 1 needs {ROWS} items, found {len(preferences)}")
    known = np.array([p is not None for p in map(preference_of, preferences)])
    wins = np.array([p - 1 for p in map(preference_of, preferences) if p is not None])
    if not len(wins):
        return Score(value=None, n=0)
    hard, gamed = np.array(control.difficulty), np.array(control.gamed)
    own = np.column_stack([shorter_of(lengths, reference_lengths), hard, np.ones(ROWS)])[known]
    others = np.column_stack([np.tanh(gamed[:, 0]), gamed[:, 1], np.zeros(len(gamed))])
    weights = np.concatenate([np.ones(len(own)), np.full(len(gamed), _WEIGHT)])
    theta = fit(np.vstack([own, others]), np.concatenate([wins, gamed[:, 2]]), np.full(3, 1e-6), weights)
    return Score(value=100 * float(expit(theta[1] * hard + theta[2]).mean()), n=len(wins))


def _rows(path: Path) -> Iterator[tuple[Path, Mapping[str, str]]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except FileNotFoundError:
        raise EvaluationError(
            f"{path}: not there; put {_DIFFICULTY} and {_GAMED} of the Hub's data set tatsu-lab/alpaca_eval into a "
            "folder and name it, or name the data set with its commit"
        ) from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise EvaluationError(f"{path}: cannot be read as CSV ({error})") from None
    for row in rows:
        yield path, row


def _number(row: Mapping[str, str], name: str, path: Path) -> float:

    try:
        value = float(row[name])
    except (KeyError, TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise EvaluationError(f"{path}: needs a column {name} of numbers, found {row.get(name)!r}")
    return value


def _whole(row: Mapping[str, str], name: str, path: Path) -> int:
    value = _number(row, name, path)
    if value != int(value):
        raise EvaluationError(f"{path}: needs whole numbers in {name}, found {value!r}")
    return int(value)


def _share(row: Mapping[str, str], path: Path) -> float:
    value = _number(row, "preference", path)
    if not 0 <= value <= 1:
        raise EvaluationError(f"{path}: a preference is 0 to 1, found {value!r}")
    return value
