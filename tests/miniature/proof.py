"""The proof in miniature: runs of recipes/miniature.yaml over seeds, controls, worlds and settings, and their numbers.

    python -m tests.miniature.proof                    every case, then the numbers on stdout
    python -m tests.miniature.proof main-1 main-2      these cases alone

All runs stand in one store (LIDR_PROVE_STORE, else runs/proof), so an interrupted proof goes on where it was, and cases
that share artifacts make them once.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import lidr
from lidr.errors import NegativeVerdict
from lidr.miniature.data import write_rows
from lidr.miniature.world import WORLDS
from lidr.pipeline import Plan
from lidr.resources import shared
from lidr.store.artifact import open_artifact
from tests.miniature.reward import reward_accuracy
from tests.miniature.tell import accuracies, gains, scores

SEEDS = (1, 2, 3)
PROMPTS, HELD_OUT, ITERATIONS, MOST = 400, 1000, 5, 8
"""Prompts of an iteration, held-out problems, iterations of the long case, and at most of the one that may stop."""
OTHERS = ("de", "es")
_ONE = f'iterations=[{{prompts: "0:{PROMPTS}"}}]'
_ALL = "chain.gate={no_gain: {act: warn}}"  # a gate that ends nothing


@dataclasses.dataclass(frozen=True)
class Case:
    """One run: a policy, the seed of its rows and of training, and what the recipe's words become."""

    name: str
    policy: str = "skewed-1"
    seed: int = 1
    settings: tuple[str, ...] = ()
    iterations: int = ITERATIONS
    """For how many there are prompts."""

    def run(self) -> Plan:
        """Carry it out, as far as it is not there yet."""
        data = rows_of(self.seed, self.iterations)
        words = (
            "name=proof",  # one name, a version for each case: equal artifacts are made once
            f"version=0.2.0-{self.name}",
            f"policy.model=./recipes/miniature/{self.policy}",
            f"seed={self.seed}",
            f"prompts.source={data / 'prompts'}",
            f"chain.measure.gold={data / 'gold'}",
            f"chain.evaluate.data=[{data}]",
            f"runtime.store={store()}",
        )
        recipe = lidr.load_recipe(shared("recipes") / "miniature.yaml", overrides=[*words, *self.settings])
        with suppress(NegativeVerdict):  # a gate that stops the run is an outcome like any other
            lidr.run(recipe, say=lambda text: print(f"{self.name}: {text}", file=sys.stderr))
        return lidr.plan(recipe)


def store() -> Path:
    """Where all runs stand."""
    return Path(os.environ.get("LIDR_PROVE_STORE", "runs/proof"))


@lru_cache
def rows_of(seed: int, iterations: int = ITERATIONS) -> Path:
    """Prompts and held-out problems of a seed."""
    folder = (store().parent / f"proof-rows-{seed}-{iterations}").resolve()
    write_rows(folder, prompts=PROMPTS * iterations, held_out=HELD_OUT, seed=seed)
    return folder


def _policy(world: str) -> str:
    return f"{world}-1"


