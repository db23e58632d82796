"""publish: the run's pairs and its last policy go to a Hub, each in one commit and tagged with the recipe's version.

Which Hub, and as whom, is the environment's: HF_ENDPOINT and HF_TOKEN, else the embedded Hub beside the store. Whether
anything is sent at all is `runtime.push`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field, model_validator

from lidr import hub_server, release
from lidr.errors import HubError, PlanError
from lidr.hub import endpoint_of_environment, problem_of_repo, read_front_matter
from lidr.recipe import Frozen, Recipe
from lidr.references import DistReference, FolderReference, parse_reference
from lidr.resources import resolve_source
from lidr.rows import Pair, RowType
from lidr.steps.step_kind import Expected, Outcome, Policy, Scale, StepKind, StepRun, Surroundings
from lidr.store import Rate, Store, write_json

if TYPE_CHECKING:
    from lidr.release import Destinations, Finished, Licence, Published

Release = RowType("release", {}, key=())
"""What was published where; no rows, but release.json with repositories, commits and tags."""


RELEASE_FILE = "release.json"
EMBEDDED = "embedded"
_OFF = "runtime.push is off: set it to true, or publish later with `lidr publish RECIPE`"


def _repo(text: str) -> str:
    problem = problem_of_repo(text)
    if problem is not None:
        raise ValueError(f'"{text}" cannot be a repository: {problem}')
    return text


RepoName = Annotated[str, AfterValidator(_repo)]


class LicenceChoice(Frozen):
    """A licence that a person decided on, against the strictest of the parents."""

    id: str
    """The Hub's identifier, as cc-by-4.0; `other` needs name and link."""
    reason: str = Field(min_length=1)
    """Why; it stands in the card."""
    name: str | None = None
    """Name of a licence that is `other`."""
    link: str | None = None
    """Address of its text."""


class PublishConfig(Frozen):
    """What goes where."""

    pairs: RepoName | None = None
    """Data set repository, org/name."""
    policy: RepoName | None = None
    """Model repository, org/name."""
    private: bool = False
    """Whether a repository that is made now is private."""
    adapter_only: bool = False
    """Publish the LoRA adapter and not the merged model."""
    policy_license: str | None = None
    """Licence of the first policy, where lidr cannot know it: a Hub identifier, as apache-2.0."""
    license: LicenceChoice | None = None
    """null: the strictest of all parents."""

    @model_validator(mode="after")
    def _somewhere(self) -> PublishConfig:
        if not (self.pairs or self.policy):
            raise ValueError("name at least one repository: pairs or policy")
        return self


def run_publish(run: StepRun) -> Outcome:
    """Publish after the last iteration; before it there is nothing whole to publish."""
    if not run.recipe.runtime.push:
        raise PlanError("publish: runtime.push is false; set it to true, or use `lidr publish RECIPE`")
    finished = finished_for(run.recipe, run.config, Store(run.around.store_root))
    run.progress.start(1, "releases")
    with hub_server.hub_for(run.around.store_root, embedded=run.recipe.runtime.hub == "embedded") as (target, embedded):
        published = [asdict(found) for found in release.release(finished, destinations(run.config), target=target)]
    for found in published:
        found["state"] = "already there"  # true of every later look, whatever this try did
        if embedded is not None:
            found["endpoint"] = EMBEDDED  # its port differs from start to start
    write_json(run.out.folder / RELEASE_FILE, {"schema": 1, "published": published})
    run.progress.add()
    return Outcome({"published": published}, Rate("repositories", len(published), run.progress.rate().elapsed_s))


def published_by(folder: Path) -> list[Published]:
    """What a publish step published."""
    entries = json.loads((folder / RELEASE_FILE).read_text(encoding="utf-8"))["published"]
    return [release.Published(**entry) for entry in entries]


def lines_of(folder: Path, store_root: Path) -> str:
    """How to load what a publish step published: the lines to print at the end of a run."""
    published = published_by(folder)
    is_embedded = any(found.endpoint == EMBEDDED for found in published)
    return release.loading_lines(published, store_root / ".hub" if is_embedded else None)


def destinations(config: PublishConfig) -> Destinations:
    """The repositories of a configuration."""
    return release.Destinations(config.pairs, config.policy, config.private, config.adapter_only)


def finished_for(recipe: Recipe, config: PublishConfig | None, store: Store) -> Finished:
    """The finished run, with what its recipe says about licences.

    Raises:
        HubError: the run is not finished, or the licence is none that a Hub knows.
    """
    override = _override(config) if config else None
    return release.finished_run(
        recipe, store, policy_licence=config.policy_license if config else None, override=override
    )


