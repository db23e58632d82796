"""Sequence classifiers that scorers ask, in a process of their own: a conversation, or a pair of texts, gives logits.

Any model of AutoModelForSequenceClassification whose head is among its weights, from safetensors, without code of its
own. transformers reads one text after the other, since many classifiers take the wrong token for the last one beside
padding; vLLM reads many at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from pydantic import Field

from lidr import engines
from lidr.engines import ModelFolder
from lidr.errors import EngineError, LidrError
from lidr.recipe import PolicyConfig, ReferenceText
from lidr.steps.score.score_models import BringsModel, model_at
from lidr.steps.score.scorer import Scored, World
from lidr.weights import tensors_in
from lidr.worker import serve

_AT_ONCE = {"transformers": 1, "vllm": 512}
"""Texts whose values are kept together; vLLM makes its own batches of them."""


class Classifier(BringsModel):
    """A sequence classifier."""

    model: ReferenceText
    """org/name on the Hub or ./folder: a model of AutoModelForSequenceClassification, from safetensors."""
    revision: str | None = None
    """For a Hub model: a 40-hex commit, or `unpinned` until `lidr lock` fills it."""
    license: str | None = Field(None, exclude_if=lambda value: value is None)
    """The model's licence, for the cards, as the Hub writes it; no identity."""
    label: int = Field(0, ge=0)
    """Which of its logits is the value."""
    max_length: int = Field(4096, ge=8)
    """Most tokens of what it reads, prompt plus answer or answer plus translation; what is longer has no value."""

    @property
    def models(self) -> tuple[PolicyConfig, ...]:
        """The classifier."""
        return (PolicyConfig(model=self.model, revision=self.revision),)


def logits_of(
    world: World,
    config: Classifier,
    asked: Sequence[tuple[str, Any]],
    where: str,
    engine: str = "transformers",
) -> Iterator[Scored]:
    """The logit of each text; one that is too long has none, and says so.

    Args:
        world: of the step.
        config: the classifier.
        asked: key of an answer, and what is read: a conversation as messages, or two texts.
        where: the setting that names it, for messages.
        engine: who runs it, transformers or vllm.

    Raises:
        EngineError: it is not loaded, its head is not among its weights, it has no such label, or, for conversations,
            no chat template, or one that refuses a conversation.
        MissingExtraError: the engine's packages are not installed.
    """
    if asked:
        runtime = world.run.recipe.runtime
        message = {
            "model": str(model_at(world.run, config.models[0], where)),
            "asked": asked,
            "where": where,
            "engine": engine,
            "label": config.label,
            "max_length": config.max_length,
            "tensor_parallel": runtime.tensor_parallel,
            "gpu_memory": runtime.gpu_memory,
        }
        yield from world.from_worker(__name__, message, engine=engine)


