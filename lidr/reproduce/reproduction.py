"""Reproduce a release: fetch, check, make again, compare, and write verdict.json."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.filesize import decimal

from lidr.errors import HubError, PlanError, StoreError
from lidr.hub import AllowedAddresses, Target, check_model_folder
from lidr.recipe import Recipe
from lidr.references import FolderReference, RunReference, parse_reference
from lidr.release import CONTENT, Found, OpenedRelease, find, open_release, target_or_public, without_weights
from lidr.reproduce.card_check import check_card
from lidr.reproduce.duplicate_rows import repeated
from lidr.reproduce.environment import differences, machine
from lidr.reproduce.released_recipe import recipe_of
from lidr.reproduce.released_rows import PublishedRows, rows_release
from lidr.reproduce.rerun import Again
from lidr.reproduce.rescore import check_scores
from lidr.reproduce.row_limits import most_dropped, most_outputs, row_limits
from lidr.reproduce.self_checks import check_steps, findings
from lidr.reproduce.step_check import Step
from lidr.reproduce.verdict import SCHEMA, Finding, Reproduction, Verdict
from lidr.steps import STEPS
from lidr.store import Record, Store, file_sha256, read_lock, store_root, write_json

Say = Callable[[str], None]
VERDICT = "verdict.json"


@dataclass(frozen=True)
class ReproductionRequest:
    """What is to be made again.

    Args:
        start: the first step of each iteration; None: everything. An iteration before the first that has it is left.
        until: the last one.
        rows: answers to so many prompts of each iteration only.
        policy: the first policy's folder, of a release whose recipe names a folder that only its publisher has.
        allow_hosts: hosts that may be asked where the release names them, besides the Hub that it came from.
    """

    start: str | None = None
    until: str | None = None
    rows: int | None = None
    trust_remote_code: bool = False
    allow_hosts: tuple[str, ...] = ()
    policy: Path | None = None

    def with_policy(self, recipe: Recipe) -> Recipe:
        """The recipe with `policy` as its model: the digests of its files are compared with the record as always.

        Raises:
            PlanError: it is no model's folder, or the recipe names a model that is fetched or asked.
        """
        model = recipe.policy.model
        if self.policy is None:
            return recipe
        if not isinstance(parse_reference(model), FolderReference | RunReference):
            raise PlanError(f"--policy {self.policy}: this release's policy is {model}, no folder; leave --policy out")
        folder = check_model_folder(self.policy.expanduser().resolve(), "--policy")
        policy = recipe.policy.model_copy(update={"model": str(folder)})
        return recipe.model_copy(update={"policy": policy})

    def names(self, recipe: Recipe) -> set[str]:
        """The steps that are made again.

        Raises:
            PlanError: the recipe has no such step.
        """
        placed = [(name, kind) for name, kind in STEPS.items() if kind.place != "chain"]
        opening = [name for name, kind in placed if getattr(recipe, kind.section) is not None]
        names = [*opening, *(step.name for step in recipe.chain if step.name != "publish")]
        for option, name in (("--from", self.start), ("--until", self.until)):
            if name is not None and name not in names:
                raise PlanError(f'{option} "{name}": no such step in this recipe; its steps: {", ".join(names)}')
        first = names.index(self.start) if self.start else 0
        last = names.index(self.until) if self.until else len(names) - 1
        if last < first:
            raise PlanError(f'--until "{self.until}" comes before --from "{self.start}"; the order: {", ".join(names)}')
        return set(names[first : last + 1])

    def records(self, recipe: Recipe, records: Mapping[str, Record]) -> set[str]:
        """The places of the records that are made again.

        Raises:
            PlanError: the recipe has no such step.
        """
        names = self.names(recipe)
        first = min((r.iteration for r in records.values() if self.start in (None, r.step)), default=0)
        return {place for place, r in records.items() if r.step in names and r.iteration >= first}


def reproduce(
    reference: str,
    folder: Path | None = None,
    wanted: ReproductionRequest | None = None,
    *,
    endpoint: str | None = None,
    say: Say = lambda text: None,
    quiet: bool = True,
) -> Reproduction:
    """Reproduce a release.

    Args:
        reference: org/name@tag.
        folder: for everything that is fetched and made, default `.reproduced` in the store; a folder of its own below
            it for each commit. What an interrupted reproduction of the same commit made is used; after a verdict it
            begins anew.
        endpoint: the Hub; None is that of the environment.

    Raises:
        HubError: the Hub does not give the release, or it is none that can be read.
        PlanError: `wanted` names no step of its recipe.
    """
    target = target_or_public()
    if endpoint is not None and (other := Target(endpoint.rstrip("/"))).endpoint != target.endpoint:
        target = other  # a token of one Hub is not sent to another
    folder = folder or store_root() / ".reproduced"
    return _Reproducing(find(reference, target), folder, wanted or ReproductionRequest(), say, quiet).carry_out()


class _Reproducing:
    """One reproduction under way."""

    def __init__(self, found: Found, folder: Path, wanted: ReproductionRequest, say: Say, quiet: bool) -> None:
        self._work = (folder / f"{found.key.replace('/', '--')}-{found.sha[:12]}").resolve()
        if (self._work / VERDICT).exists():
            shutil.rmtree(self._work)
        self._work.mkdir(parents=True, exist_ok=True)
        self._found, self._wanted, self._say, self._quiet = found, wanted, say, quiet
        self._started = _now()

    def carry_out(self) -> Reproduction:
        """From the first request to verdict.json."""
        self._say(self._found.said())
        files = without_weights(self._found)
        self._say(f"fetching {len(files):,} files, {decimal(sum(entry.size for entry in files))}, to {self._work}")
        release = open_release(self._found, self._work / "release")
        if "rows" not in release.run:
            raise HubError(
                f"{self._found} was published by an older lidr, which wrote no digest of each step's rows, so nothing "
                "can be compared. Publish the run again with this lidr, under a new version"
            )
        recipe = recipe_of(release, self._work)
        check_steps(release, recipe)
        places = self._wanted.records(recipe, release.records)
        touched = [*findings(release, recipe), *repeated(release, recipe)]
        for finding in touched:
            self._say(f"touched: {finding.path} {finding.text}")
        environment = differences(release, tuple(place for place in release.records if place in places))
        for line in environment or ("nothing differs",):
            self._say(f"environment: {line}")
        verdicts = self._verdicts(release, recipe, places, touched)
        done = Reproduction(
            release=_described(release),
            environment=environment,
            findings=tuple(dict.fromkeys(touched)),
            verdicts=tuple(verdicts),
            started=self._started,
            finished=_now(),
            machine=dict(machine()),
            asked={"from": self._wanted.start, "until": self._wanted.until, "rows": self._wanted.rows},
        )
        write_json(self._work / VERDICT, {"schema": SCHEMA, **done.as_json()})
        self._say(f"written to {self._work / VERDICT}")
        return done

    def _verdicts(
        self, release: OpenedRelease, recipe: Recipe, places: set[str], touched: list[Finding]
    ) -> list[Verdict]:
        rows = rows_release(release, self._work / "data")
        published = PublishedRows(
            release,
            rows,
            self._work / "published",
            row_limits(recipe, release.records),
            {k: most_dropped(recipe, k) for k in range(1, len(recipe.iterations) + 1)},
            most_outputs(recipe),
            touched,
        )
        again = Again(
            published,
            self._wanted.with_policy(recipe),
            Store(self._work / "store"),
            _locked(release),
            AllowedAddresses(self._found.target, self._wanted.allow_hosts),
            rows=self._wanted.rows,
            trust_remote_code=self._wanted.trust_remote_code,
            say=self._say,
            quiet=self._quiet,
        )
        verdicts: list[Verdict] = []
        for record in release.records.values():
            found = [Step(release, published, again, record).verdict(record.place in places)]
            if record.writes == "scores":
                found.append(check_scores(release, published, record))
            for verdict in found:
                self._say(f"{verdict.place}: {verdict.said}: {verdict.reason}")
            verdicts += found
        card = check_card(release, self._work)
        if card.kind == "different":
            touched.append(Finding("README.md", f"is another card than the release's records give: {card.reason}"))
        self._say(f"card: {card.kind}: {card.reason}")
        return [*verdicts, card]


def _locked(release: OpenedRelease) -> dict[str, str]:
    """The commits of its lock; of a damaged one, which is among the findings, none."""
    try:
        return read_lock(release.folder / "lidr")
    except StoreError:
        return {}


def _described(release: OpenedRelease) -> dict[str, str | None]:
    found = release.found
    return {
        "endpoint": found.target.endpoint,
        "repo": found.name,
        "type": found.repo_type,
        "tag": found.requested,
        "sha": found.sha,
        "digest": file_sha256(release.folder / CONTENT),
        "lidr": release.run.get("lidr"),
    }


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
