"""The text of a recipe as `lidr init` writes it: short, with comments, and what suits the model and the machine."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

from lidr.cli.recipe.model_said import Lengths, lengths_of, template_said
from lidr.costs import shape_in, shape_named
from lidr.doctor import machine_said
from lidr.errors import EvaluationError
from lidr.evals import MGSM_HUB, MGSM_ROWS, load_rows, task_specs
from lidr.extras import has
from lidr.references import FolderReference, HubReference, Reference, ServerReference
from lidr.resources import resolve_source
from lidr.steps import PromptDraft

_ROWS = "recipes/prompts"  # word problems of lidr's own, in the form of MGSM
_LARGE = 3_000_000_000  # parameters, 12 GB in float32
_MOST = 16  # prompts of the first run


def recipe_text(
    target: Path,
    codes: Sequence[str],
    reference: Reference,
    prompts: PromptDraft,
    *,
    source: str,
    licence: str,
    publish: str,
    policy_licence: str | None,
    data: str,
) -> str:
    """Write it out.

    Args:
        target: the file that it is for.
        codes: languages, the dominant one first.
        reference: the model.
        prompts: what was seen of the prompts.
        source: where they are.
        licence: of the prompts.
        publish: org/name of the repositories; empty: nowhere.
        policy_licence: of the model; None: not said.
        data: where the problems of the evaluation are, as `rows_for` finds it.
    """
    lengths, said = lengths_of(reference), template_said(reference)
    is_server = isinstance(reference, ServerReference)
    model = f"model: {_quoted(str(reference))}"
    if isinstance(reference, HubReference) and not reference.revision:
        model += ", revision: unpinned"
    if not is_server:
        model += ", dtype: auto"
    if said.setting:
        model += f", chat_template: {said.setting}"
    evaluate = _evaluate(codes, lengths.answer, data)
    train = "" if is_server else _TRAIN.format(length=lengths.training, evaluate=evaluate)
    return _TEXT.format(
        file=shlex.quote(str(target)),
        name=_name_of(target),
        dominant=codes[0],
        others=", ".join(map(_quoted, codes[1:])),
        model=model,
        thoughts=f"# {said.thoughts}\n" if said.thoughts else "",
        prompts=_quoted(source),
        licence=licence,
        more=_more(prompts, lengths),
        system=said.system,
        answer=lengths.answer,
        translation=lengths.translation,
        range=_range(prompts),
        machine=machine_said(),
        train=train,
        publish=_publish(publish, policy_licence, is_server=is_server),
        runtime=_runtime(reference),
    )


def _name_of(target: Path) -> str:
    """A recipe's name from its file's, in the letters that a repository's may have.

    >>> _name_of(Path("Bienen für Köln.yaml"))
    'bienen-fur-koln'
    """
    plain = unicodedata.normalize("NFKD", target.stem.lower()).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9._-]+", "-", plain).strip("._-")[:64] or "mine"


def rows_for(codes: Sequence[str], folder: str | None) -> str:
    """Where the most problems in these languages are, as a recipe says it.

    Args:
        codes: languages.
        folder: of the user; None: where LIDR_DATA points, if anywhere.
    """
    theirs = folder or ("$LIDR_DATA" if os.environ.get("LIDR_DATA") else _ROWS)
    most: dict[str, int] = {place: sum(_rows_in(code, place) or 0 for code in codes) for place in (_ROWS, theirs)}
    return max(most, key=lambda place: most[place])


def too_few(codes: Sequence[str], data: str) -> str | None:
    """That an evaluation by these rows is too small for a claim, and what to do; None where it is not."""
    found = [number for code in codes if (number := _rows_in(code, data))]
    if not found or min(found) >= MGSM_ROWS:
        return None
    whose = "problems of lidr's own in the form of MGSM" if data == _ROWS else "problems"
    return (
        f"{data} has {min(found)} {whose}: too few for a claim. All {MGSM_ROWS}: data: [{MGSM_HUB}@COMMIT] of the Hub, "
        "or LIDR_DATA set to a folder with mgsm/LANG.jsonl and data: [$LIDR_DATA]"
    )


def _evaluate(codes: Sequence[str], longest: int, data: str) -> str:
    """The step as a comment, in the languages of which there are rows."""
    has = {code: _rows_in(code, data) for code in codes}
    there = [code for code in codes if has[code]]
    away = [code for code in codes if has[code] == 0]
    never = [code for code in codes if has[code] is None]
    asked = there or away
    if not asked:
        return f"  # no step evaluate with MGSM, which is not in {', '.join(never)}"
    languages = f", languages: [{', '.join(map(_quoted, asked))}]" if len(asked) < len(codes) else ""
    said = f"; {data} has no rows in {', '.join(away)}: name a folder with mgsm/LANG.jsonl" if away else ""
    said += f"; MGSM is not in {', '.join(never)}" if never else ""
    place = _quoted(data) if there else "FOLDER"
    step = f"evaluate: {{tasks: [mgsm]{languages}, data: [{place}], max_tokens: {longest}}}"
    few = f"\n  #   {told}" if (told := too_few(codes, data)) else ""
    return f"  # - {step}   # did it help? before and after{said}{few}"


def _rows_in(code: str, data: str) -> int | None:
    """How many problems a folder has in a language; None where MGSM itself is not in it, so nobody's can be."""
    try:
        task_specs(["mgsm"], [code])
    except EvaluationError:
        return None
    folder = resolve_source(data, Path())
    if folder is None or not folder.is_dir():
        return 0
    try:
        return load_rows("mgsm", code, str(folder)).facts.rows
    except EvaluationError:
        return 0