MAIN = tuple(Case(f"main-{seed}", f"skewed-{seed}", seed, (_ALL,)) for seed in SEEDS)
# Shuffled pairs are a control of the preference alone: with the NLL term, a policy that is wrong on a pair still learns
# from the half of the chosen answers that are right, and gains; that is run, too.
SIDES = {
    "swapped": ("chain.train.sides=swapped",),
    "shuffled": ("chain.train.sides=shuffled", "chain.train.nll.weight=0"),
    "shuffled-nll": ("chain.train.sides=shuffled",),
}
CONTROLS = tuple(
    Case(f"{sides}-{seed}", f"skewed-{seed}", seed, (*settings, _ALL, _ONE))
    for sides, settings in SIDES.items()
    for seed in SEEDS
)
OF_WORLDS = tuple(Case(f"world-{world}", _policy(world), 1, (_ALL, _ONE)) for world in WORLDS)
FIVE = (
    f"iterations=[{', '.join(f'{{prompts: {chr(34)}{k * PROMPTS}:{(k + 1) * PROMPTS}{chr(34)}}}' for k in range(5))}]"
)
LONG = Case("five", settings=(_ALL, FIVE))
STOPPING = Case(
    "until-saturated",
    settings=(f"iterations={{repeat: until_saturated, max: {MOST}, prompts_each: {PROMPTS}}}",),
    iterations=MOST,
)
SIGNATURES = {
    # What the sketch met: dominant pairs at a rate that is too high.
    "dominant_worse": Case(
        "sign-dominant-worse",
        settings=(
            "chain.pair.dominant_pairs=all",
            "chain.train.learning_rate=1.0e-4",
            "chain.gate={dominant_worse: {act: roll_back}}",
            _ONE,
        ),
    ),
    "no_gain": Case(
        "sign-no-gain", settings=("chain.train.learning_rate=1.0e-8", "chain.gate={no_gain: {act: warn}}", _ONE)
    ),
    "reward_signal": Case(
        "sign-reward-signal", policy=_policy("reversed"), settings=("chain.gate={reward_signal: {act: stop}}", _ONE)
    ),
    "artefacts": Case(
        "sign-artefacts",
        settings=("chain.translate.max_tokens=22", "chain.gate={artefacts: {act: stop}}", _ONE),
    ),
    "collapse": Case(
        "sign-collapse",
        settings=(
            "chain.train.learning_rate=3.0e-3",
            "chain.train.nll.weight=0",
            "chain.gate={collapse: {act: stop}}",
            _ONE,
        ),
    ),
}
CASES = {case.name: case for case in (*MAIN, *CONTROLS, *OF_WORLDS, LONG, STOPPING, *SIGNATURES.values())}


def outcome(case: Case) -> dict[str, Any]:
    """What became of one case."""
    plan = case.run()
    tables = scores(plan)
    last = max(tables)
    made = [open_artifact(plan.folder(step)).record for step in plan.steps if step.state == "cached"]
    gates = [record.counts for record in made if record.step == "gate"]
    return {
        "settings": list(case.settings),
        "policy": case.policy,
        "accuracy": {
            k: {code: round(share, 4) for code, (share, _) in row.items()} for k, row in accuracies(tables).items()
        },
        "gain": gains(tables[0], tables[last]) if last else {},
        "reward_accuracy": reward_accuracy(plan),
        "fired": [one for counts in gates for one in counts["fired"]],
        "ending": plan.ending.why if plan.ending else None,
        "result": plan.result,
        "seconds": round(sum(record.rate.elapsed_s for record in made)),  # of its steps, whichever case made them
    }


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Rank correlation, ties by mean rank; 0 where one side is constant."""
    ranks = [pl.Series(side).rank("average").to_numpy() for side in (x, y)]
    if min(np.ptp(side) for side in ranks) == 0:
        return 0.0
    return float(np.corrcoef(*ranks)[0, 1])


def rank_correlation(points: Mapping[str, list[tuple[float, float]]], resamples: int = 10_000) -> dict[str, float]:
    """Of reward accuracy and gain over worlds and languages; whole worlds are resampled."""
    names = sorted(points)
    random, draws = np.random.default_rng(0), []
    for _ in range(resamples):
        drawn = [point for at in random.integers(0, len(names), len(names)) for point in points[names[at]]]
        x, y = np.array(drawn).T
        draws.append(spearman(x, y))
    x, y = np.array([point for name in names for point in points[name]]).T
    low, high = np.quantile(draws, [0.025, 0.975])
    return {"value": spearman(x, y), "low": float(low), "high": float(high), "points": len(x), "worlds": len(names)}


def numbers(names: Iterable[str] = CASES) -> dict[str, Any]:
    """Every case that is named, and over the worlds the rank correlation."""
    found = {name: outcome(CASES[name]) for name in names}
    points = {
        name: [(one["reward_accuracy"][code][0], one["gain"][code][0]) for code in OTHERS
               if one["reward_accuracy"].get(code) is not None]
        for name, one in found.items()
        if name.startswith("world-")
    }  # fmt: skip
    return {"cases": found, "rank_correlation": rank_correlation(points) if len(points) > 1 else None}


if __name__ == "__main__":
    print(json.dumps(numbers(sys.argv[1:] or CASES), indent=1))
