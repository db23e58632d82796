"""`make prove real_policy`: language imbalance and its controls on a real policy; goes on where it was stopped.

    python -m tests.prove real_policy                 all arms that are not there yet
    python -m tests.prove real_policy:sft             one: untrained, lidr, swapped, sft or strict

An arm is written to tests/proofs/real_policy.json when it is measured, with machine and commit, and then stays: take it
out of the file to have it made again. What the arms come to is reckoned from their items, and docs/methods.md is
written from that file (real_policy_page.py). LIDR_PROVE_SECONDS begins no further arm after so many seconds.
"""

from __future__ import annotations

import json
import os
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lidr.api.run_result import RunResult
from lidr.errors import LidrError
from tests.faults.parts import commit_now
from tests.methods.real_policy import (
    RECIPES,
    measure,
    pair_counts,
    rejected_elsewhere,
    run_arm,
    store,
    translation_counts,
)
from tests.methods.real_policy_outcome import against, as_json, from_json, outcome
from tests.methods.real_policy_page import write

FILE = Path(__file__).parents[1] / "proofs" / "real_policy.json"
WHAT = (
    "SmolLM2-135M-Instruct after one iteration on 200 everyday prompts in en, es, fr and de, against the same pairs "
    "swapped and against SFT: off-target answers, and the log-likelihood of reference answers to 48 held-out prompts"
)


def prove(name: str, machine: dict[str, Any]) -> int:
    """Make what is left of the named arms; 1 where lidr ended one."""
    until = time.monotonic() + float(os.environ.get("LIDR_PROVE_SECONDS", "inf"))
    wanted = name.partition(":")[2]
    if wanted and wanted not in RECIPES:
        raise SystemExit(f"real_policy: no arm {wanted}; one of {', '.join(RECIPES)}")
    for arm in [wanted] if wanted else RECIPES:
        if arm in read()["arms"] or time.monotonic() > until:
            continue
        began = time.monotonic()
        found = one_arm(arm)
        facts = {
            "seconds": round(time.monotonic() - began),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        _keep(arm, {**found, **facts, "commit": commit_now(), "machine": machine})
        write()
    return int(any("ended" in one for one in read()["arms"].values()))


def one_arm(arm: str) -> dict[str, Any]:
    """Train an arm and measure it; a run that lidr ends says why."""
    try:
        made, policy = run_arm(arm)
        made_of = {} if arm == "untrained" else of_pairs(made)
        return {**made_of, "items": as_json(measure(arm, policy))}
    except LidrError as error:
        return {"ended": str(error).replace(str(store().parent), "")}


def of_pairs(made: RunResult) -> dict[str, Any]:
    """Of what the pairs were made, and how many have a rejected text in another language."""
    counts = {"translations": translation_counts(made), "pairs": pair_counts(made)}
    return {**counts, "rejected_elsewhere": rejected_elsewhere(made)}


def read() -> dict[str, Any]:
    """What was written so far."""
    if not FILE.is_file():
        return {"proof": "real_policy", "what": WHAT, "arms": {}}
    found: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def outcomes(arms: dict[str, Any]) -> dict[str, Any]:
    """What the measured arms come to: each beside the untrained policy, and lidr beside each control."""
    items = {arm: from_json(found["items"]) for arm, found in arms.items() if "items" in found}
    before = items.pop("untrained", None)
    if before is None:
        return {}
    found = {arm: outcome(before, after) for arm, after in items.items()}
    trained = items.pop("lidr", None)
    less = {} if trained is None else {arm: against(before, control, trained) for arm, control in items.items()}
    return {"against_untrained": found, "lidr_against": less}


def _keep(arm: str, found: dict[str, Any]) -> None:
    whole = read()
    arms = {**whole["arms"], arm: found}
    whole["arms"] = {one: arms[one] for one in RECIPES if one in arms}
    whole["outcome"] = outcomes(whole["arms"])
    partial = FILE.with_suffix(".partial")
    partial.write_text(_flat(json.dumps(whole, indent=1, ensure_ascii=False)) + "\n", encoding="utf-8")
    partial.replace(FILE)


def _flat(text: str) -> str:
    """Lists of numbers and words on one line each."""
    return re.sub(r"\[\n([^][{}]*?)\n *\]", lambda found: f"[{' '.join(found[1].split())}]", text)
