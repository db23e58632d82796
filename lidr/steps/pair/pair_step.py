"""pair: answers and self-translations become preference pairs. The method itself is `lidr/transforms/pairs.py`.

The tables stream through in batches of whole prompts, so memory does not grow with their length.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from lidr.errors import PlanError, RowError
from lidr.resources import resolve_source
from lidr.rows import SAMPLE, Pair, Prompt, Response, RowType, Translation
from lidr.steps.ledger import Ledger
from lidr.steps.pair.language_bound_prompts import Detection, rules_file
from lidr.steps.pair.pair_config import PairConfig
from lidr.steps.pair.sampled import sampled_pairs
from lidr.steps.pair.selection_bias import SelectionBias
from lidr.steps.pair.written_pairs import pair_rows, with_source_thoughts
from lidr.steps.score import AnswerScores, scorer_of
from lidr.steps.side_by_side import PROMPTS_PER_BATCH, aligned
from lidr.steps.step_kind import (
    Expected,
    Outcome,
    Policy,
    Scale,
    StepKind,
    StepRun,
    Surroundings,
    Unresolved,
    identity_of,
)
from lidr.store import file_sha256, written_behind


def run_pair(run: StepRun) -> Outcome:
    """Build every slot of the iteration and account for each."""
    return _from_scores(run) if run.config.from_ == "scores" else _from_translations(run)


def _from_scores(run: StepRun) -> Outcome:
    import polars as pl

    from lidr.transforms import sampled_reasons

    run.progress.start(run.inputs[Prompt.name].rows, "slots")
    ledger = Ledger(run, sampled_reasons())
    pairs, counts = sampled_pairs(run, ledger)
    if _trains_thoughts(run):
        pairs = with_source_thoughts(pairs, pl.DataFrame(run.inputs[Response.name].read()))
    run.out.data.write(pair_rows(pairs, run.iteration, run.inputs[Policy.name].name, run.recipe.system_prompt))
    run.progress.add(run.inputs[Prompt.name].rows)
    return Outcome(ledger.counts() | counts, run.progress.rate())


def _from_translations(run: StepRun) -> Outcome:
    """Batch by batch."""
    import polars as pl

    from lidr.transforms import PairRules, build_pairs, reasons_of, translated_answers

    config: PairConfig = run.config
    languages = run.recipe.languages
    rules = PairRules(
        dominant=languages.dominant,
        others=languages.others,
        dominant_pairs=config.dominant_pairs,
        drop=config.drop,
        bound=frozenset(_bound_ids(config, run.around.recipe_folder)),
        translation_type=config.translation_type.policy if config.translation_type else "translate",
        accept=config.accept,
        truncated=config.truncated,
        seed=run.recipe.seed,
        one=config.one,
    )
    detection = Detection(run)
    inputs = [run.inputs[rows.name] for rows in (Prompt, Response, Translation)]
    numbers, batch = SAMPLE in inputs[1].columns, len(languages.all) * PROMPTS_PER_BATCH
    policy, thinks = run.inputs[Policy.name].name, _trains_thoughts(run)
    run.progress.start(inputs[0].rows // len(languages.all), "prompts")
    ledger, selection = Ledger(run, reasons_of(rules)), SelectionBias()
    with written_behind(run.out.data) as write:
        for prompts, responses, translations in aligned(inputs, batch, thoughts=thinks, numbers=numbers):
            rules = replace(rules, detected=detection(prompts))
            responses = translated_answers(responses, translations)
            result = build_pairs(prompts, responses, translations, rules=rules)
            selection.add(result, prompts, responses, rules)
            made = with_source_thoughts(result.pairs, responses) if thinks else result.pairs
            write(pair_rows(made, run.iteration, policy, run.recipe.system_prompt))
            ledger.drop(result.dropped, step="pair")
            ledger.keep(result.pairs)
            ledger.not_requested(result.not_requested)
            run.progress.add(prompts.select(pl.col("prompt_id").n_unique()).item())
    return Outcome(ledger.counts() | selection.counts() | detection.counts(), run.progress.rate())


def _trains_thoughts(run: StepRun) -> bool:
    """Whether the recipe trains on thoughts, and there are any."""
    reasoning = run.recipe.policy.reasoning
    return reasoning is not None and reasoning.train and "reasoning" in run.inputs[Response.name].columns


def identity_pair(config: PairConfig) -> dict[str, Any]:
    """All settings; lists of language-bound prompts and of rules count by content (see outside_pair), not by place."""
    kept = identity_of(config, later=("one", "from_", "by", "select", "sigmas", "pool", "length_control", "weight"))
    kept.pop("min_kept", None)
    if config.translation_type is not None:
        later = identity_of(config.translation_type, later=("detector",))
        kept["translation_type"] = {name: value for name, value in later.items() if name != "ids"}
        if config.translation_type.detector is not None:
            del kept["translation_type"]["detector"]["rules"]
    return kept


def outside_pair(around: Surroundings, config: PairConfig) -> dict[str, Any]:
    """The list of language-bound prompts, and that of the rules that find more, are identity by their content."""
    reasoning = around.recipe.policy.reasoning
    found: dict[str, Any] = {"thoughts": True} if reasoning is not None and reasoning.train else {}
    if config.from_ == "scores":
        scorer_of(around, config.by)
        _check_several_answers(around, config)
        return found
    _check_one_answer(around)
    if (path := _ids_file(config, around.recipe_folder)) is not None:
        found["translation_type_ids"] = file_sha256(path)
    detector = config.translation_type.detector if config.translation_type else None
    if detector is not None:
        rules = rules_file(detector, around.recipe.languages.dominant, around.recipe_folder)
        found["translation_type_rules"] = file_sha256(rules)
    return found


def _check_one_answer(around: Surroundings) -> None:
    """Refuse several translated answers to a prompt: a slot has one pair."""
    settings = {step.name: step.config for step in around.recipe.chain}
    n = getattr(settings.get("generate"), "n", 1)
    if n > 1 and getattr(settings.get("translate"), "best_by", None) is None:
        raise PlanError(
            f"pair.from: generate.n gives {n} answers to a prompt, and a pair from translations takes one: say "
            "translate.best_by: SCORER, which translates the best, or pair from: scores"
        )


def _check_several_answers(around: Surroundings, config: PairConfig) -> None:
    """Refuse one answer in each language where both sides of a pair are to come from the same language."""
    n = next((step.config.n for step in around.recipe.chain if step.name == "generate"), None)
    if n == 1 and config.pool == "language":
        raise PlanError(
            "pair.pool: language compares answers to a prompt within a language, and generate.n is 1: no slot can give "
            "a pair; say generate.n: 2 or more with a temperature above 0, or pool: all, which compares over languages"
        )


def _ids_file(config: PairConfig, folder: Path) -> Path | None:
    if config.translation_type is None or config.translation_type.ids is None:
        return None
    path = resolve_source(config.translation_type.ids, folder)
    if path is None:
        raise Unresolved(
            f"pair.translation_type.ids: {config.translation_type.ids}: set LIDR_DATA to the folder that holds it, or "
            "give --data"
        )
    if not path.is_file():
        raise PlanError(f"pair.translation_type.ids: no file {path}; give a text file with one prompt id a line")
    return path


def _bound_ids(config: PairConfig, folder: Path) -> list[str]:
    path = _ids_file(config, folder)
    try:
        lines = path.read_text(encoding="utf-8").splitlines() if path else []
    except UnicodeDecodeError as error:
        raise RowError(f"{path}: not UTF-8 at byte {error.start}; save the file as UTF-8") from None
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def also_read_pair(config: PairConfig) -> tuple[RowType, ...]:
    """What pairs are made from, beside the answers."""
    return (AnswerScores,) if config.from_ == "scores" else (Translation,)


def expect_pair(config: PairConfig, scale: Scale) -> Expected:
    """At most 2 N L pairs, or N (L + 1) from scores; fewer by the settings of dominant_pairs and pool."""
    if config.from_ == "scores":
        languages = 1 if config.pool == "all" else scale.languages - (config.dominant_pairs == "none")
        return Expected(scale.prompts * languages, "pairs")
    dominant = {"all": scale.slots // 2, "one": scale.prompts, "none": 0}[config.dominant_pairs]
    return Expected(scale.slots // 2 + dominant, "pairs")


STEP = StepKind(
    name="pair",
    config=PairConfig,
    reads=(Prompt, Response, Policy),
    also_reads=also_read_pair,
    writes=Pair,
    run=run_pair,
    expects=expect_pair,
    uses=("languages", "system_prompt", "seed", "iteration.number"),
    outside=outside_pair,
    identity=identity_pair,
    version=2,  # 2: texts that differ in the space around them alone are identical
)
