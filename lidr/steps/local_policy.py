"""A policy in a folder of this machine: what its files say against the recipe, before anything is loaded."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from lidr.engines import (
    FIXED_DATE,
    TEMPLATE_FILE,
    ModelFolder,
    Probe,
    engine_row,
    fix,
    probe,
    reads_date,
    refused_tokenizer,
    said_switches,
    template_of,
    training_form,
    unread,
    without_fixing,
)
from lidr.errors import EngineError, LidrError, PlanError
from lidr.recipe import AUTO, template_identity, template_kwargs
from lidr.references import FolderReference, ServerReference, parse_reference
from lidr.resources import resolve_source
from lidr.steps.policy_files import is_of_hub, policy_tokenizer
from lidr.steps.step_kind import Policy, StepRun, Surroundings
from lidr.store import file_sha256
from lidr.train import TrainingText

ASKING = ("generate", "translate", "measure", "evaluate")
"""Steps that ask the policy."""

_UNSEEN = (
    "not checked: the Hub's cache does not have it at the recipe's commit; the step policy checks it once it is here"
)


def is_asked(around: Surroundings) -> bool:
    """Whether a step asks the policy, and no canned answers stand in for it."""
    is_canned = engine_row(around.recipe.runtime.engine).model == "script"
    return not is_canned and any(step.name in ASKING for step in around.recipe.chain)


def is_trained(around: Surroundings) -> bool:
    """Whether a step trains it."""
    return any(step.name == "train" for step in around.recipe.chain)


def check_template(around: Surroundings, folder: Path | None = None) -> tuple[str, ...]:
    """Look at how the policy's chat template writes small conversations, by its files alone.

    Args:
        folder: of the policy; None: where it lies, if it lies on this machine already.

    Returns:
        What a person should know that is no mistake.

    Raises:
        PlanError: its tokenizer takes no template; the policy is asked and has none; it refuses what the recipe asks;
            a switch is none that it reads; it writes prompt and answer otherwise than the prompt, and a step trains.
    """
    if not (is_asked(around) or is_trained(around)):
        return ()
    if folder is not None:
        return _look_at(around, folder)
    unseen = (_UNSEEN,) if is_of_hub(around.recipe.policy) else ()
    with policy_tokenizer(around) as found:
        if found is None or not found.is_dir():
            return unseen
        return _look_at(around, found, unseen)


def refused_system(around: Surroundings) -> str | None:
    """Why the policy's chat template takes no system message; None where it does, or where nobody can tell yet."""
    with policy_tokenizer(around) as found, suppress(LidrError):  # what is wrong with it, `check_template` says
        template = template_for(around, found) if found is not None and found.is_dir() else None
        return probe(found, template).refuses_system("Be brief.") if found and template is not None else None
    return None


def _look_at(around: Surroundings, folder: Path, unseen: tuple[str, ...] = ()) -> tuple[str, ...]:
    if (why := refused_tokenizer(folder)) is not None:
        raise PlanError(f"policy.model: {why}")
    try:
        template = template_for(around, folder)
        if template is None and unseen:
            return unseen  # the cache may hold some of its files alone
        if template is None:
            policy = around.recipe.policy
            name = folder if policy.adapter is None else policy.model
            raise PlanError(
                f"policy.model: {name} has no chat template (no chat_template.jinja, and none in "
                "tokenizer_config.json), so it is unknown how to ask it: put a chat_template.jinja there, name one in "
                "policy.chat_template.file, or name an instruction-tuned model"
            )
        found = probe(folder, template)
        return (*_system_notes(around, found), *_turn_notes(around, found), *_training_notes(around, found))
    except EngineError as error:
        raise PlanError(f"policy.model: {error}") from None


