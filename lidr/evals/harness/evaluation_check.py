"""Whether an evaluation can start: tasks built by lm-eval, rows loaded, first prompts rendered, all problems at once.

Nothing is generated and no weights are loaded. lm-eval's own `validate` looks at names only.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lidr.engines import ChatTokenizer, fixed_anyhow
from lidr.errors import EngineError, EvaluationError, LidrError, MissingExtraError
from lidr.evals.benchmark_rows import Loaded, check_parallel, load_rows, read_each
from lidr.evals.benchmarks import task_specs
from lidr.evals.checkpoint import find_rendering
from lidr.evals.spec import TaskSpec


@dataclass(frozen=True)
class CheckedTask:
    """One task that can be asked.

    Args:
        task: name in lm-eval.
        source: of its rows.
        sha256: of its rows.
        rows: how many there are.
        prompt: the first one, as the user says it.
        rendered: the same as the model is sent it; None without a local model.
        tokens: length of `rendered`.
    """

    task: str
    source: str
    sha256: str
    rows: int
    prompt: str
    rendered: str | None = None
    tokens: int | None = None


def check(
    benchmarks: Sequence[str],
    languages: Sequence[str],
    *,
    variant: str | None = None,
    data: str | None = None,
    model: str | None = None,
    adapter: str | None = None,
    kwargs: Mapping[str, Any] | None = None,
    say: Callable[[str], None] = lambda said: None,
) -> tuple[CheckedTask, ...]:
    """Build everything that an evaluation starts from.

    Args:
        benchmarks: mgsm, x_alpacaeval.
        languages: codes.
        variant: form of MGSM's prompt; None is the bare question.
        data: where the rows are; None is $LIDR_DATA, else the Hub.
        model: a reference; of a local model or one that can be fetched the chat template is applied.
        adapter: a reference, over the model; the chat template that stands beside it comes first.
        kwargs: switches of the chat template.
        say: told whose tokenizer is used and what is ignored.

    Raises:
        EvaluationError: every problem found, one a line.
        MissingExtraError: lm-eval is not installed.
    """
    problems: list[str] = []
    tokenizer = _attempt(problems, _tokenizer, model, adapter, kwargs, say) if model else None
    specs = [
        spec
        for name in dict.fromkeys(benchmarks)
        for code in dict.fromkeys(languages)
        for spec in _attempt(problems, task_specs, [name], [code], variant) or ()
    ]
    loaded, missing = read_each(specs, load_rows, data, LidrError)
    problems += missing
    for name in dict.fromkeys(benchmarks):
        mine = {spec.language: rows for spec, rows in loaded.items() if spec.benchmark == name}
        _attempt(problems, check_parallel, mine)
    with _quiet():
        checked = [_attempt(problems, _built, spec, rows, data, tokenizer) for spec, rows in loaded.items()]
    if problems:
        raise EvaluationError("\n".join(dict.fromkeys(problems)))
    return tuple(one for one in checked if one is not None)


def _attempt(problems: list[str], function: Any, *given: Any) -> Any:
    """What the function returns; where it refuses, None, and its words go to the problems."""
    try:
        return function(*given)
    except MissingExtraError:
        raise
    except LidrError as error:
        problems.append(str(error))
        return None


def _built(spec: TaskSpec, loaded: Loaded, data: str | None, tokenizer: Any) -> CheckedTask:
    """The task as lm-eval builds it from our YAML file."""
    task = _manager(data).load([spec.task])["tasks"][spec.task]
    doc = task.eval_docs[0]
    prompt: str = task.doc_to_text(doc)
    rendered = _rendered(tokenizer, prompt) if tokenizer is not None else None
    tokens = len(tokenizer(rendered, add_special_tokens=False)["input_ids"]) if rendered is not None else None
    facts = loaded.facts
    return CheckedTask(spec.task, facts.source, facts.sha256, facts.rows, prompt, rendered, tokens)


def _manager(data: str | None) -> Any:
    try:
        from lidr.evals.harness.lm_eval_run import task_manager

        return task_manager(data)
    except ModuleNotFoundError as error:
        raise MissingExtraError("eval", needed_for="lidr eval check", missing=error.name or "lm_eval") from None


def _tokenizer(model: str, adapter: str | None, kwargs: Mapping[str, Any] | None, say: Callable[[str], None]) -> Any:
    """The tokenizer of a local model, whose template writes as in an evaluation; None for a served one, whose server
    applies the template.

    Raises:
        EngineError: the model has no chat template, or its folder is no model.
        EvaluationError: the template reads no such switch.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder, notes = find_rendering(model, adapter, Path(scratch))
        for note in notes:
            say(note)
        if folder is None:
            return None
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    ChatTokenizer(tokenizer, model=adapter or model)  # refuses one without a template
    if not isinstance(own := tokenizer.chat_template, str):
        return tokenizer
    try:
        tokenizer.chat_template = fixed_anyhow(own, kwargs)
    except EngineError as error:
        raise EvaluationError(f"{adapter or model}: --chat-template-kwargs: {error}") from None
    return tokenizer


def _rendered(tokenizer: Any, prompt: str) -> str:
    from jinja2 import TemplateError

    messages = [{"role": "user", "content": prompt}]
    try:
        text: str = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    except (TemplateError, ValueError) as error:
        raise EvaluationError(f"the chat template refuses one turn of the user: {error}") from None
    return text


@contextmanager
def _quiet() -> Iterator[None]:
    """lm-eval warns of every custom data set."""
    logger = logging.getLogger("lm_eval")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
