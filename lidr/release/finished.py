"""What a release is made from: the records of a finished run, its recipe's text, and what is known of the parents.

Everything that a card says comes from here, so a card can be made again from the store at any time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from lidr.analysis import Outcome, outcome_of
from lidr.engines import engines
from lidr.errors import HubError
from lidr.hub import clean, clean_execution, without_paths
from lidr.recipe import Recipe
from lidr.references import HubReference
from lidr.release.parents import (
    Licence,
    Parent,
    base_model,
    parents_of_mixture,
    policy_parent,
    prompts_parent,
    scorer_parents,
    strictest,
    translator_parents,
)
from lidr.store import Artifact, Record, Store, open_artifact


@dataclass(frozen=True)
class Finished:
    """A finished run.

    Args:
        text: the recipe file as it was written.
        folder: the run's version folder in the store.
        artifacts: its steps, in the order they ran.
        policy_licence: what the user says of the first policy; else it is looked up where the policy comes from.
        override: the licence that the user decided on.
        is_part: whether this is the run up to an iteration before its last.
        outcome: where the run ended, and whose policy is its result; None where its last policy is.
    """

    recipe: Recipe
    text: str
    folder: Path
    artifacts: tuple[Artifact, ...]
    policy_licence: str | None = None
    override: Licence | None = None
    is_part: bool = False
    outcome: Outcome | None = None

    @property
    def tag(self) -> str:
        """The release's tag; that of a part names its last iteration: v0.1.0-iter_1."""
        return f"v{self.recipe.version}" + (f"-iter_{self.iterations[-1]}" if self.is_part else "")

    def up_to(self, iteration: int) -> Finished:
        """The run as it stood after an iteration before its last."""
        return replace(
            self,
            recipe=self.recipe.model_copy(update={"iterations": self.recipe.iterations[:iteration]}),
            artifacts=tuple(a for a in self.artifacts if a.record.iteration <= iteration),
            is_part=True,
            outcome=None,
        )

    @property
    def iterations(self) -> tuple[int, ...]:
        """Numbers of the iterations, from 1."""
        return tuple(range(1, len(self.recipe.iterations) + 1))

    @property
    def publishes_thoughts(self) -> bool:
        """Whether its releases hold what the policy thought before its answers."""
        reasoning = self.recipe.policy.reasoning
        return reasoning is not None and reasoning.publish

    @property
    def records(self) -> tuple[Record, ...]:
        """One for each step."""
        return tuple(artifact.record for artifact in self.artifacts)

    def written(self, rows: str, iteration: int) -> Artifact:
        """The last artifact of an iteration that holds these rows: for pairs, the filtered ones.

        Raises:
            HubError: the run makes none.
        """
        found = self.all_written(rows, iteration)
        if not found:
            raise HubError(f"{self.recipe.name} makes no {rows} in iteration {iteration}, so they cannot be published")
        return found[-1]

    def all_written(self, rows: str, iteration: int) -> list[Artifact]:
        """The artifacts of an iteration that hold these rows, in the order of the chain; none where it makes none."""
        return [a for a in self.artifacts if a.record.writes == rows and a.record.iteration == iteration]

    @property
    def result(self) -> int:
        """The iteration whose policy is the run's result: the last, unless a gate found another one better."""
        return self.iterations[-1] if self.outcome is None else self.outcome.result

    def policy(self) -> Artifact:
        """The policy that is the run's result.

        Raises:
            HubError: the chain has no train step, or no policy of the run is better than the first.
        """
        if self.result == 0:
            raise HubError(
                f"{self.recipe.name}: its gates found no policy better than the one it started from, so there is "
                "none to publish; publish the pairs alone"
            )
        return self.written("policy", self.result)

    def trainings(self) -> list[Record]:
        """The trainings that made the run's result, in their order: without those that a gate gave up."""
        of = {record.place: record for record in self.records if record.writes == "policy"}
        found, place = list[Record](), self.policy().record.place
        while place in of:
            found.insert(0, of[place])
            place = of[place].inputs["policy"]["place"]
        return found

    def dropped(self, iteration: int) -> Iterator[Artifact]:
        """Artifacts of an iteration that dropped something."""
        for artifact in self.artifacts:
            if artifact.record.iteration == iteration and artifact.named("dropped"):
                yield artifact

    def verify(self, *, with_policies: bool) -> None:
        """Read every file that may be published and compare it with its record: before anything goes out.

        Raises:
            StoreError: one is damaged.
        """
        models = ("model/", "base/", "adapter/")
        for artifact in self.artifacts:
            is_published = with_policies and artifact.record.writes == "policy"
            for entry in artifact.record.files:
                if is_published or not entry.path.startswith(models):
                    artifact.file(entry.path)

    @cached_property
    def parents(self) -> tuple[Parent, ...]:
        """What it was made from, with licences; the first policy last."""
        policy = policy_parent(self.recipe, self.first_policy, self.policy_licence)
        if self.recipe.prompts is None:
            return (*self.pair_sets, policy)
        prompts = prompts_parent(self.recipe.prompts, self.records)
        models = (*translator_parents(self.recipe, self.records), *scorer_parents(self.recipe, self.records))
        return (prompts, *models, policy)

    @property
    def base_model(self) -> HubReference | None:
        """The first policy, where it is a Hub model as it is there; its revision is the commit that the run used."""
        return base_model(self.recipe, self.first_policy)

    @property
    def pair_sets(self) -> tuple[Parent, ...]:
        """The sets that a run which starts from pairs has read, each with its commit and licence."""
        found = [record.counts["sets"] for record in self.records if record.step == "pairs"]
        return tuple(dict.fromkeys(parent for sets in found for parent in parents_of_mixture(sets)))

    @cached_property
    def licence(self) -> Licence:
        """The licence of the release."""
        return self.override or strictest(self.parents)

    @property
    def first_policy(self) -> Record:
        """The record of the policy before training, whatever else stands in iteration 0."""
        return next(record for record in self.records if record.writes == "initial_policy")

    @property
    def recipe_sha256(self) -> str:
        """Of the recipe file, as it was written."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def finished_run(
    recipe: Recipe, store: Store, *, policy_licence: str | None = None, override: Licence | None = None
) -> Finished:
    """Open every artifact of a run.

    Raises:
        HubError: a step is not finished.
        StoreError: a file is damaged.
    """
    folder = store.version_folder(recipe.name, recipe.version)
    outcome = outcome_of(folder, len(recipe.iterations))
    recipe = recipe.model_copy(update={"iterations": recipe.iterations[: outcome.iterations]})
    places = _places(recipe, folder, outcome.last_step)
    missing = [place for place in places if not (folder / place / "record.json").exists()]
    if missing:
        raise HubError(
            f"{recipe.name} {recipe.version} is not finished: {missing[0]} is not there in {folder}. "
            "Run it first: lidr run RECIPE"
        )
    artifacts = tuple(open_artifact(folder / place) for place in places)
    text = recipe.text or recipe_text(recipe)
    return Finished(recipe, text, folder, artifacts, policy_licence, override, outcome=outcome)


def _places(recipe: Recipe, folder: Path, last_step: str | None = None) -> list[str]:
    """Where the steps stand, in the order in which they are made: what opens the run and each iteration is found, what
    the chain names is expected, in the last iteration up to the step that ended the run. Of a publish step only others
    can say whether it is done.
    """
    chain = [step.name for step in recipe.chain if step.name != "publish"]
    named = {*chain, "publish"}
    found = sorted(p.parent.relative_to(folder).as_posix() for p in folder.glob("iter_*/*/record.json"))
    places = [place for place in found if place.startswith("iter_0/")]
    for k in range(1, len(recipe.iterations) + 1):
        places += [p for p in found if p.startswith(f"iter_{k}/") and p.split("/")[1] not in named and "." not in p]
        is_cut = last_step in chain and k == len(recipe.iterations)
        places += [f"iter_{k}/{name}" for name in (chain[: chain.index(str(last_step)) + 1] if is_cut else chain)]
    return places


def resolved(recipe: Recipe) -> dict[str, Any]:
    """The recipe with every default and every `--set` in it, without what belongs to the machine."""
    data = recipe.model_dump(mode="json", by_alias=True)
    data["chain"] = [{step["name"]: step["config"]} for step in data["chain"]]
    data["runtime"] = clean_execution(data["runtime"])
    cleaned: dict[str, Any] = clean(data)
    return cleaned


def recipe_text(recipe: Recipe) -> str:
    """The recipe written out in full, for a recipe that came from no file."""
    return "# Written out by lidr: this recipe came from no file.\n" + yaml.safe_dump(resolved(recipe), sort_keys=False)


def run_json(run: Finished) -> dict[str, Any]:
    """lidr/run.json: identity, parents, outputs and counts of the whole run."""
    last = run.records[-1]
    return {
        "schema": 1,
        "recipe": run.recipe.name,
        "version": run.recipe.version,
        "tag": run.tag,
        "recipe_sha256": run.recipe_sha256,
        "recipe_is_verbatim": without_paths(run.text) == run.text,
        "lidr": last.versions.get("lidr"),
        "resolved": resolved(run.recipe),
        "parents": [
            {"role": p.role, "name": p.name, "revision": p.revision, "license": p.licence} for p in run.parents
        ],
        "license": {
            "id": run.licence.identifier,
            "name": run.licence.name,
            "link": run.licence.link,
            "reason": run.licence.reason,
        },
        "steps": [
            {"place": r.place, "writes": r.writes, "fingerprint": r.fingerprint, "digest": r.digest, "class": _class(r)}
            for r in run.records
        ],
    }


def _class(record: Record) -> str:
    """How a reproduction is to be compared: byte by byte, or within its confidence interval."""
    texts = ("responses", "translations", "prompt_translations")
    sampled = record.writes in (*texts, "policy", "scores", "measures", "answer_scores")
    is_canned = record.execution.get("engine") in engines(lambda row: row.model == "script")
    return "statistical" if sampled and not is_canned else "exact"


def record_json(record: Record) -> dict[str, Any]:
    """A step's record as it is published: nothing of this machine in it."""
    data = asdict(record)
    data["execution"] = clean_execution(record.execution)
    cleaned: dict[str, Any] = clean(data)
    return cleaned


def environment_json(run: Finished) -> dict[str, Any]:
    """Versions and settings that the steps ran with."""
    return {
        "schema": 1,
        "versions": {name: version for r in run.records for name, version in r.versions.items()},
        "execution": {record.place: clean_execution(record.execution) for record in run.records},
    }


def dumps(value: Any, *, sort_keys: bool = True) -> str:
    """JSON as it is published; a record keeps its order, because cards show it."""
    return json.dumps(value, ensure_ascii=False, indent=1, sort_keys=sort_keys) + "\n"