def handle(message: dict[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The worker's side: load once, then a reply for some texts after the other.

    Raises:
        EngineError: as `logits_of`.
    """
    from transformers import AutoTokenizer

    trusted = {"local_files_only": True, "trust_remote_code": False}
    with _said(message["where"], "transformers does not load it"):
        tokenizer = AutoTokenizer.from_pretrained(message["model"], **trusted)
        longest = _checked(message, tokenizer, trusted)
    asked, size, label = message["asked"], _AT_ONCE[message["engine"]], message["label"]
    with ExitStack() as stack:
        logits = (_by_vllm if message["engine"] == "vllm" else _by_transformers)(message, longest, trusted, stack)
        for start in range(0, len(asked), size):
            found: list[tuple[str, float | None, str]] = []
            fits: dict[str, Mapping[str, list[int]]] = {}
            for key, said in asked[start : start + size]:
                with _said(message["where"], f"{key}: its chat template or tokenizer does not take it"):
                    encoded = _encoded(tokenizer, said)
                if (count := len(encoded["input_ids"])) > longest:
                    found.append((key, None, f"over_long: {count:,} tokens of at most {longest:,}"))
                else:
                    fits[key] = encoded
            for (key, encoded), values in zip(fits.items(), logits(list(fits.values())), strict=True):
                found.append((key, values[label], f"{len(encoded['input_ids'])} tokens"))
            yield {"found": found}


@contextmanager
def _said(where: str, what: str) -> Iterator[None]:
    """What libraries raise meanwhile is said with the setting."""
    try:
        yield
    except LidrError:
        raise
    except Exception as error:
        raise EngineError(f"{where}: {what}: {type(error).__name__}: {error}") from error


def _encoded(tokenizer: Any, said: Sequence[Any]) -> Mapping[str, list[int]]:
    """Token ids of a conversation, by the classifier's own template; of two texts what tells them apart, too."""
    if _is_pair(said):
        return dict(tokenizer(*said))
    return {"input_ids": tokenizer.apply_chat_template(said, tokenize=True, return_dict=True)["input_ids"]}


def _is_pair(said: Sequence[Any]) -> bool:
    return isinstance(said[0], str)


def _checked(message: Mapping[str, Any], tokenizer: Any, trusted: Mapping[str, Any]) -> int:
    """Refuse a model that cannot say what is asked; returns the most tokens of a text.

    A head that is not in the files would be given random weights, and every value would be noise.
    """
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    folder, where = Path(message["model"]), message["where"]
    config = AutoConfig.from_pretrained(folder, **trusted)
    with torch.device("meta"):
        empty = AutoModelForSequenceClassification.from_config(config, trust_remote_code=False)
    body, there = {id(one) for one in empty.base_model.parameters()}, tensors_in(folder)
    head = [name for name, one in empty.named_parameters() if id(one) not in body]
    if missing := sorted(name for name in head if name not in there):
        raise _untrained(where, missing[0])
    labels, label = empty.config.num_labels, message["label"]
    longest = min(message["max_length"], _positions(empty))
    of_model = ModelFolder(folder).context_length() or longest
    pairs = _is_pair(message["asked"][0][1])
    if not (pairs or tokenizer.chat_template):
        said = "it has no chat template, and reads prompt and answer as a conversation; name another model"
        raise EngineError(f"{where}: {said}")
    if label >= labels:
        has = "only 0" if labels == 1 else f"those from 0 to {labels - 1}"
        raise EngineError(f"{where}: it has no label {label}, {has}; name one of its labels, or another model")
    if pairs:
        return int(min(longest, of_model, tokenizer.model_max_length))
    return int(min(longest, of_model) if message["engine"] == "vllm" else longest)


def _positions(model: Any) -> float:
    """Most tokens of a text by the model's table of positions, infinite without one; some begin after that of padding.

    One more is an IndexError, and on a GPU the end of the process.
    """
    tables = (one for name, one in model.named_modules() if name.rpartition(".")[2] == "position_embeddings")
    counts = ((one.num_embeddings, one.padding_idx) for one in tables if hasattr(one, "num_embeddings"))
    return min((count if first is None else count - first - 1 for count, first in counts), default=math.inf)


def _untrained(where: str, name: str) -> EngineError:
    return EngineError(f"{where}: {name} is not among its weights, so it is no trained classifier; name one")


Logits = Callable[[Sequence[Mapping[str, list[int]]]], Sequence[Sequence[float]]]


def _by_transformers(message: Mapping[str, Any], longest: int, trusted: Mapping[str, Any], stack: ExitStack) -> Logits:
    import torch
    from transformers import AutoModelForSequenceClassification

    torch.set_num_threads(message["threads"] or torch.get_num_threads())
    with _said(message["where"], "transformers does not load it"):
        model, loaded = AutoModelForSequenceClassification.from_pretrained(
            message["model"],
            use_safetensors=True,
            dtype=getattr(torch, message["dtype"]),
            output_loading_info=True,
            **trusted,
        )
    if missing := sorted(loaded["missing_keys"]):
        raise _untrained(message["where"], missing[0])
    model = model.eval().to("cuda" if torch.cuda.is_available() else "cpu")

    def logits(texts: Sequence[Mapping[str, list[int]]]) -> list[list[float]]:
        with torch.inference_mode():
            tensors = ({k: torch.tensor([ids], device=model.device) for k, ids in text.items()} for text in texts)
            return [model(**one).logits[0].tolist() for one in tensors]

    return logits


def _by_vllm(message: Mapping[str, Any], longest: int, trusted: Mapping[str, Any], stack: ExitStack) -> Logits:
    settings = {name: message[name] for name in ("dtype", "threads", "tensor_parallel", "gpu_memory")}
    try:
        classifier = stack.enter_context(closing(engines.VllmClassifier(message["model"], longest=longest, **settings)))
    except Exception as error:  # of the worker, which looks for the cause in its log
        raise RuntimeError(f"{message['where']}: vLLM does not load it: {type(error).__name__}: {error}") from error
    return lambda texts: classifier.logits([text["input_ids"] for text in texts])


if __name__ == "__main__":  # vLLM's processes import this module under another name
    serve(handle)
