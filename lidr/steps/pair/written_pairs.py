"""Pairs as they are written: with ids, the message lists that TRL reads, and the thoughts that are trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lidr.rows import SAMPLE, WEIGHT, Pair

if TYPE_CHECKING:
    import polars as pl


def pair_rows(pairs: pl.DataFrame, iteration: int, policy: str, system_prompt: str | None) -> Any:
    """Finish the pairs table: ids, the three message lists that TRL reads, scores where there are any.

    The message lists share the memory of the text columns: an Arrow list of one struct a row.
    """
    import numpy as np
    import polars as pl
    import pyarrow as pa

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
    scores = {WEIGHT, *(field.name for field in Pair.schema if pa.types.is_floating(field.type))}
    columns = {
        name: named[name].combine_chunks().cast(pa.float64() if name in scores else pa.string())
        for name in named.schema.names
    }

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
    schema = Pair.schema_with(columns)
    return pa.table([columns.get(f.name, pa.nulls(rows, f.type)) for f in schema], schema=schema)


def with_source_thoughts(pairs: pl.DataFrame, responses: pl.DataFrame) -> pl.DataFrame:
    """Each side with the thoughts of the answer that it is, or was translated from: a translator's own thoughts are
    about translating.
    """
    import polars as pl

    number = pl.format("#{}", SAMPLE) if SAMPLE in responses.columns else pl.lit("")
    thoughts = responses.select(key=pl.concat_str("prompt_id", pl.lit("/"), "language", number), reasoning="reasoning")
    for side in ("chosen", "rejected"):
        source = pl.col(f"{side}_key").str.replace(r"->[^/]*$", "")
        named = thoughts.rename({"key": "source", "reasoning": f"{side}_reasoning"})
        pairs = pairs.with_columns(source=source).join(named, on="source", how="left", maintain_order="left")
        pairs = pairs.drop("source")
    return pairs


def _interleave(texts: Sequence[Any], rows: int) -> Any:
    import numpy as np
    import pyarrow as pa

    order = np.arange(rows * len(texts)).reshape(len(texts), rows).T.ravel()
    return pa.concat_arrays(list(texts)).take(pa.array(order))
