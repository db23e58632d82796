"""Several processes that train together make the policy of one process, for any number of pairs."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from safetensors.torch import load_file

from lidr.train.training_spec import LoraSpec, TrainResult, TrainSpec
from tests.train.runs import row, rows, run_here, write_pairs

ROOT = Path(__file__).parents[2]

MakeSpec = Callable[..., TrainSpec]

SETTINGS: Sequence[dict[str, Any]] = [
    *({"nll_per": per, "method": method} for per in ("sequence", "token", "batch") for method in ("dpo_nll", "sft")),
    {"lora": LoraSpec(rank=4), "nll_per": "token", "learning_rate": 1e-3},
    {"lora": LoraSpec(rank=4), "nll_per": "batch", "method": "sft", "learning_rate": 1e-3},
    {"reference": "initial", "loss": "ipo"},
    {"epochs": 2.5},
    {"trl": {"f_divergence_type": "js_divergence", "ld_alpha": 0.5}},
]


WEIGHED: Sequence[dict[str, Any]] = [
    {"nll_per": "sequence"},
    {"nll_per": "batch", "loss": "ipo"},
    {"nll_per": "batch", "method": "sft"},
]


def some_pairs(folder: Path, count: int, *, weighed: bool = False) -> tuple[str]:
    """A table of as many pairs as are asked for, each with a weight of its own where they have any."""
    several = [
        row(f"{turn}/{one['pair_id']}", f"{turn}. {one['prompt'][0]['content']}", *sides, one["language"], one["kind"])
        for turn in range(count // 8 + 1)
        for one in rows()
        for sides in [[one[side][0]["content"] for side in ("chosen", "rejected")]]
    ]
    if weighed:
        several = [one | {"weight": 0.25 + place % 7} for place, one in enumerate(several)]
    return (str(write_pairs(folder / f"pairs{count}{'w' * weighed}.parquet", several[:count])),)


class Together(NamedTuple):
    """What came out of a run in several processes, and how many numbers of each model in parts the first one held."""

    result: TrainResult
    held: list[int]


def run_together(
    specs: Sequence[TrainSpec], folder: Path, processes: int, stops: Sequence[int | None] = ()
) -> list[Together]:
    """Run them in several processes, by torchrun; those that are to stop after a step have no result."""
    files = [folder / name for name in ("specs.json", "results.json")]
    stopping = zip_longest(specs, stops)
    given = [{**dataclasses.asdict(spec), **({"stop": stop} if stop else {})} for spec, stop in stopping if spec]
    files[0].write_text(json.dumps(given))
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    subprocess.run(
        [*launcher, "-m", "tests.train.several_runs", *map(str, files)],
        check=True,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    found = json.loads(files[1].read_text())
    return [Together(TrainResult.from_json(one["result"]), one["held"]) for one in found]


def assert_same(one: TrainResult, several: TrainResult) -> None:
    """The same numbers, but for the last digits."""
    assert (one.pairs_trained, len(one.steps)) == (several.pairs_trained, len(several.steps))
    for alone, shared in zip(one.steps, several.steps, strict=True):
        for name in ("loss", "dpo", "nll", "margin", "accuracy", "learning_rate"):
            # a margin is the small difference of large float32 sums: it has no relative precision
            expected = getattr(alone, name)
            assert getattr(shared, name) == (expected and pytest.approx(expected, rel=2e-6, abs=2e-5)), name
    for alone, shared in zip(one.groups, several.groups, strict=True):
        assert (alone.language, alone.kind, alone.pairs) == (shared.language, shared.kind, shared.pairs)
        assert shared.margin == pytest.approx(alone.margin, abs=1e-4)


def distance(one: TrainSpec, other: TrainSpec) -> float:
    """The largest difference between two trained weights."""
    left, right = (load_file(Path(spec.model_out) / "model.safetensors") for spec in (one, other))
    assert {*left} == {*right}
    return max(float((left[name] - right[name]).abs().max()) for name in left)


@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 3])
def test_several_processes_make_the_policy_of_one(spec: MakeSpec, tmp_path: Path, processes: int) -> None:
    cases = [(count, SETTINGS[0], False) for count in (1, 2, 3, 5, 12, 13, 19)]
    cases += [(count, settings, False) for settings in SETTINGS[1:] for count in (7, 12 + 3)]
    cases += [(count, settings, True) for settings in WEIGHED for count in (7, 12 + 3)]
    if not os.environ.get("LIDR_PROVE"):
        cases = cases[processes % 3 :: 3]  # all with `make prove replicas`
    common = {"batch": 6 * 2, "micro_batch": 2, "learning_rate": 1e-4, "max_grad_norm": 1.0}
    changes = [
        {**common, "pairs": some_pairs(tmp_path, count, weighed=weighed), **settings}
        for count, settings, weighed in cases
    ]
    for change in changes:
        # AdamW divides a gradient that is zero but for rounding by its own size: not with an epsilon above that
        change["trl"] = {"adam_epsilon": 1e-4, **change.get("trl", {})}
    alone, shared = ([spec(**change) for change in changes] for _ in range(2))
    together = run_together(shared, tmp_path, processes)
    for case, one, several, found in zip(cases, alone, shared, together, strict=True):
        assert_same(run_here(one), found.result)
        assert distance(one, several) < 1e-6, case


HALF = 32_928 // 2  # of the tiny policy's weights

PARTS: Sequence[dict[str, Any]] = [
    {},
    {"nll_per": "token", "reference": "initial", "max_grad_norm": 0.5},
    {"lora": LoraSpec(rank=4), "learning_rate": 1e-3},
    {"method": "sft", "gradient_checkpointing": True},
]


@pytest.mark.slow
def test_a_policy_in_parts_becomes_the_policy_of_one_process(spec: MakeSpec, tmp_path: Path) -> None:
    common = {"batch": 4, "micro_batch": 2, "learning_rate": 1e-4, "max_grad_norm": 1.0, "epochs": 2.0}
    changes = [{**common, "pairs": some_pairs(tmp_path, 13), **settings} for settings in PARTS]
    alone, shared = [spec(**change) for change in changes], [spec(**change, sharding="fsdp") for change in changes]
    resumed = [spec(**changes[place], sharding="fsdp", save_steps=2) for place in (0, 2)]
    stops = [None] * len(shared) + [5, 5]
    *together, full, lora = run_together([*shared, *resumed, *resumed], tmp_path, 2, stops)
    cases = zip([*alone, alone[0], alone[2]], [*shared, *resumed], [*together, full, lora], strict=True)
    results: dict[str, TrainResult] = {}
    for one, several, found in cases:
        if one.work not in results:
            results[one.work] = run_here(one)
        result = results[one.work]
        assert_same(result, found.result)
        assert {*found.held} == {HALF}
        assert distance(one, several) < 1e-6
