"""A data set release: the pairs of a run as configurations and splits, with everything that they were made from.

all/iter_1-00000-of-00001.parquet          every pair, in the run's order (the default configuration)
en-de/iter_1-00000-of-00001.parquet        those of one pair of languages
candidates/..., dropped/...                every response and translation; every slot that is no pair, and why
dataset_info.json                          LLaMA-Factory's description
croissant.json                             Croissant with responsible AI and provenance
lidr/...                                   recipe, records, manifest
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lidr.errors import HubError
from lidr.hub import check_config, check_split
from lidr.recipe import Recipe, template_kwargs
from lidr.release.candidates import Candidate, candidates
from lidr.release.cards import card_rules, dataset_card, write_plots
from lidr.release.croissant_json import FILE as CROISSANT
from lidr.release.croissant_json import croissant
from lidr.release.finished import Finished, dumps
from lidr.release.llama_factory import llama_factory
from lidr.release.reproduction_files import Links
from lidr.release.staging import (
    DatasetFiles,
    RowFile,
    Staged,
    check_staged,
    files_below,
    owned_by,
    write_description,
    write_text,
)
from lidr.rows import THOUGHT_COLUMNS, Dropped, Pair, RowType, switched, with_switches
from lidr.store import SHARD_ROWS, RowDigest, TableWriter

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_PER_BATCH = 10_000
OWNED = (
    r"dataset_info\.json|croissant\.json|LICENSE\.md|plots/[a-z]+\.png|[A-Za-z0-9._-]+/iter_\d+-\d{5}-of-\d{5}\.parquet"
)


def configs_of(run: Finished) -> tuple[str, ...]:
    """Names of the configurations, the default one first."""
    made = ("candidates",) if run.recipe.prompts is not None else ()
    return ("all", *language_configs(run.recipe), *made, "dropped")


def language_configs(recipe: Recipe) -> dict[str, str]:
    """Configuration -> the language whose pairs it holds: `en-de` of the dominant language and another, `de` where both
    sides of a pair are answers to one prompt.
    """
    languages = recipe.languages
    if recipe.are_pairs_sampled:
        return {code: code for code in languages.all}
    return {f"{languages.dominant}-{other}": other for other in languages.others}


def stage_dataset(run: Finished, folder: Path, repo: str, *, siblings: Mapping[str, str] | None = None) -> Staged:
    """Write the release of a run's pairs into `folder`.

    Args:
        siblings: role -> repository of what the same run publishes.

    Raises:
        HubError: a name that would break loading, or too many files.
    """
    for config in configs_of(run):
        check_config(config)
    written = _write_rows(run, folder)
    if not written.splits("all"):
        raise HubError(f"{run.recipe.name} {run.recipe.version} has no pairs left, so there is nothing to publish")
    write_text(folder, "dataset_info.json", dumps(llama_factory(written, repo)))
    write_plots(run, folder / "plots")
    if card_rules(run) > 1:
        write_text(folder, CROISSANT, dumps(croissant(run, folder, repo, written), sort_keys=False))
    content = {
        "rows": {f"{f.config}/{f.split}": {"rows": f.rows, "digest": f.row_digest} for f in _whole(written.rows)}
    }
    links = Links(repo, siblings=siblings or {})
    digest = write_description(run, folder, files=list(written.rows), content=content, links=links)
    files = files_below(folder)
    check_staged(run, files)
    return Staged(
        repo_type="dataset",
        tag=run.tag,
        files=files,
        digest=digest,
        owned=owned_by(OWNED),
        card=lambda existing: dataset_card(run, repo, written, digest, existing),
        title=f"{run.recipe.name} {run.recipe.version}: {sum(f.rows for f in written.rows if f.config == 'all')} pairs",
        configs={config: written.files(config) for config in written.configs},
    )


def _write_rows(run: Finished, folder: Path) -> DatasetFiles:
    written: list[RowFile] = []
    samples: dict[str, dict[str, Any]] = {}
    for iteration in run.iterations:
        for config, rows, batches in _tables(run, iteration):
            files, first = write_split(folder, config, f"iter_{iteration}", rows, batches)
            written += files
            if first is not None:
                samples.setdefault(config, first)
    return DatasetFiles(tuple(written), samples)


def _tables(run: Finished, iteration: int) -> Iterator[tuple[str, RowType, Iterable[pa.Table]]]:
    import pyarrow as pa

    pairs = run.written("pairs", iteration)
    columns = [name for name in pairs.columns if run.publishes_thoughts or name not in THOUGHT_COLUMNS]
    kwargs = template_kwargs(run.recipe.policy.chat_template)
    rows = with_switches(Pair, kwargs)

    def tables() -> Iterator[pa.Table]:
        for batch in pairs.batches(ROWS_PER_BATCH, columns):
            yield switched(pa.Table.from_batches([batch]), kwargs)

    yield "all", rows, tables()
    for config, other in language_configs(run.recipe).items():
        yield config, rows, map(partial(of_language, other=other), tables())
    if run.recipe.prompts is not None:
        yield "candidates", Candidate, candidates(run, iteration)
    dropped = (artifact.batches(ROWS_PER_BATCH, part="dropped") for artifact in run.dropped(iteration))
    yield "dropped", Dropped, (pa.Table.from_batches([batch]) for batch in chain.from_iterable(dropped))


def of_language(pairs: pa.Table, other: str) -> pa.Table:
    """Pairs of either kind whose non-dominant language is this one."""
    import pyarrow.compute as pc

    is_dominant = pc.equal(pairs["kind"], "dominant")
    language = pc.if_else(is_dominant, pairs["other_language"], pairs["language"])
    return pairs.filter(pc.equal(language, other))


def write_split(
    folder: Path, config: str, split: str, rows: RowType, batches: Iterable[pa.Table]
) -> tuple[list[RowFile], dict[str, Any] | None]:
    """Write one split as `iter_1-00000-of-00001.parquet`; its files, and its first row."""
    check_split(split)
    writer, digests = TableWriter(folder / config, rows), [RowDigest()]
    first: dict[str, Any] | None = None
    for table in batches:
        if table.num_rows == 0:  # readers cannot take an empty row group; a file without any is fine
            continue
        if digests[-1].rows + table.num_rows > SHARD_ROWS and digests[-1].rows:
            digests.append(RowDigest())
        writer.write(table)
        digests[-1].add(table)
        first = first or table.slice(0, 1).to_pylist()[0]
    writer.close()
    files = []
    for number, (path, digest) in enumerate(zip(writer.paths, digests, strict=True)):
        name = f"{split}-{number:05d}-of-{len(writer.paths):05d}.parquet"
        path.rename(path.with_name(name))
        files.append(RowFile(f"{config}/{name}", config, split, digest.rows, digest.hexdigest()))
    return files, first


def _whole(files: Iterable[RowFile]) -> list[RowFile]:
    """One entry a split: shards joined, so that the number of shards is no part of the content."""
    splits: dict[tuple[str, str], list[RowFile]] = {}
    for file in files:
        splits.setdefault((file.config, file.split), []).append(file)
    whole = []
    for (config, split), shards in splits.items():
        joined = hashlib.sha256("".join(s.row_digest for s in shards).encode()).hexdigest()
        digest = shards[0].row_digest if len(shards) == 1 else joined
        whole.append(RowFile("", config, split, sum(s.rows for s in shards), digest))
    return whole
