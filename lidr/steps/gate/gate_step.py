"""gate: what to do when a failure signature shows. Written after `evaluate`, or before `train` for the pairs alone.

    - gate:
        dominant_worse: {act: roll_back}
        no_gain: {act: warn}
        reward_signal: {act: stop, below: 0.5}
        collapse: {act: stop}

Its rows are all numbers that it looked at, each beside its limit (`lidr/steps/gate/signatures.py`). What it may do:

    warn        the record, the card and the report say it
    reweight    all later iterations train with other settings: `reweight`
    roll_back   this iteration's policy is given up: the next iteration starts from the best one before it, and where
                there is none, that one is the run's result
    stop        nothing more is made or published; the best policy before is the run's result; exit code 3

The best policy is the one with the highest score, an unweighted mean over all languages, among the first policy and
those of iterations that were neither rolled back nor stopped; of equals the earlier one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import Field, model_validator

from lidr.errors import PlanError
from lidr.evals import JUDGED
from lidr.recipe import Frozen, Recipe
from lidr.rows import DominantPairs, Pair, Response, RowType, Translation
from lidr.steps.evaluate import EvaluateConfig, Scores
from lidr.steps.gate.evidence import Evidence, Finding, Findings
from lidr.steps.gate.gate_decision import gate_counts, parent_of
from lidr.steps.gate.signatures import (
    Artefacts,
    Collapse,
    DominantWorse,
    NoGain,
    RewardSignal,
    ScorerSignal,
    Signature,
    artefacts,
    collapse,
    dominant_worse,
    no_gain,
    reward_signal,
    scorer_signal,
)
from lidr.steps.measure import Measures, can_referee, referees_of_scorers
from lidr.steps.step_kind import Changes, Decision, Expected, Outcome, Policy, Scale, StepKind, StepRun, Surroundings


class Reweight(Frozen):
    """What `reweight` changes in all later iterations."""

    dominant_pairs: DominantPairs | None = "none"
    """Of `pair`; null leaves the recipe's. The dominant language falls most of all through its own pairs."""
    nll_weight: float | None = Field(None, ge=0)
    """Of `train`: alpha; null leaves the recipe's."""

    @property
    def changes(self) -> Changes:
        """As settings of the steps."""
        found: dict[str, dict[str, Any]] = {}
        if self.dominant_pairs is not None:
            found["pair"] = {"dominant_pairs": self.dominant_pairs}
        if self.nll_weight is not None:
            found["train"] = {"nll.weight": self.nll_weight}
        return found


class GateConfig(Frozen):
    """The signatures that are looked for, each off until named.

    Of each benchmark that `evaluate` names one score counts, its first in `lidr.evals.compare.metrics`, for
    `dominant_worse`, `no_gain`, the end of a repetition and the best policy alike: accuracy of MGSM, win rate of
    X-AlpacaEval (not the length-controlled one, which is no mean over items). Each benchmark is looked at by itself,
    and the best policy is that of the highest mean over all of them.
    """

    dominant_worse: DominantWorse | None = None
    no_gain: NoGain | None = None
    reward_signal: RewardSignal | None = None
    scorer_signal: ScorerSignal | None = Field(None, exclude_if=lambda value: value is None)
    artefacts: Artefacts | None = None
    collapse: Collapse | None = None
    reweight: Reweight = Reweight()

    @model_validator(mode="after")
    def _reweight_says_something(self) -> GateConfig:
        if any(one.act == "reweight" for one in self.signatures.values()) and not self.reweight.changes:
            raise ValueError("act: reweight changes nothing: give reweight a dominant_pairs or an nll_weight")
        return self

    @property
    def signatures(self) -> dict[str, Signature]:
        """Those that are named."""
        return {name: one for name in _LOOK if (one := getattr(self, name)) is not None}


_LOOK: Mapping[str, Callable[[Evidence, Any], list[Finding]]] = {
    "dominant_worse": dominant_worse,
    "no_gain": no_gain,
    "reward_signal": reward_signal,
    "scorer_signal": scorer_signal,
    "artefacts": artefacts,
    "collapse": collapse,
}

_NEEDS: Mapping[str, tuple[RowType, ...]] = {
    "dominant_worse": (Scores,),
    "no_gain": (Scores,),
    "reward_signal": (Measures,),
    "scorer_signal": (Measures,),
    "artefacts": (Response, Translation, Pair),
    "collapse": (Policy, Scores),
}


def run_gate(run: StepRun) -> Outcome:
    """Look for every signature, write down all numbers, and decide how the run goes on."""
    import pyarrow as pa

    config: GateConfig = run.config
    languages = run.recipe.languages
    evidence = Evidence(run.inputs, languages.dominant, languages.others, parent_of(run))
    run.progress.start(len(config.signatures), "signatures")
    findings: list[Finding] = []
    for name, signature in config.signatures.items():
        findings += _LOOK[name](evidence, signature)
        run.progress.add()
    acts = {name: signature.act for name, signature in config.signatures.items()}
    rows = [finding.row(acts[finding.signature]) for finding in findings]
    run.out.data.write(pa.Table.from_pylist(rows, Findings.schema))
    fired = [finding for finding in findings if finding.fires]
    return Outcome(gate_counts(run, evidence, findings, {f.signature: acts[f.signature] for f in fired}),
                   run.progress.rate())  # fmt: skip


