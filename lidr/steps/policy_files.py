"""Where the files of the policy lie before anything is loaded, and what an adapter beside its model makes of it.

policy.adapter is merged into the model once, before any step asks or trains it: every step, and whoever gets the
policy, then has one plain folder. Answers are of the weights that are trained further, and what is published needs no
adapter of others beside it. With policy.merge: false the two stay apart, in `base/` and `adapter/`: an engine answers
with the one over the other, and what needs one folder of weights is refused.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lidr import engines
from lidr.costs import card_named, shape_named, this_machine
from lidr.engines import AdapterFolder, bring_tokenizer
from lidr.errors import EngineError, PlanError, StoreError
from lidr.hub import cached_folder, check_model_folder, model_files, model_snapshot
from lidr.recipe import PolicyConfig, Recipe
from lidr.references import FolderReference, HubReference, RunReference, parse_reference
from lidr.resources import resolve_source
from lidr.steps.step_kind import ADAPTER, BASE, Elsewhere, StepRun, Surroundings
from lidr.store import hashed, kept_sha256, locate
from lidr.weights import quantised_by, refused_base

if TYPE_CHECKING:
    from lidr.engines import Merged

_WHERE = "policy.adapter"
_UNMERGED = "policy.merge: false"
_TAKE_OUT = "take merge out of policy, and the adapter is merged first"


def check_adapter(around: Surroundings, config: PolicyConfig) -> None:
    """Refuse an adapter that cannot be merged, by its configuration and the names of its weights; one of the Hub
    that is not on this machine is looked at when it is merged.

    Raises:
        PlanError: it is none, it is of a kind that cannot be merged, or the model is packed.
    """
    if config.adapter is None:
        return
    base = policy_folder(around)
    folder = local_adapter(around, config)
    if not config.merge:
        _check_unmerged(around, base, folder)
        return
    try:
        if folder is not None:
            AdapterFolder(folder).check()
    except EngineError as error:
        raise PlanError(f"{_WHERE}: {error}") from None
    if base is not None and (why := refused_base(config.model, quantised_by(base))) is not None:
        raise PlanError(f"{_WHERE}: {why}")


def _check_unmerged(around: Surroundings, base: Path | None, folder: Path | None) -> None:
    """Refuse what cannot answer with the adapter over its model, or would be trained."""
    runtime = around.recipe.runtime
    if any(step.name == "train" for step in around.recipe.chain):
        refuse_unmerged(around, "train", "begins from one folder of weights, so that answers are of what is trained")
    row = engines.engine_row(runtime.engine)
    if row.model == "folder" and not row.adapters:
        able = ", ".join(engines.engines(lambda one: one.adapters))
        raise PlanError(f"{_UNMERGED}: {runtime.engine} puts no adapter over a model; {able} do: {_TAKE_OUT}")
    try:
        if folder is not None:
            AdapterFolder(folder).check_over(runtime.engine)
        if folder is not None and base is not None and (base / "config.json").is_file():
            AdapterFolder(folder).check_words(base)
    except EngineError as error:
        raise PlanError(f"{_UNMERGED}: {error}: {_TAKE_OUT}") from None


def refuse_unmerged(around: Surroundings, where: str, why: str) -> None:
    """Refuse a setting that needs the policy's weights in one folder.

    Args:
        where: the setting.
        why: what it does, after its name.

    Raises:
        PlanError: the policy's adapter is not merged.
    """
    policy = around.recipe.policy
    if policy.adapter is not None and not policy.merge:
        found = f"{why}, and the policy is an adapter over its model ({_UNMERGED})"
        raise PlanError(f"{where}: {found}: {_TAKE_OUT}; or take {where} out")


def outside_adapter(around: Surroundings, config: PolicyConfig) -> dict[str, Any]:
    """Identity of an adapter itself, as of a model, and the rules by which it is merged; nothing without one.

    Raises:
        PlanError: see `check_adapter`.
    """
    if config.adapter is None:
        return {}
    check_adapter(around, config)
    reference = parse_reference(config.adapter)
    if isinstance(reference, HubReference):
        found: dict[str, Any] = {"revision": reference.revision}
    else:
        files = model_files(own_adapter(around, reference))
        found = {"files": {path.name: kept_sha256(path, around.store_root) for path in files}}
    return {"adapter": {**found, "merge_rules": engines.MERGE_RULES} if config.merge else found}


def merge_policy(run: StepRun, base: Path, target: Path, planned: Mapping[str, str]) -> Merged:
    """Write the model with its adapter as one folder.

    Args:
        base: the model's folder.
        target: is made.
        planned: name of each file of the adapter -> its SHA-256.

    Raises:
        EngineError: the adapter does not fit; see `merge_adapter`.
        StoreError, HubError: it is not there, or has another content than was planned.
    """
    config: PolicyConfig = run.config
    folder = adapter_folder(run.around, config)
    check_files(folder, planned)
    return engines.merge_adapter(base, folder, target, log=run.log, trust_remote_code=config.trust_remote_code)


def put_beside(run: StepRun, base: Path, planned: Mapping[str, str]) -> list[str]:
    """Bring the adapter beside the model, which is there but for its tokenizer and chat template: those that stand
    beside the adapter come first.

    Args:
        base: the model's folder.
        planned: name of each file of the adapter -> its SHA-256.

    Returns:
        What a person should know: whose tokenizer and template they are.

    Raises:
        EngineError: the adapter cannot be used over the model.
        StoreError, HubError: it is not there, or has another content than was planned.
    """
    folder = adapter_folder(run.around, run.config)
    check_files(folder, planned)
    found = AdapterFolder(folder)
    try:
        found.check_over(run.recipe.runtime.engine)
        found.check_words(base)
    except EngineError as error:
        raise PlanError(f"{_UNMERGED}: {error}: {_TAKE_OUT}") from None
    target = run.out.folder / ADAPTER
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        shutil.copyfile(folder / name, target / name)
    return bring_tokenizer(base, folder, run.out.folder / BASE)


def adapter_folder(around: Surroundings, config: PolicyConfig) -> Path:
    """Where the adapter lies; one of the Hub is fetched.

    Raises:
        HubError: the Hub does not give it.
        StoreError: the store has no such run.
    """
    reference = parse_reference(str(config.adapter))
    if isinstance(reference, HubReference):
        commit = str(reference.revision)
        folder = model_snapshot(reference.repo, commit, digest=around.digest_of(reference.repo, commit))
        around.keep_content(reference.repo, commit)
        return folder
    return own_adapter(around, reference)


def is_of_hub(policy: PolicyConfig) -> bool:
    """Whether some of its files come from a Hub, so that a plan may have to do without them."""
    names = (policy.model, policy.adapter or policy.model)
    return any(isinstance(parse_reference(name), HubReference) for name in names)


@contextmanager
def policy_tokenizer(around: Surroundings) -> Iterator[Path | None]:
    """A folder with the policy's tokenizer and chat template, those beside its adapter first, while the block lasts;
    None where they are not on this machine.
    """
    folder = policy_folder(around)
    if around.recipe.policy.adapter is None or folder is None or not folder.is_dir():
        yield folder
    elif (adapter := local_adapter(around, around.recipe.policy)) is None:
        yield None
    else:
        with _tokenizer_with(folder, adapter) as together:
            yield together


def policy_folder(around: Surroundings) -> Path | None:
    """Where the policy's tokenizer lies on this machine already: a folder, a run's, or what the Hub's cache has."""
    reference = parse_reference(around.recipe.policy.model)
    if isinstance(reference, FolderReference):
        folder = resolve_source(reference.path, around.recipe_folder) or Path(reference.path)
        return None if lies_elsewhere(around.recipe, folder) else folder
    if isinstance(reference, RunReference):
        return locate(reference, around.recipe).model_folder
    if isinstance(reference, HubReference):
        commit = around.recipe.policy.pinned or around.lock.commits.get(reference.repo)
        return cached_folder(reference.repo, commit) if commit else None
    return None