def template_for(around: Surroundings, folder: Path) -> str | None:
    """The template as the run uses it: the recipe's or the model's own, with switches and date; None without one.

    Raises:
        PlanError: a switch or a date that it does not read, or no such file.
    """
    said = around.recipe.policy.chat_template
    own = _text_of(around, "file") if said is not None and said.file else template_of(folder)
    says_nothing = not template_identity(said) and not (said is not None and said.file)
    if own is None or (says_nothing and own != without_fixing(own)):
        return own  # another run of lidr trained it with the switches that stand there
    plain, kwargs = without_fixing(own), template_kwargs(said)
    if unknown := unread(plain, kwargs):
        name = unknown[0]
        others = f", and no {', '.join(unknown[1:])}" if unknown[1:] else ""
        raise PlanError(
            f"policy.chat_template.kwargs.{name}: the chat template reads no such switch{others}; "
            f"{said_switches(plain)}"
        )
    is_dated = reads_date(plain)
    if said is not None and said.date and not is_dated:
        raise PlanError("policy.chat_template.date: the chat template writes no date of today; take it out")
    return fix(plain, kwargs, (said.day if said else FIXED_DATE) if is_dated else None)


def training_template(around: Surroundings) -> str | None:
    """What the recipe says of the form in which answers are trained: nothing, `auto`, or a template's text."""
    said = around.recipe.policy.chat_template
    if said is None or said.training in (None, AUTO):
        return said.training if said else None
    return _text_of(around, "training")


def outside_form(around: Surroundings) -> dict[str, Any]:
    """What the recipe says of how a prompt and its answer are written together, as identity: a second BOS token, a
    template for training.
    """
    found: dict[str, Any] = {"double_bos": True} if around.recipe.policy.double_bos else {}
    if (given := training_template(around)) is not None:
        found["training_template"] = AUTO if given == AUTO else file_sha256(template_file(around, "training"))
    return found


def training_text(run: StepRun) -> TrainingText:
    """In what form the answers of the current policy are trained; as its template writes them, where none fits."""
    given = training_template(run.around)
    folder = run.inputs[Policy.name].model
    template = template_of(folder) if given is not None else None
    found = training_form(probe(folder, template), given) if template is not None else None
    return TrainingText(found.template, found.closes) if found is not None else TrainingText()


def template_file(around: Surroundings, name: str) -> Path:
    """The file that `policy.chat_template.file` or `training` names.

    Raises:
        PlanError: it is not there.
    """
    text = str(getattr(around.recipe.policy.chat_template, name))
    path = resolve_source(text, around.recipe_folder)
    if path is None or not path.is_file():
        raise PlanError(f"policy.chat_template.{name}: no file {text}; give a Jinja file")
    return path


def _text_of(around: Surroundings, name: str) -> str:
    path = template_file(around, name)
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise PlanError(f"policy.chat_template.{name}: {path}: not UTF-8 at byte {error.start}") from None


def write_template(around: Surroundings, folder: Path) -> dict[str, Any]:
    """Write the template as the run uses it into a policy's folder, where whoever asks or trains it reads it; the
    policies that are trained from it inherit it.

    Returns:
        What was written: switches, date, the text's SHA-256; nothing where the template is as it was.
    """
    template = template_for(around, folder)
    if template is None or template == template_of(folder):
        return {}
    said, file = around.recipe.policy.chat_template, folder / TEMPLATE_FILE
    file.unlink(missing_ok=True)  # it may be a link into the Hub's cache
    file.write_text(template, encoding="utf-8")
    day = str(said.day if said else FIXED_DATE) if reads_date(without_fixing(template)) else None
    return {"kwargs": template_kwargs(said), "date": day, "sha256": file_sha256(file)}


def _system_notes(around: Surroundings, found: Probe) -> tuple[str, ...]:
    system = around.recipe.system_prompt
    if system is not None and is_asked(around) and (why := found.refuses_system(system)) is not None:
        raise PlanError(f"system_prompt: the policy's chat template takes none: {why}; set system_prompt: null")
    return ()


