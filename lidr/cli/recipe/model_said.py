"""What a model says of itself before it is loaded: its chat template, and how much it can hold."""

from __future__ import annotations

import json
import textwrap
from dataclasses import dataclass
from pathlib import Path

from lidr.engines import TEMPLATE_FILES, Probe, fix, probe, switches, template_of, training_form
from lidr.errors import EngineError, HubError, PlanError
from lidr.hub import read_file, resolve
from lidr.reasoning import family_of
from lidr.references import DistReference, FolderReference, HubReference, Reference, ServerReference
from lidr.resources import near_file, resolve_source


@dataclass(frozen=True)
class Lengths:
    """Longest texts that a recipe asks of a model, tokens.

    Args:
        answer, translation: of `generate` and `translate`.
        prompt: a translated prompt.
        training: prompt and answer in training.
    """

    answer: int = 512
    translation: int = 640
    prompt: int = 256
    training: int = 2048


_ROOM = 128  # tokens of the template and the instruction to translate


def lengths_of(reference: Reference) -> Lengths:
    """The usual lengths, or shorter ones where the model's window is too small for them.

    A translation's request holds the instruction, the answer and the translation of it, so these share the window.
    """
    usual, window = Lengths(), _window(reference)
    if window is None or window >= usual.answer + usual.translation + _ROOM:
        return usual
    shared = max(16, window - max(window // 4, min(_ROOM, window // 2)))
    answer = max(8, shared * 4 // 9 // 8 * 8)
    return Lengths(answer, max(8, answer * 5 // 4 // 8 * 8), min(usual.prompt, max(8, window // 4)), window)


def _window(reference: Reference) -> int | None:
    """Longest prompt plus answer, tokens, by config.json; None where nobody could look, or it says nothing."""
    if (path := _file(reference, "config.json")) is None:
        return None
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        found = config.get("max_position_embeddings") or config.get("text_config", {}).get("max_position_embeddings")
    except (OSError, ValueError, AttributeError, RecursionError):
        return None
    return found if isinstance(found, int) and found > 0 else None


def _file(reference: Reference, name: str) -> Path | None:
    """A file of the model, in its folder or from the Hub; None where it is not there, or nobody could look."""
    if isinstance(reference, FolderReference):
        path = (resolve_source(reference.path, Path()) or Path(reference.path)) / name
        return path if path.is_file() else None
    if not isinstance(reference, HubReference):
        return None
    try:
        commit = reference.revision if reference.is_pinned else resolve(reference.repo, reference.revision)
        return read_file(reference.repo, str(commit), name)
    except HubError:
        return None


@dataclass(frozen=True)
class TemplateSaid:
    """What a chat template says of the recipe, read from the model's folder or its files on the Hub alone.

    Args:
        system: of the system prompt, for a comment.
        thoughts: of thinking before an answer, for a comment; empty where it does none.
        setting: what the recipe says of the template for it, as YAML; empty where nothing is needed.
    """

    system: str
    thoughts: str = ""
    setting: str = ""


_SYSTEM = "You answer in full sentences."
_SWITCHES = ("enable_thinking", "thinking")
_EFFORT = "reasoning_effort"


def template_said(reference: Reference) -> TemplateSaid:
    """Look at the template, and write small conversations with it."""
    if isinstance(reference, ServerReference):
        advice = "if the model thinks before it answers: chat_template: {kwargs: {enable_thinking: false}}"
        return TemplateSaid("the server applies its own template", advice)
    if isinstance(reference, DistReference):
        return TemplateSaid("the template is in the GGUF file and was not looked at")
    folder, text = _template(reference)
    if text is None or folder is None:
        return TemplateSaid("the template was not looked at: not here, or the Hub did not give it")
    if not text:
        return TemplateSaid("no chat template was found: a base model needs one, or another model")
    try:
        found = probe(folder, text)
        takes_none = found.refuses_system(_SYSTEM)
        own = " ".join(found.own_system().split())
        kept = f"; null keeps its own: {_shortened(own)}" if own else ""
        system = (
            f"its template takes a system message{kept}"
            if takes_none is None
            else f"its template takes no system message ({' '.join(takes_none.split())[:60]}): keep null"
        )
        return TemplateSaid(system, *_thoughts(found))
    except EngineError as error:
        return TemplateSaid(f"its template could not be tried: {' '.join(str(error).split())[:80]}")


def _shortened(text: str, longest: int = 50) -> str:
    """A text for a comment, cut at the end of a word."""
    return f'"{textwrap.shorten(text, longest, placeholder=" ...")}"'


def _thoughts(found: Probe) -> tuple[str, str]:
    """What to say of thinking, and the setting that fits."""
    known = switches(found.template)
    for name in _SWITCHES:
        if name in known and Probe(found.folder, fix(found.template, {name: False}, None)).question != found.question:
            said = f"it thinks before it answers unless {name} is false; thoughts would count in max_tokens"
            return said, f"{{kwargs: {{{name}: false}}}}"
    room = "thoughts count in max_tokens: give it room"
    if training_form(found, None) is None and training_form(found, "auto") is not None:
        return f"its prompt opens a thought, which training closes at once; {room}", "{training: auto}"
    if _EFFORT in known:
        return f"it thinks before it answers, and {room}; shorter: chat_template: {{kwargs: {{{_EFFORT}: low}}}}", ""
    if asked := [name for name in _SWITCHES if name in known]:
        return f"it thinks if asked to: chat_template: {{kwargs: {{{asked[0]}: true}}}}; {room}", ""
    return (f"it may think before it answers, and {room}", "") if family_of(found.template, ()) else ("", "")


def _template(reference: Reference) -> tuple[Path | None, str | None]:
    """Where it lies, and its text: empty where there is none, None where nobody could look."""
    if isinstance(reference, FolderReference):
        folder = resolve_source(reference.path, Path()) or Path(reference.path)
        if not folder.is_dir():
            meant = near_file(folder)
            raise PlanError(
                f"--model: no folder {folder}{meant}; give one with config.json and *.safetensors, or org/name. For "
                "one that lies on another machine name the same model of the Hub here, then write its path there and "
                "runtime.gpu into the recipe"
            )
        return folder, template_of(folder) or ""
    found = [path for name in (TEMPLATE_FILES[0], "tokenizer_config.json") if (path := _file(reference, name))]
    return (found[0].parent, template_of(found[0].parent) or "") if found else (None, None)
