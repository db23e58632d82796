"""From what a gate found to how the run goes on; what each act means, the gate's own page says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from lidr.evals.compare import METRICS
from lidr.steps.evaluate import Scores
from lidr.steps.gate.evidence import Evidence, Finding, Findings
from lidr.steps.gate.signatures import Act
from lidr.steps.step_kind import StepRun

if TYPE_CHECKING:
    import pyarrow as pa


def parent_of(run: StepRun) -> int:
    """The iteration whose policy entered this one."""
    before = run.inputs.get(f"{Findings.name}_{run.iteration - 1}")
    return run.iteration - 1 if before is None else int(before.record.counts["decision"]["policy"])


class _Candidates(NamedTuple):
    scores: dict[int, float]  # iteration -> mean score, 0-1; empty where nothing was evaluated
    allowed: list[int]  # iterations that were neither rolled back nor stopped, the first policy among them

    def best(self, otherwise: int) -> int:
        known = [k for k in self.allowed if k in self.scores]
        return max(known, key=lambda k: (self.scores[k], -k)) if known else otherwise


def gate_counts(run: StepRun, evidence: Evidence, findings: list[Finding], fired: Mapping[str, Act]) -> dict[str, Any]:
    """What the record says: what fired and why, every policy's score, which is best, and how the run goes on."""
    is_given_up = bool({"stop", "roll_back"} & set(fired.values()))
    candidates = _candidates(run, is_given_up)
    best = candidates.best(otherwise=evidence.parent if is_given_up else run.iteration)
    gains = _gains(evidence)
    saturated = _saturated(run, gains, evidence.parent)
    said = [{"signature": f.signature, "act": fired[f.signature], "says": f.text()} for f in findings if f.fires]
    decision = _decision(run, fired, said, best, saturated)
    return {
        "findings": len(findings),
        "fired": said,
        "quiet": [name for name in run.config.signatures if name not in fired],
        "is_given_up": is_given_up,
        "parent": evidence.parent,
        "scores": {str(k): value for k, value in candidates.scores.items()},
        "best": best,
        "gains": gains,
        "saturated": saturated,
        "decision": decision,
    }


def _candidates(run: StepRun, is_given_up: bool) -> _Candidates:
    earlier = {k: run.inputs[f"{Findings.name}_{k}"].record.counts for k in range(1, run.iteration)}
    allowed = [0, *(k for k, counts in earlier.items() if not counts["is_given_up"])]
    scores = {k: float(v) for counts in earlier.values() for key, v in counts["scores"].items() for k in [int(key)]}
    if f"{Scores.name}_0" in run.inputs:
        scores[0] = mean_score(run.inputs[f"{Scores.name}_0"].read())
    if Scores.name in run.inputs:
        scores[run.iteration] = mean_score(run.inputs[Scores.name].read())
    return _Candidates(dict(sorted(scores.items())), allowed if is_given_up else [*allowed, run.iteration])


def mean_score(scores: pa.Table) -> float:
    """Unweighted mean over benchmarks and languages of each benchmark's first score, as a share of its span, 0-1."""
    import polars as pl

    first = {name: metrics[0] for name, metrics in METRICS.items()}
    is_first = [(pl.col("benchmark") == name) & (pl.col("metric") == one.item) for name, one in first.items()]
    rows = pl.DataFrame(scores).filter(pl.any_horizontal(is_first))
    means = rows.group_by("benchmark", "language").agg(pl.col("value").mean()).drop_nulls()
    found = [value / (first[name].span or (0.0, 1.0))[1] for name, _, value in means.sort(means.columns).iter_rows()]
    return sum(found) / len(found) if found else 0.0


def _gains(evidence: Evidence) -> list[dict[str, Any]]:
    """Paired gain of the mean of the non-dominant languages over the policy that entered the iteration."""
    if Scores.name not in evidence.inputs or evidence.parent not in evidence.evaluated:
        return []
    return [
        {"benchmark": one.benchmark, "metric": one.metric, "baseline": evidence.parent, **one.number.as_json()}
        for one in evidence.score_changes(evidence.parent, evidence.others)
    ]


def _saturated(run: StepRun, gains: list[dict[str, Any]], parent: int) -> str | None:
    """Why `repeat: until_saturated` ends here: no benchmark shows a gain; None where one does, or nobody asked."""
    if run.recipe.repeat != "until_saturated" or any(one["low"] is not None and one["low"] > 0 for one in gains):
        return None
    shown = "; ".join(
        f"{one['metric']} of {one['benchmark']} {one['value']:+.3f} [{one['low']:+.3f}, {one['high']:+.3f}]"
        for one in gains
        if one["low"] is not None
    )
    return (
        f"saturated after iteration {run.iteration}: the mean gain of the non-dominant languages over iter_{parent} "
        f"cannot be told from 0 ({shown or 'nothing could be compared'})"
    )


def _decision(
    run: StepRun, fired: Mapping[str, Act], said: list[dict[str, str]], best: int, saturated: str | None
) -> dict[str, Any]:
    """As stored; `decide` reads it."""
    stops = [one for one in said if one["act"] == "stop"]
    is_given_up = bool({"stop", "roll_back"} & set(fired.values()))
    ends = saturated
    if stops:
        why = "; ".join(f"{one['signature']}: {one['says']}" for one in stops)
        ends = f"iter_{run.iteration}/gate stopped the run ({why}); the best policy is that of iter_{best}"
    elif saturated:
        ends = f"{saturated}; the best policy is that of iter_{best}"
    changes = run.config.reweight.changes if "reweight" in fired.values() else {}
    return {
        "policy": best if is_given_up or ends else run.iteration,
        "best": best,
        "ends": ends,
        "is_negative": bool(stops) or (ends is not None and best == 0),
        "changes": {step: dict(settings) for step, settings in changes.items()},
    }