def _override(config: PublishConfig) -> Licence | None:
    choice = config.license
    return release.overridden(choice.id, choice.reason, name=choice.name, link=choice.link) if choice else None


def check_publish(around: Surroundings, config: PublishConfig) -> Sequence[str]:
    """A licence that publishing refuses is told before all the work is done; where nothing is pushed, as a note. That
    nothing says the licence of the first policy is noted.
    """
    try:
        override = _override(config)
    except HubError as error:
        if around.recipe.runtime.push:
            raise
        return (str(error),)
    if override is not None:
        return tuple(_freer_licence(around.recipe, override, config.policy_license))
    return () if config.policy_license else tuple(_unsaid_licence(around))


def _freer_licence(recipe: Recipe, chosen: Licence, policy_licence: str | None) -> Iterator[str]:
    """A licence that leaves out what the recipe's own parents ask for: their publisher may, but not unknowingly."""
    asked = {"the policy": policy_licence, "the prompts": recipe.prompts.license if recipe.prompts else None}
    for name, config in (("parallel", recipe.parallel), *((step.name, step.config) for step in recipe.chain)):
        if (by := getattr(config, "by", None)) is not None and name in ("parallel", "translate"):
            asked[f"the translator of {name}"] = by.license
    if less := release.less_than(chosen.identifier, {whose: one for whose, one in asked.items() if one}):
        ask = "ask" if len(less) > 1 else "asks"
        yield (
            f"publish.license: {chosen.identifier} leaves out what {' and '.join(less)} {ask} for; the card will say "
            f'"{chosen.reason}". Leave publish.license out for the strictest of all parents'
        )


def _unsaid_licence(around: Surroundings) -> Iterator[str]:
    """What a release will be where nobody says the licence of the first policy; its README.md may, and is quoted alone:
    it may change under a release.
    """
    policy = around.recipe.policy
    reference = parse_reference(policy.model)
    if isinstance(reference, DistReference) and policy.adapter is None:
        return  # its distribution says it
    said = None
    if isinstance(reference, FolderReference):
        folder = resolve_source(reference.path, around.recipe_folder) or Path(reference.path)
        with suppress(OSError, UnicodeDecodeError, HubError):
            said = read_front_matter((folder / "README.md").read_text(encoding="utf-8"))[0].get("license")
    card = f" (its README.md says {said}, which is not taken unasked)" if isinstance(said, str) else ""
    yield (
        f"publish.policy_license: missing: nothing says the licence of {policy.model}, and a release of its answers "
        f"would be `other`{card}; name it: policy_license: {said if card else 'ID'}"
    )


def chain_for_publish(recipe: Recipe, config: PublishConfig) -> Iterator[str]:
    """A policy is published only if a step before trains it, its adapter only if that step makes one: the run would
    fail here, after all its work.
    """
    names = [step.name for step in recipe.chain]
    trained = [step.config for step in recipe.chain[: names.index("publish")] if step.name == "train"]
    if config.policy and not trained:
        yield (
            "publish.policy: no step before it trains a policy, so there is none to publish; leave it out (policy: "
            "null), or put train before it"
        )
    elif config.policy and config.adapter_only and trained[-1].lora is None:
        yield (
            "publish.adapter_only: train makes no adapter without lora; set it to false to publish the whole model, "
            "or train with lora"
        )


def also_read_publish(config: PublishConfig) -> tuple[RowType, ...]:
    """The policy is an input where it is published."""
    return (Policy,) if config.policy else ()


def skipped_publish(recipe: Recipe) -> str | None:
    """Why the step is left out of a run; None when it is not."""
    return None if recipe.runtime.push else _OFF


def expect_publish(config: PublishConfig, scale: Scale) -> Expected:
    """One release."""
    repos = " and ".join(repo for repo in (config.pairs, config.policy) if repo)
    return Expected(1, "release", note=f"to {repos}, {'private' if config.private else 'public'} if new")


def count_publish(around: Surroundings, config: PublishConfig, scale: Scale) -> Expected:
    """The same, with the Hub."""
    is_embedded = around.recipe.runtime.hub == "embedded"
    where = None if is_embedded else endpoint_of_environment()
    expected = expect_publish(config, scale)
    return replace(expected, note=f"{expected.note}, at {where or 'the Hub on this machine'}")


STEP = StepKind(
    name="publish",
    config=PublishConfig,
    reads=(Pair,),
    also_reads=also_read_publish,
    writes=Release,
    run=run_publish,
    expects=expect_publish,
    counted=count_publish,
    skipped=skipped_publish,
    chain=chain_for_publish,
    checks=check_publish,
    last_only=True,
)