def _publish(repo: str, licence: str | None, *, is_server: bool) -> str:
    """The step, or a comment that shows it."""
    said = f", policy_license: {_quoted(licence)}" if licence else ""
    if not repo:
        shown = said or ", policy_license: ID"
        return f"  # - publish: {{pairs: YOU/NAME{shown}}}   # to publish: where, and the licence of the model\n"
    policy = "" if is_server else f", policy: {repo}"
    return f"  - publish: {{pairs: {repo}-pairs{policy}{said}}}   # for all to read, or: private: true\n"


def _more(prompts: PromptDraft, lengths: Lengths) -> str:
    """What else `prompts` says: the columns, and who makes prompts of one language parallel."""
    columns = ", ".join(f"{role}: {_column_said(name)}" for role, name in prompts.columns.items())
    named = f"\n  columns: {{{columns}}}" if columns else ""
    if not prompts.is_one_language:
        return named
    warning = "# A weak model's translations can be nonsense with status ok: read some of iter_1/parallel/data first"
    translate = f"translate: {{max_tokens: {lengths.prompt}}}           # the model itself translates them"
    return f"{named}\n  {warning}\n  {translate}"


def _column_said(column: str | Mapping[str, str]) -> str:
    if isinstance(column, str):
        return _quoted(column)
    return f"{{{', '.join(f'{_quoted(code)}: {_quoted(name)}' for code, name in column.items())}}}"


def _range(prompts: PromptDraft) -> str:
    if prompts.count is None:
        return f'"0:{_MOST}"                      # START:STOP; not looked at: see that there are so many'
    return f'"0:{min(_MOST, prompts.count)}"                      # START:STOP of {prompts.count:,}; begin small'


def _quoted(text: str) -> str:
    """As YAML reads it as text: `no` is Norwegian, not false."""
    is_plain = re.fullmatch(r"[\w$./~][\w./@:+=-]*", text) and text.lower() not in ("no", "on", "off", "yes", "null")
    return text if is_plain else json.dumps(text, ensure_ascii=False)


def _runtime(reference: Reference) -> str:
    """What suits the machine and the model."""
    if isinstance(reference, ServerReference):
        return "{engine: openai, engine_batch: 16, push: false}"
    if shutil.which("nvidia-smi") and has("vllm"):
        return _ON_GPU
    plain = "{engine: transformers, engine_batch: 16, micro_batch: 1, push: false}"
    if _is_large(reference):
        return f"{_ON_GPU}\n# without vLLM (pip install 'lidr[vllm]'), and slower: {plain}"
    return f"{plain}\n# on a GPU, with vLLM: {_ON_GPU}"


def _is_large(reference: Reference) -> bool:
    """Whether a model is too large to be of use without a GPU, by its folder or its name; False where nobody knows."""
    folder = resolve_source(reference.path, Path()) if isinstance(reference, FolderReference) else None
    name = reference.repo if isinstance(reference, HubReference) else ""
    shape = shape_named(name) if folder is None else shape_in(folder)
    return shape is not None and shape.parameters >= _LARGE


_ON_GPU = "{engine: vllm, engine_batch: 256, micro_batch: 1, gradient_checkpointing: true, push: false}"

_TRAIN = """\
  - train:                               # DPO + NLL on the pairs; the reference is the iteration's own start
      {{beta: 0.1, learning_rate: 5.0e-6, epochs: 1, batch: 8, reference: previous, max_length: {length},
       lora: {{rank: 16}}}}
{evaluate}
"""

_TEXT = """\
# Pairs from a model's own language gap. Change what you like; every setting: lidr validate --json-schema
#   lidr plan {file}    lidr run {file}
# Written on: {machine}
schema: 1
name: {name}
version: 0.1.0                           # bump when anything above `runtime` changes
languages: {{dominant: {dominant}, others: [{others}]}}
{thoughts}policy: {{{model}}}
prompts:
  source: {prompts}
  license: {licence}                       # flows into every card{more}
system_prompt: null                      # {system}
seed: 42
chain:
  - generate: {{max_tokens: {answer}, temperature: 0.0}}
  - translate: {{max_tokens: {translation}, retry: {{times: 1}}}}
  - pair: {{drop: joint}}                  # the dominant language's answer is preferred
  - filter: {{repetition: {{lines: 5}}, length_ratio: {{min: 0.2, max: 5.0}}, language: {{of: chosen}}}}
{train}{publish}iterations:
  - prompts: {range}
runtime: {runtime}
"""
