"""A card is a rendering of a run's records: made again from what the release holds, it must be the same text."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from lidr.analysis import Outcome
from lidr.errors import HubError, LidrError
from lidr.pipeline import load_recipe
from lidr.recipe import Provenance, Recipe
from lidr.release import (
    CONTENT,
    RUN,
    DatasetFiles,
    Finished,
    Licence,
    OpenedRelease,
    Parent,
    RowFile,
    configs_of,
    strictest,
)
from lidr.release.cards import dataset_card, model_card
from lidr.reproduce.released_recipe import OF_THE_PUBLISHER
from lidr.reproduce.verdict import CARD as PLACE
from lidr.reproduce.verdict import RowDifference, Verdict
from lidr.store import Artifact, file_sha256
from lidr.version import __version__

CARD = "README.md"
_FIRST = 5
_ODD = (StopIteration, RecursionError, ArithmeticError, MemoryError)


class Released(Finished):
    """A finished run as its release tells of it: the same facts, without the store."""

    release: OpenedRelease

    @cached_property
    def parents(self) -> tuple[Parent, ...]:
        """What it was made from; the prompts' folder by its name alone."""
        found: tuple[Parent, ...] = Finished.parents.func(self)  # type: ignore[attr-defined]
        said = self.release.run["parents"]
        if [one["role"] for one in said] != [parent.role for parent in found]:
            return found
        return tuple(
            replace(parent, name=one["name"], revision=one.get("revision"), licence=one.get("license"))
            for parent, one in zip(found, said, strict=True)
        )

    @cached_property
    def licence(self) -> Licence:
        """As published: of the parents, or decided by a person."""
        said, computed = self.release.run["license"], strictest(self.parents)
        if (said["id"], said["reason"]) == (computed.identifier, computed.reason):
            return computed
        return Licence(said["id"], said["reason"], said["name"], said.get("link"))

    @property
    def recipe_sha256(self) -> str:
        """Of the recipe before folders were taken out of it."""
        return str(self.release.run["recipe_sha256"])


def released(release: OpenedRelease, work: Path) -> Released:
    """Read a release as a finished run.

    Raises:
        LidrError: its recipe cannot be read by this lidr.
    """
    recipe = _written(release, work)
    artifacts = tuple(Artifact(release.folder, record) for record in release.records.values())
    is_part = release.run["tag"] != f"v{release.run['version']}"
    text = (release.folder / "lidr/recipe.yaml").read_text(encoding="utf-8", errors="replace")
    ended = release.run.get("outcome")
    outcome = Outcome(**ended) if ended else None
    run = Released(recipe, text, release.folder, artifacts, is_part=is_part, outcome=outcome)
    object.__setattr__(run, "release", release)
    return run


def _written(release: OpenedRelease, work: Path) -> Recipe:
    """The recipe with what was written down, so that defaults are told apart."""
    data: dict[str, Any] = {**release.run["written"], "runtime": release.run["resolved"]["runtime"]}
    path = work / "written.yaml"
    text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)  # a card names paths and reads none
    path.write_text(text.replace("<folder>/", f"{work / OF_THE_PUBLISHER}/"), encoding="utf-8")
    recipe = load_recipe(str(path), alone=True)
    recipe = recipe.model_copy(update={"iterations": recipe.iterations[: len(release.run["resolved"]["iterations"])]})
    known = {name: Provenance(**entry) for name, entry in release.run["provenance"].items()}
    return recipe.model_copy(update={"provenance": known})


def check_card(release: OpenedRelease, work: Path) -> Verdict:
    """Render the card again over the published one: what people wrote around it stays, and must not matter."""
    published = _text(release)
    if "written" not in release.run:
        return Verdict(PLACE, "cannot run here", f"{RUN} of an older lidr does not say what the recipe wrote down")
    try:
        ours = _render(release, released(release, work), published)
    except LidrError as error:
        return Verdict(PLACE, "cannot run here", str(error).splitlines()[0])
    except (ValueError, LookupError, TypeError, AttributeError, OSError, *_ODD) as error:
        # counts are what a step wants them to be, so only the card's own tables know their shape
        return Verdict(PLACE, "different", f"the release's records give no card: {type(error).__name__}: {error}")
    if ours == published:
        return Verdict(PLACE, "identical", "rendered again, the same text", inputs="published records")
    if release.run.get("lidr") != __version__:
        why = f"rendered by lidr {release.run.get('lidr')}, and this one is {__version__}"
        return Verdict(PLACE, "cannot run here", why)
    rows = _differences(published.splitlines(), ours.splitlines())
    why = f"{len(rows)} lines differ" if rows else "the same lines, in another order"
    return Verdict(PLACE, "different", why, inputs="published records", rows=rows[:_FIRST])


def _differences(published: list[str], ours: list[str]) -> tuple[RowDifference, ...]:
    """Lines that only one of the two cards has; in one pass, for a card of others may have a million."""
    theirs = [line.strip() for line in _without(published, ours)]
    own = [line.strip() for line in _without(ours, published)]
    return (
        *(RowDifference(CARD, "line", line, None) for line in theirs),
        *(RowDifference(CARD, "line", None, line) for line in own),
    )


def _without(lines: list[str], others: list[str]) -> list[str]:
    left, found = Counter(others), []
    for line in lines:
        if left[line]:
            left[line] -= 1
        else:
            found.append(line)
    return found


def _text(release: OpenedRelease) -> str:
    path = release.folder / CARD
    try:
        return path.read_text(encoding="utf-8") if path.is_file() else ""
    except UnicodeDecodeError as error:
        raise HubError(f"{release.found}: {CARD} is not UTF-8 at byte {error.start}; the release is damaged") from None


def _render(release: OpenedRelease, run: Released, published: str) -> str:
    digest = file_sha256(release.folder / CONTENT)
    repo = str(release.links.get("repo", release.found.name))
    if release.found.repo_type == "dataset":
        return dataset_card(run, repo, _files(release, run), digest, published)
    datasets = tuple((data["repo"], data["sha"]) for data in release.links.get("datasets", []))
    is_adapter = release.content.get("form") == "adapter"
    return model_card(run, repo, datasets, digest, published, adapter_only=is_adapter)


def _files(release: OpenedRelease, run: Released) -> DatasetFiles:
    """The row files in the order in which they were staged, and the first row of each configuration."""
    rows: list[RowFile] = []
    samples: dict[str, dict[str, Any]] = {}
    for iteration in run.iterations:
        split = f"iter_{iteration}"
        for config in configs_of(run):
            for path in release.rows(config, split):
                name = path.relative_to(release.folder).as_posix()
                said = release.manifest.get(name, {"rows": 0, "row_digest": ""})
                rows.append(RowFile(name, config, split, said["rows"], said["row_digest"]))
                if config not in samples and said["rows"]:
                    samples[config] = _first_row(path)
    return DatasetFiles(tuple(rows), samples)


def _first_row(path: Path) -> dict[str, Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        batch = next(pq.ParquetFile(path).iter_batches(batch_size=1))
    except (pa.ArrowException, OSError, StopIteration) as error:
        raise HubError(f"{path.parent.name}/{path.name}: no rows can be read of it ({error})") from error
    row: dict[str, Any] = batch.to_pylist()[0]
    return row
