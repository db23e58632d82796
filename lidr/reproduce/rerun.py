"""Make one step of a release again, from published inputs where there are any, in a fresh store."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lidr.engines import engine_row
from lidr.errors import LidrError
from lidr.hub import AllowedAddresses
from lidr.pipeline import Decisions, package_versions, recipe_field
from lidr.recipe import Recipe
from lidr.references import FolderReference, ServerReference, parse_reference
from lidr.reproduce.environment import missing_engine, too_large
from lidr.reproduce.released_recipe import OF_THE_PUBLISHER
from lidr.reproduce.released_rows import PublishedRows
from lidr.resources import is_shipped, resolve_source
from lidr.steps import STEPS, InitialPolicy, Policy, Progress, StepRun, Surroundings, Unresolved, write_template
from lidr.store import (
    Artifact,
    Lock,
    Record,
    Store,
    address_of,
    by_rules_of,
    difference,
    made_by,
    open_artifact,
    other_rules,
    read_contents,
    rules_json,
    without_address,
)

Say = Callable[[str], None]
_PUBLISHERS = re.compile(rf"/\S*/{OF_THE_PUBLISHER}/([\w./-]*[\w/-])")
ASKING = ("responses", "translations", "prompt_translations", "policy", "scores", "measures", "answer_scores")
"""Rows whose steps ask or train a model; all others only need to know which policy it was."""
IN_PART = ("generate", "translate")


_NOT_HERE = " (on the machine that published; it is not in the release)"
GIVE_POLICY = "give the policy's folder with --policy FOLDER"


class CannotRun(Exception):
    """Why a step cannot be made again on this machine."""


class OtherSettings(Exception):
    """Settings of the recipe are not those that the step's record holds."""