def is_for_another_card(recipe: Recipe) -> bool:
    """Whether `runtime.gpu` names a card that this machine has not."""
    named, here = recipe.runtime.gpu, this_machine().cards
    return named is not None and card_named(named) not in map(card_named, here)


def lies_elsewhere(recipe: Recipe, folder: Path) -> bool:
    """Whether a folder is to be on the machine that has `runtime.gpu`: it is named by its whole path, and neither it
    nor such a card is here.
    """
    return folder.is_absolute() and not folder.exists() and is_for_another_card(recipe)


def folder_here(recipe: Recipe, folder: Path, where: str) -> Path:
    """A model's folder, if it is one; `where` opens what is said of it.

    Raises:
        Elsewhere: it is not here, and the recipe is for another machine.
        PlanError: see `check_model_folder`.
    """
    if lies_elsewhere(recipe, folder):
        shape = shape_named(folder.name)
        size = (
            "its size is taken from its name"
            if shape
            else "its size is not known, for its name says none, as `-7B` does: time and memory cannot be told"
        )
        raise Elsewhere(
            f"{where}: no folder {folder} on this machine; a run needs it where it runs. Until then {size}, and its "
            "template and heads are not looked at"
        )
    return check_model_folder(folder, where)


def local_adapter(around: Surroundings, config: PolicyConfig) -> Path | None:
    """The adapter's folder, where it is on this machine already: the Hub's cache may have it."""
    reference = parse_reference(str(config.adapter))
    if isinstance(reference, HubReference):
        return cached_folder(reference.repo, str(reference.revision), "adapter_config.json")
    return own_adapter(around, reference)


def own_adapter(around: Surroundings, reference: Any) -> Path:
    """The folder of an adapter that is not of a Hub: one that the recipe names, or of a run."""
    if isinstance(reference, RunReference):
        return locate(reference, around.recipe).part("adapter")
    assert isinstance(reference, FolderReference)
    return resolve_source(reference.path, around.recipe_folder) or Path(reference.path)


def check_files(folder: Path, planned: Mapping[str, str]) -> None:
    """What was planned by remembered digests is read: the weights must be those."""
    for name, sha256 in planned.items():
        if hashed(folder / name) != sha256:
            raise StoreError(
                f"{folder / name}: has another content than when it was planned, and the same size and times: damaged, "
                "or put back by a tool. Put the file back as it was; if this content is wanted, touch its source and "
                "run the same command again"
            )


@contextmanager
def _tokenizer_with(base: Path, adapter: Path) -> Iterator[Path]:
    """A folder with the tokenizer and the chat template of the merged policy, and no weights, while the block lasts."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        bring_tokenizer(base, adapter, folder)
        for name in ("config.json", "generation_config.json"):
            if (base / name).is_file():
                shutil.copyfile(base / name, folder / name)
        yield folder
