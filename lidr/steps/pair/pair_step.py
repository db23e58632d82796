"""pair: answers and self-translations become preference pairs. The method itself is `lidr/transforms/pairs.py`.

The tables stream through in batches of whole prompts, so memory does not grow with their length.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pydantic import Field, model_validator

from lidr.errors import PlanError, RowError
from lidr.recipe import Frozen
from lidr.resources import resolve_source
from lidr.rows import (
    DominantPairs,
    Drop,
    OneLanguage,
    Pair,
    Prompt,
    Response,
    Translation,
    TranslationStatus,
    TranslationTypePolicy,
    Truncated,
)
from lidr.steps.ledger import Ledger
from lidr.steps.pair.language_bound_prompts import Detection, Detector, rules_file
from lidr.steps.pair.selection_bias import SelectionBias
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
from lidr.store import Artifact, file_sha256, written_behind

if TYPE_CHECKING:
    import polars as pl


PROMPTS_PER_BATCH = 500
"""Prompts joined at a time; with 4 languages and 2 kB texts about 30 MB."""


COLUMNS = (
    ("prompt_id", "language", "text"),
    ("prompt_id", "language", "text", "finish_reason"),
    ("prompt_id", "source", "target", "text", "status"),
)
"""What is read of prompts, responses and translations; raw answers stay on disk."""


class TranslationType(Frozen):
    """Prompts that are themselves bound to a language."""

    policy: TranslationTypePolicy = "keep_source"
    """keep_source: chosen is the untranslated dominant answer; skip: no non-dominant pair; translate: as any other."""
    ids: str | None = None
    """File with one prompt id a line; # starts a comment."""
    detector: Detector | None = None
    """Finds more of them by rules; for those that `ids` names too, `policy` holds."""

    @model_validator(mode="after")
    def _says_which(self) -> TranslationType:
        if self.ids is None and self.detector is None:
            raise ValueError("say which prompts: ids (a file with one prompt id a line), or detector, or both")
        return self


class PairConfig(Frozen):
    """Which pairs are made."""

    dominant_pairs: DominantPairs = "all"
    """Dominant pairs against all other languages, against one of them, or none."""
    one: OneLanguage = "hash"
    """Which one, under `dominant_pairs: one`: chosen by a hash of the prompt id, or the last of the other languages."""
    drop: Drop = "joint"
    """joint: a failed translation in either direction takes both pairs; independent: only the one that needs it."""
    translation_type: TranslationType | None = None
    """What to do with prompts that ask for a translation; null: they are pairs like any other."""
    accept: tuple[TranslationStatus, ...] = Field(("ok",), min_length=1)
    """Translation statuses whose text may stand in a pair."""
    truncated: Truncated = "keep"
    """Whether an answer cut at max_tokens may stand in a pair."""