@dataclass
class Again:
    """Makes steps again.

    Args:
        recipe: of the release, resolved.
        store: fresh; what an interrupted reproduction of the same commit made is still there.
        allowed: what a list of prompts that came with the release may ask.
        rows: make only the answers to so many prompts of each iteration.
        others: places that came out otherwise because other rules made them, or what they are made from.
    """

    published: PublishedRows
    recipe: Recipe
    store: Store
    locked: dict[str, str]
    allowed: AllowedAddresses
    rows: int | None = None
    trust_remote_code: bool = False
    say: Say = lambda text: None
    quiet: bool = True
    made: dict[str, Artifact] = field(default_factory=dict)
    others: set[str] = field(default_factory=set)
    _course: Decisions | None = None

    @property
    def around(self) -> Surroundings:
        """What the recipe's words are resolved against: the release's own folder, and nothing that was here before."""
        contents = read_contents(self.store.version_folder(self.recipe.name, self.recipe.version))
        lock = Lock(self.locked, contents)
        return Surroundings(self.recipe, self.recipe.folder, lock, self.store.root, self.allowed)

    def config(self, record: Record) -> Any:
        """A step's settings in its iteration, with what gates before it changed."""
        kind = STEPS[record.step]
        written = next((step.config for step in self.recipe.chain if step.name == record.step), None)
        config = getattr(self.recipe, kind.section) if kind.section else written
        if config is None:
            raise OtherSettings(f"the recipe has no step {record.step} any more")
        if self._course is None:
            self._course = Decisions(len(self.recipe.iterations))
            for other in self.published.release.records.values():
                decides = STEPS[other.step].decides
                if decides is not None:
                    self._course.follow(other.iteration, _decision(other, decides))
        return self._course.config(config, record.iteration, record.step)

    @property
    def policy_is_shipped(self) -> bool:
        """Whether the first policy is a folder that came with this lidr, as the miniature ones do."""
        folder = _policy_folder(self.recipe)
        return folder is not None and is_shipped(folder)

    def rules(self, record: Record) -> dict[str, tuple[int, int]]:
        """Which rules made a step, where this lidr has others.

        Raises:
            OtherSettings: the recipe is not the one that made the release.
        """
        kind = STEPS[record.step]
        identity = kind.identity(self.config(record))
        return other_rules(record.identity, {"step": record.step, "version": kind.version, "config": identity})

    def make(self, record: Record) -> tuple[Artifact, tuple[str, ...]]:
        """Make a step again; the artifact, and which of its inputs were made again.

        Raises:
            CannotRun: something is missing here.
            OtherSettings: the recipe is not the one that made the release.
        """
        config = self.config(record)
        self._check_settings(record, config)
        self._check_machine(record, config)
        self._check_outside(record, config)
        inputs, made_from = self._inputs(record)
        folder = self.store.folder(self.recipe.name, self.recipe.version, record.place)
        try:
            artifact = self._run(record, config, inputs, folder)
        except (LidrError, Unresolved) as error:
            raise CannotRun(_first(error)) from error
        self.made[record.place] = artifact
        return artifact, made_from

    def _run(self, record: Record, config: Any, inputs: dict[str, Artifact], folder: Path) -> Artifact:
        """Run the step itself, or take what an interrupted reproduction finished."""
        kind = STEPS[record.step]
        begun = {
            "identity": record.identity,
            "inputs": {name: {"place": a.record.place, "digest": a.record.digest} for name, a in inputs.items()},
            "rows": self.rows if record.step in IN_PART else None,
            "rules": rules_json(self.rules(record)),
        }
        if (folder / "record.json").exists() and (found := open_artifact(folder)).record.identity == begun:
            return found
        with self.store.writing(folder, kind.writes, begun) as out:
            with Progress(out.folder / "progress.json", record.place, quiet=self.quiet) as progress:
                outcome = kind.run(StepRun(self.around, config, record.iteration, inputs, out, progress))
            files, digest = out.finish()
            new = replace(
                record,
                identity=begun,
                files=files,
                digest=digest,
                counts=outcome.counts,
                rate=outcome.rate,
                versions=package_versions(),
            )
            return self.store.commit(folder, new)

    def _check_settings(self, record: Record, config: Any) -> None:
        kind = STEPS[record.step]
        now = {
            "config": kind.identity(config),
            "recipe": {name: recipe_field(self.recipe, record.iteration, name) for name in kind.uses},
        }
        was = {name: record.identity.get(name) for name in now}
        lines = [line for line in difference(was, by_rules_of(was, now)) if OF_THE_PUBLISHER not in line]
        if lines:
            raise OtherSettings(f"the recipe has other settings than the step's record: {'; '.join(lines[:5])}")

    def _check_machine(self, record: Record, config: Any) -> None:
        """Hardware, engine, servers, code that came with a model, and what only the publisher's store has."""
        policy, runtime = self.recipe.policy, self.recipe.runtime
        settings = config.model_dump(mode="json")
        model = policy.model if record.writes == InitialPolicy.name else None
        if runs := [*_settings_with("run:", [settings, model])]:
            how = f"; {GIVE_POLICY}" if runs[0] == model else ""
            raise CannotRun(f"{runs[0]}: an artifact of the publisher's store; it is not in the release{how}")
        servers = [*_settings_with("openai:", settings)]  # a recipe of others must not send keys of ours anywhere
        if record.writes not in ASKING and (record.writes == InitialPolicy.name or not servers):
            return
        asks = record.writes != "measures" or any(getattr(config, n, None) for n in ("round_trip", "margin"))
        if record.writes == "answer_scores":
            asks = Policy in STEPS[record.step].also_reads(config)
        is_canned = engine_row(runtime.engine).model == "script"
        if asks and not is_canned and isinstance(parse_reference(policy.model), ServerReference):
            servers.append(policy.model)
        if servers:
            raise CannotRun(f"{servers[0]}: {missing_engine('openai')}")
        engine = "transformers" if record.writes == "policy" else runtime.engine
        if asks and (missing := missing_engine(engine)):
            raise CannotRun(missing)
        if policy.trust_remote_code and not self.trust_remote_code:
            raise CannotRun("the model runs code of its own; read it, then give --trust-remote-code")
        first = [r for r in self.published.release.records.values() if r.writes == InitialPolicy.name]
        weights = sum(
            entry.bytes for record in first for entry in record.files if entry.path.startswith(("model/", "base/"))
        )
        if asks and (why := too_large(record.writes, weights)):
            raise CannotRun(why)

    def _check_outside(self, record: Record, config: Any) -> None:
        """What the step reads from outside the store must be here, and be the same."""
        folder = _policy_folder(self.recipe) if record.writes == InitialPolicy.name else None
        if folder is not None and not folder.is_dir():
            said = _PUBLISHERS.sub(rf"\1{_NOT_HERE}", str(folder))
            raise CannotRun(f"{said if _NOT_HERE in said else self.recipe.policy.model + _NOT_HERE}; {GIVE_POLICY}")
        try:
            now = dict(STEPS[record.step].outside(self.around, config))
        except (LidrError, Unresolved) as error:
            raise CannotRun(_first(error)) from error
        was = record.identity.get("outside", {})
        if address_of(record.identity) is None:  # of a release older than addresses in records
            now = without_address({"outside": now})["outside"]
        lines = difference(was, now)
        if lines:
            raise CannotRun(f"what it read is another here: {'; '.join(lines[:3])}")

    def _inputs(self, record: Record) -> tuple[dict[str, Artifact], tuple[str, ...]]:
        """Published inputs where the release holds them, else what was made again; the places of these."""
        kind = STEPS[record.step]
        missing = [rows.name for rows in kind.reads if not kind.last_only and rows.name not in record.inputs]
        if missing and (rules := self.rules(record)):
            raise CannotRun(f"made by {made_by(record.step, rules)}, which also reads {missing[0]}")
        if missing:
            raise OtherSettings(f"its record names no {missing[0]}, which the step {record.step} reads")
        found: dict[str, Artifact] = {}
        again: list[str] = []
        for name, said in record.inputs.items():
            source = self.published.release.records.get(said["place"])
            if source is None:
                raise CannotRun(f"its input {said['place']} has no record in the release")
            artifact = self._input(source, record)
            if artifact is None:
                raise CannotRun(f"its input {source.place} is not published and was not made again")
            if self.made.get(source.place) is artifact:
                again.append(source.place)
            found[name] = artifact
        return found, tuple(again)

    def _input(self, source: Record, record: Record) -> Artifact | None:
        if source.writes in (InitialPolicy.name, "policy"):
            return self._policy(source) if record.writes in ASKING else self.published.named(source.place)
        first = self.rows if record.step in IN_PART else None
        artifact = self.published.artifact(source.place, first)
        return artifact or self.made.get(source.place)

    def _policy(self, source: Record) -> Artifact | None:
        """The weights: those made again where they are the published ones, else the published, else made again."""
        made = self.made.get(source.place)
        if made is not None and made.record.digest == source.digest:
            return made
        if source.writes == InitialPolicy.name:
            return made or self.make(source)[0]
        found = self.published.policy(source)
        if found is not None:
            write_template(self.around, found.model)  # it was published without the run's switches and date
        return found or made


