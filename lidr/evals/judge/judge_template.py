"""What the judge is asked, as a versioned file: messages with places for the instruction and the outputs.

The form is the one of alpaca_eval's own files, so that those can be read too:

    <|im_start|>system
    ...
    <|im_end|>
    <|im_start|>user
    ... {instruction} ... {output_1} ... {output_2} ...
    <|im_end|>

Our texts stand in evals/x_alpacaeval/; a change of one letter is a new file with a new version. A template is known by
its name and the SHA-256 of its file.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lidr.errors import EvaluationError
from lidr.resources import shared

if TYPE_CHECKING:
    from lidr.engines import Message
    from lidr.evals.judge.settings import JudgeSettings

COMPARE = ("instruction", "output_1", "output_2")
GRADE = ("conversation", "answer")
_MAY_GRADE = ("reference",)

_OURS = {"logprob": "judge_v1", "logprob_swap": "judge_v1", "text": "judge_v1", "score": "judge_score_v1"}
_OURS_TO_GRADE = "grade_v1"
_INSTALLED = "alpaca_eval"
_USUAL_FILE = "alpaca_eval_clf.txt"  # the one whose multilingual form the paper's judge used

Role = Literal["system", "user", "assistant"]
_ROLES: dict[str, Role] = {"system": "system", "user": "user", "assistant": "assistant"}
_MARKER = re.compile(r"<\|[^|>\n]*\|>")
_PLACE = re.compile(r"\{([a-z_]+[0-9]?)\}")


@dataclass(frozen=True)
class Template:
    """The messages of one file.

    Args:
        name: `lidr/judge_v1`, the name of a user's file, or `alpaca_eval@0.6.6/alpaca_eval_clf.txt`.
        sha256: of the file's bytes.
        messages: role and text, with places in braces.
    """

    name: str
    sha256: str
    messages: tuple[tuple[Role, str], ...]

    def fill(self, values: Mapping[str, str]) -> list[Message]:
        """Put the values in their places, all at once: a value that looks like a place stays as it is.

        >>> Template("t", "", (("user", "{a} or {b}?"),)).fill({"a": "{b}", "b": "x"})
        [{'role': 'user', 'content': '{b} or x?'}]
        """

        def value(place: re.Match[str]) -> str:
            return values[place[1]]

        return [{"role": role, "content": _PLACE.sub(value, text)} for role, text in self.messages]


def comparing_template(settings: JudgeSettings) -> Template:
    """The template that compares two outputs: the user's, or ours for the mode.

    Raises:
        EvaluationError: there is no such file, or it is no template of this kind.
    """
    return _template(settings.template, _OURS[settings.mode], needs=COMPARE)


def grading_template(settings: JudgeSettings) -> Template:
    """The template that grades one answer.

    Raises:
        EvaluationError: there is no such file, or it is no template of this kind.
    """
    return _template(settings.template, _OURS_TO_GRADE, needs=GRADE, may=_MAY_GRADE)


def parse_template(content: bytes, name: str, *, needs: Iterable[str], may: Iterable[str] = ()) -> Template:
    """Read a file's content.

    Args:
        content: of the file.
        name: of the template, for records and messages.
        needs: places that must stand in it.
        may: places that may stand in it besides.

    Raises:
        EvaluationError: says which marker, role or place is missing or unknown.
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise EvaluationError(f"judge template {name}: not UTF-8 ({error})") from None
    messages = _messages(text, name)
    found, needs = {place for _, body in messages for place in _PLACE.findall(body)}, tuple(needs)
    allowed = ", ".join(f"{{{place}}}" for place in (*needs, *may))
    if missing := [place for place in needs if place not in found]:
        raise EvaluationError(
            f"judge template {name}: has no place {{{missing[0]}}}, so the judge would not see it; places: {allowed}"
        )
    if unknown := sorted(found - {*needs, *may}):
        raise EvaluationError(f"judge template {name}: unknown place {{{unknown[0]}}}; places: {allowed}")
    return Template(name, hashlib.sha256(content).hexdigest(), messages)


def _messages(text: str, name: str) -> tuple[tuple[Role, str], ...]:
    form = "a template is <|im_start|>system, its text, <|im_end|>, and the same for user"
    for marker in _MARKER.findall(text):
        if marker not in ("<|im_start|>", "<|im_end|>"):
            raise EvaluationError(f"judge template {name}: unknown marker {marker}; {form}")
    turns, rest = _turns(text)
    if not turns or rest:
        what = f"text outside the messages: {rest[:60]!r}" if turns else "no message in it"
        raise EvaluationError(f"judge template {name}: {what}; {form}")
    for role, _ in turns:
        if role.strip() not in _ROLES:
            raise EvaluationError(f"judge template {name}: unknown role {role!r}; allowed: {', '.join(_ROLES)}")
    return tuple((_ROLES[role.strip()], body.strip()) for role, body in turns)


def _turns(text: str) -> tuple[list[tuple[str, str]], str]:
    """Role and text of each message, and what stands outside them."""
    outside, *parts = text.split("<|im_start|>")
    turns = []
    for part in parts:
        role, newline, body = part.partition("\n")
        body, end, after = body.partition("<|im_end|>")
        if newline and end:
            turns.append((role, body))
            outside += after
        else:
            outside += f"<|im_start|>{part}"
    return turns, outside.strip()


def _template(given: str | None, ours: str, *, needs: Iterable[str], may: Iterable[str] = ()) -> Template:
    if given is None:
        path = shared("evals") / "x_alpacaeval" / f"{ours}.txt"
        return parse_template(_read(path), f"lidr/{ours}", needs=needs, may=may)
    package, _, file = given.partition(":")
    if package == _INSTALLED:
        path, version = _installed(file or _USUAL_FILE)
        return parse_template(_read(path), f"{_INSTALLED}@{version}/{path.name}", needs=needs, may=may)
    path = Path(given).expanduser()
    return parse_template(_read(path), path.name, needs=needs, may=may)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise EvaluationError(
            f"judge template {path}: {error.strerror}; give a file, or alpaca_eval[:NAME.txt]"
        ) from None


def _installed(file: str) -> tuple[Path, str]:
    """Find a template of an installed alpaca_eval without importing it: the import writes and downloads."""
    try:
        distribution = importlib.metadata.distribution(_INSTALLED)
    except importlib.metadata.PackageNotFoundError:
        raise EvaluationError(
            f"judge template {_INSTALLED}:{file}: alpaca_eval is not installed here; pip install --no-deps "
            "alpaca_eval, or give the path of a template file"
        ) from None
    texts = [entry for entry in distribution.files or [] if entry.suffix == ".txt"]
    found = sorted(str(entry.locate()) for entry in texts if entry.name == file or str(entry).endswith(f"/{file}"))
    if not found:
        have = ", ".join(sorted({entry.name for entry in texts if "clf" in entry.name})) or "none"
        raise EvaluationError(
            f"judge template {_INSTALLED}:{file}: no such file in it; for one token there are: {have}"
        )
    if len({_read(Path(path)) for path in found}) > 1:
        parents = ", ".join(sorted(f"{Path(path).parent.name}/{file}" for path in found))
        raise EvaluationError(f"judge template {_INSTALLED}:{file}: several differ; name the folder too: {parents}")
    return Path(found[0]), distribution.version