def _turn_notes(around: Surroundings, found: Probe) -> tuple[str, ...]:
    ends = found.ends_of_turn()
    if not ends and is_trained(around):
        return ("the template writes no end of turn after an answer, so none is trained",)
    if not ends or any(map(found.stops, ends)):
        return ()
    return (f"an answer ends at {ends[0]}, which the model's own files do not name as an end",)


def _training_notes(around: Surroundings, found: Probe) -> tuple[str, ...]:
    if isinstance(parse_reference(around.recipe.policy.model), ServerReference):
        return ()
    if not is_trained(around):
        return _thought_notes(around, found) if _publishes_pairs(around) else ()
    given = training_template(around)
    form = training_form(found, given)
    if form is not None and form.said:
        return (f"answers are trained {form.said}",)
    if form is not None:
        return _thought_notes(around, found)
    if given is None and (helps := training_form(found, AUTO)) is not None:
        advice = f"`training: {AUTO}` trains them {helps.said}"
    else:
        advice = "give `training` a Jinja file that writes both, or `file` another template"
    raise PlanError(
        "policy.chat_template: the template does not write a prompt with its answer as it writes the prompt "
        f"alone (which ends with {found.generation_prompt[-40:]!r}), so no answer could be trained on the prompt that "
        f"it was asked with: {advice}"
    )


def _thought_notes(around: Surroundings, found: Probe) -> tuple[str, ...]:
    """Where the policy may think before an answer, what stands before the answer that it, or somebody else, is trained
    on.
    """
    reasoning, before = around.recipe.policy.reasoning, found.before_answer().strip()
    if (reasoning is not None and reasoning.train) or not (before or found.may_think()):
        return ()
    after = f"after {before!r}, which the template writes before them" if before else "right after the prompt"
    learns = "the policy learns" if before else "a policy that thinks learns"
    others = "whoever trains on the published pairs with this template does the same"
    said = [f"answers are trained without thoughts, {after}: so {learns} to answer without thinking"]
    said += ["policy.reasoning.train: true trains on the thoughts, too"] if is_trained(around) else []
    said += [others] if _publishes_pairs(around) else []
    return ("; ".join(said),)


def _publishes_pairs(around: Surroundings) -> bool:
    return any(step.name == "publish" and step.config.pairs for step in around.recipe.chain)


def check_window(around: Surroundings, where: str, max_tokens: int | None) -> None:
    """Refuse answers that alone are as long as all that the policy can hold: no prompt would be asked.

    Args:
        where: the setting, as `generate.max_tokens`.
        max_tokens: its value, tokens; None: not said.

    Raises:
        PlanError: no prompt fits beside such an answer.
    """
    folder = _loaded_folder(around)
    if folder is None or max_tokens is None:
        return
    given = around.recipe.runtime.longest
    window = given or ModelFolder(folder).context_length()
    if window is not None and max_tokens >= window:
        whose = "runtime.max_model_len" if given else f"max_position_embeddings in {folder / 'config.json'}"
        raise PlanError(
            f"{where}: {max_tokens:,} tokens of answer leave no room for a prompt in a window of {window:,} ({whose}); "
            "prompt and answer share it: lower max_tokens"
        )


def check_temperature(engine: str, where: str, temperature: float) -> None:
    """Refuse a temperature that the engine would refuse in every request.

    Args:
        engine: who answers.
        where: the setting, as `generate.temperature`.
        temperature: its value.

    Raises:
        PlanError: it is higher than the engine takes.
    """
    row = engine_row(engine)
    if row.hottest is not None and temperature > row.hottest:
        raise PlanError(f"{where}: {temperature:g}, and {row.title or row.name} takes at most {row.hottest:g}")


def _loaded_folder(around: Surroundings) -> Path | None:
    """The policy's folder, where it is one that the run's engine loads."""
    recipe = around.recipe
    reference = parse_reference(recipe.policy.model)
    if not isinstance(reference, FolderReference) or engine_row(recipe.runtime.engine).model != "folder":
        return None
    return resolve_source(reference.path, around.recipe_folder) or Path(reference.path)