def _decision(record: Record, decides: Callable[[Mapping[str, Any]], Any]) -> Any:
    """What a gate decided, by its record.

    Raises:
        OtherSettings: it says none, so what came after it cannot have its settings.
    """
    try:
        return decides(record.counts)
    except (LookupError, TypeError, ValueError) as error:
        raise OtherSettings(f"the record of {record.place} holds no decision ({error})") from None


def _settings_with(form: str, value: Any) -> Iterator[str]:
    """Every setting that is a reference of this form: a server, a run."""
    if isinstance(value, str) and value.startswith(form):
        yield value
    elif isinstance(value, Mapping):
        for child in value.values():
            yield from _settings_with(form, child)
    elif isinstance(value, list | tuple):
        for child in value:
            yield from _settings_with(form, child)


def _first(error: Exception) -> str:
    """The first line of what was said, for a table; a folder that only the publisher had is named so, without the
    advice that is for whoever writes the recipe.
    """
    text = (str(error).splitlines() or [type(error).__name__])[0]
    said, not_here, _ = _PUBLISHERS.sub(rf"\1{_NOT_HERE}", text).partition(_NOT_HERE)
    return f"{said}{not_here}; what follows is made from the published rows" if not_here else said


def _policy_folder(recipe: Recipe) -> Path | None:
    """Where a first policy that is a folder is looked for; None where it is none."""
    reference = parse_reference(recipe.policy.model)
    if not isinstance(reference, FolderReference):
        return None
    return resolve_source(reference.path, recipe.folder) or Path(reference.path)
