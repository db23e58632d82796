"""What alpaca_eval 0.6.6 makes of the same rows. Runs in its environment, .venv/alpaca_eval (see the Makefile).

    .venv/alpaca_eval/bin/python tests/parity/alpaca_eval_check.py JOB.json OUT.json

JOB  {"rows": [{instruction, output_1, output_2}], "base_url": "...", "template": "FILE", "seed": 0,
      "scored": {name: [{preference, output_1, output_2}]}, "outputs": "model_outputs_de.json" or null}
OUT  {"preferences": [...], "switched": [...], "scores": {name: {...}}, "loaded": {...}}

alpaca_eval reads df_gamed.csv from the Hub even for a model that does not use it; here that one download is answered by
a file with a row for each index and no information.
"""

from __future__ import annotations

import json
import math
import os
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

INDEXES = 805


def main(job: dict[str, Any], work: Path) -> dict[str, Any]:
    """Do all parts of the job that are there."""
    os.environ["OPENAI_API_KEY"] = "none"
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["OPENAI_MAX_CONCURRENCY"] = "8"
    warnings.simplefilter("ignore")
    return {
        **(_judge(job, work) if job.get("rows") else {}),
        "scores": _scores(job.get("scored") or {}, work),
        "loaded": _load(job["outputs"]) if job.get("outputs") else None,
    }


def _judge(job: dict[str, Any], work: Path) -> dict[str, Any]:
    import pandas as pd
    import yaml
    from alpaca_eval.annotators import PairwiseAnnotator
    from alpaca_eval.processors import RandomSwitchTwoColumnsProcessor

    folder = work / "judge"
    folder.mkdir()
    config = {
        "prompt_template": str(Path(job["template"]).resolve()),
        "fn_completions": "openai_completions",
        "completions_kwargs": {
            "model_name": "gpt-4-on-loopback",
            "max_tokens": 1,
            "temperature": 1,
            "logprobs": True,
            "top_logprobs": 5,
            "price_per_token": 0,
            "openai_api_base": job["base_url"],
            "client_config_path": str(work / "no_clients.yaml"),
        },
        "fn_completion_parser": "logprob_parser",
        "completion_parser_kwargs": {"numerator_token": "m", "denominator_tokens": ["m", "M"], "is_binarize": False},
        "completion_key": "completions_all",
        "batch_size": 1,
    }
    (folder / "configs.yaml").write_text(yaml.safe_dump({"judge": config}))
    annotator = PairwiseAnnotator(annotators_config="judge", base_dir=work, seed=job["seed"], caching_path=None)
    rows = [{**row, "place": place} for place, row in enumerate(job["rows"])]
    found = annotator.annotate_pairs(rows)
    preferences = {(row["instruction"], row["output_1"], row["output_2"]): row["preference"] for row in found}
    # The order is a column that alpaca_eval drops again, so it is asked of the processor that makes it.
    switch = RandomSwitchTwoColumnsProcessor(
        two_columns_to_switch=["output_1", "output_2"],
        random_seed_columns=["instruction"],
        _switch_column="is_switched_outputs",
        seed=job["seed"],
    )
    switched = switch.preprocess(pd.DataFrame(rows))["is_switched_outputs"]
    keys = [(row["instruction"], row["output_1"], row["output_2"]) for row in rows]
    return {
        "preferences": [_number(preferences.get(key)) for key in keys],
        "switched": [bool(value) for value in switched],
    }


def _scores(sets: dict[str, list[dict[str, Any]]], work: Path) -> dict[str, dict[str, Any]]:
    """Every number of alpaca_eval for each set, with the length-controlled win rate in the minimal form.

    `unshrunk` is the same fit with the penalty that cross-validation would choose put to nothing.
    """
    from alpaca_eval.metrics import glm_winrate

    gamed = work / "df_gamed.csv"
    lines = [f"m,{index},0.0,1.0,0.0,False" for index in range(INDEXES)]
    header = "model,index,instruction_difficulty,preference,std_delta_len,not_gamed_baseline"
    gamed.write_text("\n".join([header, *lines]) + "\n")
    glm_winrate.hf_hub_download = lambda **_: str(gamed)
    found = {}
    for name, rows in sets.items():
        rows = [{**row, "generator_1": "reference", "generator_2": "model", "annotator": "judge"} for row in rows]
        scores = glm_winrate.get_length_controlled_winrate(
            rows, glm_name="length_controlled_minimal", save_weights_dir=None
        )
        found[name] = {key: _number(value) for key, value in scores.items()}
        minimal = glm_winrate.GLM_INFO["length_controlled_minimal"]
        unshrunk = glm_winrate.get_length_controlled_winrate(
            rows,
            glm_name="length_controlled_minimal",
            save_weights_dir=None,
            glm_info={**minimal, "kwargs": {"n_splits": 0, "C": 1e9, "tol": 1e-10, "max_iter": 10_000}},
        )
        found[name]["unshrunk"] = _number(unshrunk["length_controlled_winrate"])
    return found


def _load(path: str) -> dict[str, Any]:
    from alpaca_eval import utils

    frame = utils.load_or_convert_to_dataframe(path)
    return {"rows": len(frame), "columns": sorted(frame.columns), "first": dict(frame.iloc[0])}


def _number(value: Any) -> float | None:
    if value is None or math.isnan(value):
        return None
    return float(value)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        result = main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(scratch))
    Path(sys.argv[2]).write_text(json.dumps(result, allow_nan=False), encoding="utf-8")