def run_pair(run: StepRun) -> Outcome:
    """Build every slot of the iteration, batch by batch, and account for each."""
    import polars as pl

    from lidr.transforms import PairRules, build_pairs, reasons_of

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
    policy = run.inputs[Policy.name].name
    run.progress.start(inputs[0].rows // len(languages.all), "prompts")
    ledger, selection = Ledger(run, reasons_of(rules)), SelectionBias()
    with written_behind(run.out.data) as write:
        for prompts, responses, translations in aligned(inputs, len(languages.all) * PROMPTS_PER_BATCH):
            rules = replace(rules, detected=detection(prompts))
            result = build_pairs(prompts, responses, translations, rules=rules)
            selection.add(result, prompts, responses, rules)
            write(pair_rows(result.pairs, run.iteration, policy, run.recipe.system_prompt))
            ledger.drop(result.dropped, step="pair")
            ledger.keep(result.pairs)
            ledger.not_requested(result.not_requested)
            run.progress.add(prompts.select(pl.col("prompt_id").n_unique()).item())
    return Outcome(ledger.counts() | selection.counts() | detection.counts(), run.progress.rate())


def pair_rows(pairs: pl.DataFrame, iteration: int, policy: str, system_prompt: str | None) -> Any:
    """Finish the pairs table: ids, the three message lists that TRL reads, empty scores.

    The message lists share the memory of the text columns: an Arrow list of one struct a row.
    """
    import numpy as np
    import polars as pl

    named = pairs.with_columns(
        pair_id=pl.concat_str(
            pl.lit(f"{iteration}/"),
            "prompt_id",
            pl.lit("/"),
            "language",
            pl.lit("-"),
            "other_language",
            pl.lit("/"),
            "kind",
        )
    ).to_arrow(compat_level=pl.CompatLevel.oldest())
    rows = named.num_rows
    columns = {name: named[name].combine_chunks().cast(pa.string()) for name in named.schema.names}

    def messages(*turns: tuple[str, Any]) -> Any:
        offsets = np.arange(rows + 1, dtype=np.int32) * len(turns)
        roles = pa.array([role for role, _ in turns] * rows, pa.string())
        contents = turns[0][1] if len(turns) == 1 else _interleave([text for _, text in turns], rows)
        return pa.ListArray.from_arrays(offsets, pa.StructArray.from_arrays([roles, contents], ["role", "content"]))

    user = ("user", columns["prompt_text"])
    system = () if system_prompt is None else (("system", pa.array([system_prompt] * rows, pa.string())),)
    columns |= {
        "prompt": messages(*system, user),
        "chosen": messages(("assistant", columns["chosen_text"])),
        "rejected": messages(("assistant", columns["rejected_text"])),
        "iteration": pa.array(np.full(rows, iteration, np.int32)),
        "policy_in": pa.array([policy] * rows, pa.string()),
    }
    schema = Pair.schema
    return pa.table([columns.get(f.name, pa.nulls(rows, f.type)) for f in schema], schema=schema)


def _interleave(texts: Sequence[Any], rows: int) -> Any:
    import numpy as np

    order = np.arange(rows * len(texts)).reshape(len(texts), rows).T.ravel()
    return pa.concat_arrays(list(texts)).take(pa.array(order))


def aligned(inputs: Sequence[Artifact], rows: int) -> Iterator[tuple[pl.DataFrame, ...]]:
    """Read tables side by side, batch by batch, each batch holding all rows of the same prompts.

    Every artifact stands in prompt order, so each table is read once, from front to back.

    Raises:
        RowError: a table is in another order or names prompts that the first does not have.
    """
    import polars as pl

    first, *others = inputs
    cursors = [_Cursor(artifact, rows, columns) for artifact, columns in zip(others, COLUMNS[1:], strict=True)]
    carry: pl.DataFrame | None = None
    for batch in first.batches(rows, COLUMNS[0]):
        frame = pl.DataFrame(batch)
        frame = frame if carry is None else pl.concat([carry, frame])
        last = frame["prompt_id"][-1]
        carry = frame.filter(pl.col("prompt_id") == last)
        whole = frame.filter(pl.col("prompt_id") != last)
        if whole.height:
            yield (whole, *(cursor.take(whole["prompt_id"].unique()) for cursor in cursors))
    if carry is not None:
        yield (carry, *(cursor.take(carry["prompt_id"].unique()) for cursor in cursors))
    for cursor in cursors:
        cursor.expect_end()


class _Cursor:
    """Reads one table from front to back, up to the first row of a prompt that is not asked for."""

    def __init__(self, artifact: Artifact, rows: int, columns: Sequence[str]) -> None:
        self._batches = artifact.batches(rows, columns)
        self._place = artifact.record.place
        self._rest: pl.DataFrame | None = None

    def take(self, ids: pl.Series) -> pl.DataFrame:
        import polars as pl

        taken: list[pl.DataFrame] = []
        while (frame := self._next()) is not None:
            inside = frame["prompt_id"].is_in(ids.implode())
            stop = frame.height if inside.all() else int(inside.arg_min() or 0)
            taken.append(frame[:stop])
            if stop < frame.height:
                self._rest = frame[stop:]
                break
        return pl.concat(taken)

    def _next(self) -> pl.DataFrame | None:
        import polars as pl

        if self._rest is not None:
            frame, self._rest = self._rest, None
            return frame
        batch = next(self._batches, None)
        return None if batch is None else pl.DataFrame(batch)

    def expect_end(self) -> None:
        if (frame := self._next()) is not None:
            raise RowError(
                f"{self._place} has rows of the prompt {frame['prompt_id'][0]}, which is not in prompt order or not "
                f"among the prompts; make it again with --rebuild {self._place}"
            )


def identity_pair(config: PairConfig) -> dict[str, Any]:
    """All settings; lists of language-bound prompts and of rules count by content (see outside_pair), not by place."""
    kept = identity_of(config, later=("one",))
    if config.translation_type is not None:
        later = identity_of(config.translation_type, later=("detector",))
        kept["translation_type"] = {name: value for name, value in later.items() if name != "ids"}
        if config.translation_type.detector is not None:
            del kept["translation_type"]["detector"]["rules"]
    return kept


def outside_pair(around: Surroundings, config: PairConfig) -> dict[str, Any]:
    """The list of language-bound prompts, and that of the rules that find more, are identity by their content."""
    path = _ids_file(config, around.recipe_folder)
    found = {} if path is None else {"translation_type_ids": file_sha256(path)}
    detector = config.translation_type.detector if config.translation_type else None
    if detector is not None:
        rules = rules_file(detector, around.recipe.languages.dominant, around.recipe_folder)
        found["translation_type_rules"] = file_sha256(rules)
    return found


def _ids_file(config: PairConfig, folder: Path) -> Path | None:
    if config.translation_type is None or config.translation_type.ids is None:
        return None
    path = resolve_source(config.translation_type.ids, folder)
    if path is None:
        raise Unresolved(f"{config.translation_type.ids}: set LIDR_DATA or give --data")
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


def expect_pair(config: PairConfig, scale: Scale) -> Expected:
    """At most 2 N L pairs; fewer by the setting of dominant_pairs."""
    dominant = {"all": scale.slots // 2, "one": scale.prompts, "none": 0}[config.dominant_pairs]
    return Expected(scale.slots // 2 + dominant, "pairs")


STEP = StepKind(
    name="pair",
    config=PairConfig,
    reads=(Prompt, Response, Translation, Policy),
    writes=Pair,
    run=run_pair,
    expects=expect_pair,
    uses=("languages", "system_prompt", "seed", "iteration.number"),
    outside=outside_pair,
    identity=identity_pair,
    version=2,  # 2: texts that differ in the space around them alone are identical
)