def decide_gate(counts: Mapping[str, Any]) -> Decision:
    """What a gate's record says about the iterations after it."""
    return Decision(**counts["decision"])


def also_read_gate(config: GateConfig) -> tuple[RowType, ...]:
    """What the named signatures are read from."""
    return tuple(dict.fromkeys(rows for name in config.signatures for rows in _NEEDS[name]))


def outside_gate(around: Surroundings, config: GateConfig) -> dict[str, Any]:
    """Nothing; but what the recipe's other steps must give a gate is checked here, before anything runs.

    Raises:
        PlanError: the gate could not see what it looks for, or could not do what it is to do.
    """
    recipe = around.recipe
    steps = {step.name: step.config for step in recipe.chain}
    names = list(steps)
    before = names[: names.index("gate")]
    if recipe.repeat is not None and "evaluate" not in before:
        raise PlanError(f"repeat: {recipe.repeat} is decided by a gate from scores: put evaluate before gate")
    if "train" in names and "train" not in before:
        late = [name for name, one in config.signatures.items() if one.act == "roll_back"]
        if late:
            raise PlanError(f"gate.{late[0]}.act: roll_back gives up a policy that is trained: put gate after train")
    if config.reward_signal is not None and "measure" in steps and not can_referee(steps["measure"]):
        raise PlanError("gate.reward_signal needs reward accuracy: give measure a judge, or gold answers")
    if config.scorer_signal is not None:
        _check_scorer(config.scorer_signal, steps)
    if "evaluate" in before:
        if "train" in names[names.index("evaluate") :]:
            raise PlanError(
                "gate: evaluate stands before train, so it scores the policy that enters an iteration, not the one "
                "that it makes: put evaluate and gate after train"
            )
        _check_scores(recipe, config, steps["evaluate"])
    if any(one.act == "reweight" for one in config.signatures.values()):
        _check_reweight(config.reweight, steps)
    return {}


def _check_scorer(signal: ScorerSignal, steps: Mapping[str, Any]) -> None:
    """Refuse a scorer that nothing is known of."""
    if not {"score", "measure"} <= set(steps):
        return  # without `measure` the chain is refused
    given, referees = list(steps["score"].given), referees_of_scorers(steps["measure"], steps["score"].given)
    if not referees:
        raise PlanError("gate.scorer_signal needs a referee: give measure gold answers or a judge, or score with one")
    if signal.scorer is not None and signal.scorer not in given:
        said = f"the step score has no such scorer; it has {', '.join(given)}"
        raise PlanError(f"gate.scorer_signal.scorer: {signal.scorer}: {said}")
    if len(referees) == 1 and {signal.scorer or name for name in given} == set(referees):
        where, there = ("", " in score") if signal.scorer is None else (".scorer", "")
        said = f"{referees[0]} is the referee, and is not held against itself; name another{there}"
        raise PlanError(f"gate.scorer_signal{where}: {said}")
    if getattr(steps.get("generate"), "n", None) == 1:
        raise PlanError(
            "gate.scorer_signal compares answers to a prompt in a language, and generate.n is 1: say 2 or more, or "
            "take scorer_signal out"
        )


def _check_scores(recipe: Recipe, config: GateConfig, asked: EvaluateConfig) -> None:
    """Refuse an evaluation that gives none of the scores that are compared: the gate would say nothing, for ever."""
    dominant, others = recipe.languages.dominant, recipe.languages.others
    readers = {"gate.dominant_worse": config.dominant_worse, "gate.no_gain": config.no_gain, "repeat": recipe.repeat}
    for name in (name for name, one in readers.items() if one is not None):
        if asked.judge is None and set(asked.tasks) <= set(JUDGED):
            raise PlanError(f"{name} reads scores, and {', '.join(asked.tasks)} has none without evaluate.judge")
        wanted = (dominant,) if name == "gate.dominant_worse" else others
        if not set(wanted) & set(asked.languages or wanted):
            raise PlanError(f"{name} reads scores in {', '.join(wanted)}: evaluate.languages has none of them; add one")


def _check_reweight(reweight: Reweight, steps: Mapping[str, Any]) -> None:
    """Refuse a change that no later iteration would show."""
    places = {"dominant_pairs": "pair", "nll_weight": "train"}
    wanted = {name: value for name in places if (value := getattr(reweight, name)) is not None}
    for name in wanted:
        if places[name] not in steps:
            raise PlanError(
                f"gate.reweight.{name} is a setting of {places[name]}, which the chain lacks: set it to null"
            )
    if "nll_weight" in wanted and steps["train"].method == "sft":
        raise PlanError("gate.reweight.nll_weight weighs the NLL beside DPO, and method sft has no DPO: set it to null")
    has = {"dominant_pairs": lambda: steps["pair"].dominant_pairs, "nll_weight": lambda: steps["train"].nll.weight}
    if all(has[name]() == value for name, value in wanted.items()):
        raise PlanError("gate.reweight says what pair and train have already: give it another value, or another act")


def expect_gate(config: GateConfig, scale: Scale) -> Expected:
    """The signatures."""
    return Expected(len(config.signatures), "signatures")


STEP = StepKind(
    name="gate",
    config=GateConfig,
    reads=(),
    also_reads=also_read_gate,
    takes=(Scores,),
    writes=Findings,
    run=run_gate,
    expects=expect_gate,
    uses=("languages", "repeat", "iteration.number"),
    outside=outside_gate,
    looks_back=True,
    decides=decide_gate,
)
