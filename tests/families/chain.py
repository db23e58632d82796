"""The whole chain of one family: prompts, answers, translations, pairs, the next policy, its evaluation, its release.

    walk("qwen3", folder, target)       {"generate": "yes", "train LoRA": "yes", ..., "merge": "refused: ..."}

Everything is real but the size and the weights, which are random: engine, TRL, peft, lm-eval, the embedded Hub, and
plain transformers and peft that read what came out. What a cell says yes to stands in the method of its name.
"""

from __future__ import annotations

import json
import os
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import lidr
from lidr.engines import EngineSpec
from lidr.engines.engine import ChatRequest, Completion, Sampling
from lidr.errors import LidrError
from lidr.hub import Target
from lidr.release import Destinations, finished_run, release
from lidr.resources import shared
from lidr.store import Store
from lidr.store.artifact import open_artifact
from tests.families.shapes import FAMILIES, Family, make_model

CELLS = ("generate", "train LoRA", "train full", "merge", "adapter alone", "evaluate", "publish")
TOPICS = ("the bees", "rain in autumn", "a loaf of bread", "stars")
QUESTIONS = {"en": "Tell me something about {}.", "es": "Dime algo sobre {}, en pocas palabras."}

RECIPE = """\
schema: 1
name: {name}
version: 0.1.0
languages: {{dominant: en, others: [es]}}
policy: {policy}
prompts: {{source: {folder}/prompts, license: cc0-1.0}}
chain:
  - generate: {{max_tokens: 24, temperature: {temperature}}}
  - translate: {{max_tokens: 24, temperature: {temperature}, check_language: false}}
  - pair: {{drop: independent, accept: [ok, unclosed_at_end, truncated], min_kept: 0}}
{train}iterations:
  - prompts: "0:4"
runtime: {{engine: transformers, engine_batch: 4, micro_batch: 4, threads: 1, store: {folder}/runs}}
"""
TRAIN = """\
  - train: {{learning_rate: 1e-2, batch: 4, lora: {lora}, reference: previous, max_length: 900}}
  - evaluate: {{tasks: [mgsm], languages: [en], limit: 2, max_tokens: 24, data: [{rows}]}}
"""
LORA = "{rank: 4, alpha: 8}"
THOUGHT_MARKS = ("<think>", "</think>", "<|channel|>", "analysis8assistantfinal")
THOUGHT_BEGINS = "analysis8"
"""Of a thought that was taught (`Family.thought`), whole or without its special tokens. A thought is taught at the
beginning of an answer; further on, a model that is random but for that may write any words of its vocabulary."""


class Wrong(Exception):
    """Something came out otherwise than it should."""


def walk(name: str, folder: Path, target: Target) -> dict[str, str]:
    """Take a family through the chain.

    Args:
        name: of FAMILIES.
        folder: receives the model, the store and what is read back.
        target: a Hub to publish to.

    Returns:
        For each of CELLS `yes`, `refused: reason` where lidr says why it will not, or `wrong: ...`, which is a fault.
    """
    with same_environment():
        steps = _Walk(name, FAMILIES[name], folder, target)
    return {cell: _said(getattr(steps, cell.replace(" ", "_").lower()), folder) for cell in CELLS}


def _said(step: Callable[[], None], folder: Path) -> str:
    with warnings.catch_warnings(), same_environment():
        warnings.simplefilter("ignore")  # of libraries, about what a model so small has not
        try:
            step()
        except LidrError as error:
            return "refused: " + " ".join(str(error).replace(str(folder), "").split())
        except Exception as error:
            (folder / f"{step.__name__}.txt").write_text(traceback.format_exc(), encoding="utf-8")
            return f"wrong: {type(error).__name__}: {error}".split("\n")[0]
    return "yes"


@contextmanager
def same_environment() -> Iterator[None]:
    """Take back what libraries set when they are imported here: workers are forked into the environment they know."""
    before = dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


class _Written(NamedTuple):
    """What a model writes after a prompt: its ids, and the logits of the first, (vocabulary,)."""

    tokens: list[int]
    logits: Any


def _apart(one: _Written, other: _Written) -> float:
    return float((one.logits - other.logits).abs().max())


class _Walk:
    """One family's model, runs and what is read back of them."""

    def __init__(self, name: str, family: Family, folder: Path, target: Target) -> None:
        self.name, self.family, self.folder, self.target = name, family, folder, target
        (folder / "prompts").mkdir(parents=True)
        for code, question in QUESTIONS.items():
            rows = [{"id": f"p{i}", "instruction": question.format(topic)} for i, topic in enumerate(TOPICS)]
            text = "".join(json.dumps(row) + "\n" for row in rows)
            (folder / "prompts" / f"{code}.jsonl").write_text(text, encoding="utf-8")
        (folder / "training.jinja").write_text(family.training.strip(), encoding="utf-8")
        self.model = make_model(folder / "model", family)

    def generate(self) -> None:
        """Every prompt is answered and translated; a batch of sixteen gives what sixteen batches of one give."""
        planned = self._run("0.1.0", train="")
        for step, rows in (("generate", 8), ("translate", 8)):
            found = open_artifact(planned.version_folder / f"iter_1/{step}").rows
            _check(found == rows, f"{step}: {found} rows of {rows}")
            texts = open_artifact(planned.version_folder / f"iter_1/{step}").read()["text"].to_pylist()
            thoughts = [
                text for text in texts if text.startswith(THOUGHT_BEGINS) or any(mark in text for mark in THOUGHT_MARKS)
            ]
            _check(not thoughts, f"{step}: thoughts stand in {len(thoughts)} of {rows} texts: {thoughts[:1]}")
            leaked = sum(text.startswith("8") for text in texts)  # what is thought; a random answer may begin so, too
            _check(leaked <= rows // 2, f"{step}: {leaked} of {rows} texts begin with a thought")
            _check(any(texts), f"{step}: all texts are empty")
        _check(self._answers(batch=16) == self._answers(batch=1), "a batch of 16 answers otherwise than 16 of one")

    def train_lora(self) -> None:
        """The margins that training reports are those of the saved policy, over plain transformers."""
        self._trained("0.2.0", LORA)

    def train_full(self) -> None:
        """The same for all weights."""
        self._trained("0.3.0", "null")

    def merge(self) -> None:
        """`lidr merge` makes of base and adapter the policy that training saved."""
        from lidr.engines.merging import merge_adapter

        out = self.folder / "merged"
        merge_adapter(self.model, self._lora / "adapter", out, log=self.folder / "merge.log")
        self._same_as_trained(_load(out), "merged")

    def adapter_alone(self) -> None:
        """The adapter over the base, in plain peft, writes what the trained policy writes."""
        from peft import PeftModel

        adapted = PeftModel.from_pretrained(_load(self.model), self._lora / "adapter")
        self._same_as_trained(adapted, "the adapter over its base")

    def evaluate(self) -> None:
        """lm-eval asks the trained policy what lidr's own engine asks it, and hears the same."""
        from lidr.evals.results import read_samples

        planned = self._run("0.2.0", train=TRAIN.format(lora=LORA, rows=shared("recipes") / "prompts"))
        samples = read_samples(planned.version_folder / "iter_1/evaluate/results").to_pylist()
        _check(len(samples) == 2, f"{len(samples)} answers of 2")
        talks = [[{"role": "user", "content": row["prompt"]}] for row in samples]
        own = self._answers(batch=2, model=self._lora / "model", talks=talks, max_tokens=24)
        heard = [row["response"].strip() for row in samples]  # lm-eval strips what may follow a thought
        _check([text.strip() for text in own] == heard, "lm-eval hears other answers than lidr's engine")

    def publish(self) -> None:
        """What is on the Hub writes, in plain transformers and peft, what the trained policy writes."""
        from huggingface_hub import snapshot_download
        from peft import PeftModel
        from transformers import AutoTokenizer

        recipe = lidr.load_recipe(self.folder / "0.2.0.yaml")
        run = finished_run(recipe, Store(self.folder / "runs"), policy_licence="apache-2.0")
        names = {"merged": f"lidr/{self.name}", "adapter": f"lidr/{self.name}-adapter"}
        for form, repo in names.items():
            # Pairs differ by the switches alone, and publishing them takes as long as all the rest.
            is_first = form == "merged" and self.family.chat_template
            pairs = f"lidr/{self.name}-pairs" if is_first else None
            release(run, Destinations(pairs, repo, adapter_only=form == "adapter"), target=self.target)
        where = {"endpoint": self.target.endpoint, "token": self.target.token, "cache_dir": self.folder / "cache"}
        merged, adapter = (Path(snapshot_download(repo, **where)) for repo in names.values())
        self._same_as_trained(_load(merged), "the published policy")
        self._same_as_trained(PeftModel.from_pretrained(_load(self.model), adapter), "the published adapter")
        for folder in (merged, adapter):
            tokenizer = AutoTokenizer.from_pretrained(folder)
            asked = self._prompts(tokenizer, **self.family.chat_template.get("kwargs", {}))
            is_dated = "strftime_now" in tokenizer.get_chat_template()  # of the day on which it is read
            _check(is_dated or asked == self._prompts(self._tokenizer), f"{folder.name} asks with another prompt")

    def _run(self, version: str, *, train: str, until: str | None = None) -> Any:
        policy: dict[str, Any] = {"model": str(self.model)}
        if self.family.chat_template:
            policy["chat_template"] = dict(self.family.chat_template)
        temperature = 1.0 if self.family.thought else 0.0
        recipe = RECIPE.format(
            name=self.name, policy=json.dumps(policy), folder=self.folder, train=train, temperature=temperature
        )
        file = self.folder / f"{version}.yaml"
        file.write_text(recipe.replace("version: 0.1.0", f"version: {version}"), encoding="utf-8")
        return lidr.run(lidr.load_recipe(file), until=until)

    def _trained(self, version: str, lora: str) -> None:
        train = TRAIN.format(lora=lora, rows=shared("recipes") / "prompts")
        planned = self._run(version, train=train, until="train")
        made = open_artifact(planned.version_folder / "iter_1/train")
        pairs = open_artifact(planned.version_folder / "iter_1/pair").read().to_pylist()
        groups = made.record.counts["groups"]
        reported = sum(group["margin"] * group["pairs"] for group in groups)
        found = self._margin(_load(made.model), pairs)
        _check(abs(reported - found) < 1e-3 * max(1.0, abs(found)), f"margins: {reported:.4f} told, {found:.4f} found")
        _check(abs(found) > 1e-3, f"training changed next to nothing: margins of {found}")

    def _margin(self, policy: Any, pairs: Sequence[Mapping[str, Any]]) -> float:
        """Sum over pairs of the implicit reward margin, nats, of a policy over the base."""
        from lidr.engines.chat import ChatTokenizer
        from lidr.train.tokens import tokenise

        kept, _ = tokenise(pairs, self._tokenizer, max_length=900, over_long="drop", **self._form)
        base = _load(self.model)
        ends = ChatTokenizer.load(str(self._policy)).end_ids
        total = 0.0
        for pair in kept:
            where = [at for at, token in enumerate(pair.chosen_ids) if token in ends]
            _check(where == [len(pair.chosen_ids) - 1], "answers are trained with another end than generation stops at")
            for sign, ids in ((1, pair.chosen_ids), (-1, pair.rejected_ids)):
                total += sign * (_logp(policy, pair.prompt_ids, ids) - _logp(base, pair.prompt_ids, ids))
        return 0.1 * total

    @cached_property
    def _lora(self) -> Path:
        folder = self.folder / "runs" / self.name / "0.2.0" / "iter_1" / "train"
        if not (folder / "record.json").is_file():
            raise LidrError("there is no adapter")
        return folder

    @property
    def _policy(self) -> Path:
        """The policy as the run holds it: its template has the recipe's switches and date written into it."""
        return self.folder / "runs" / self.name / "0.1.0" / "iter_0" / "policy" / "model"

    @property
    def _form(self) -> dict[str, Any]:
        """How answers are trained, where the recipe says so."""
        given = self.family.chat_template.get("training")
        if given is None:
            return {}
        from lidr.engines import probe, template_of, training_form
        from lidr.train.training_spec import TrainingText

        found = training_form(probe(self._policy, template_of(self._policy)), self.family.training.strip() or given)
        return {"form": TrainingText(found.template, found.closes)}

    @cached_property
    def _tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(self._policy)

    @cached_property
    def _expected(self) -> list[_Written]:
        """What the policy that training saved writes greedily, and its logits, which are other ones than the base's."""
        found, before = self._written(_load(self._lora / "model")), self._written(_load(self.model))
        _check(max(_apart(*both) for both in zip(found, before, strict=True)) > 1e-3, "training changed no logit")
        return found

    def _same_as_trained(self, model: Any, what: str) -> None:
        found = self._written(model)
        _check([one.tokens for one in found] == [one.tokens for one in self._expected], f"{what} writes other tokens")
        apart = max(_apart(*both) for both in zip(found, self._expected, strict=True))
        _check(apart < 1e-3, f"{what}: a logit is {apart:.4f} from the trained policy's")

    def _written(self, model: Any) -> list[_Written]:
        import torch

        written = []
        for prompt in self._prompts(self._tokenizer):
            ids = torch.tensor([prompt])
            with torch.no_grad():
                out = model.generate(
                    input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=16, do_sample=False
                )
                written.append(_Written(out[0, len(prompt) :].tolist(), model(input_ids=ids).logits[0, -1]))
        return written

    def _prompts(self, tokenizer: Any, **kwargs: Any) -> list[list[int]]:
        talks = [[{"role": "user", "content": QUESTIONS["en"].format(topic)}] for topic in TOPICS[:2]]
        encoded = [
            tokenizer.apply_chat_template(t, add_generation_prompt=True, return_dict=True, **kwargs) for t in talks
        ]
        return [list(one["input_ids"]) for one in encoded]

    def _answers(
        self, *, batch: int, model: Path | None = None, talks: Sequence[Any] = (), max_tokens: int = 8
    ) -> list[str]:
        """What lidr's engine answers, greedily, in this process."""
        from lidr.engines.transformers import TransformersEngine

        words = "Now tell me all that you know of it, and of what came before it. "
        talks = talks or [[{"role": "user", "content": f"Topic {i}: {words * (i % 5)}"}] for i in range(16)]
        requests = [ChatRequest(str(i), tuple(talk), Sampling(max_tokens=max_tokens)) for i, talk in enumerate(talks)]
        spec = EngineSpec("transformers", str(model or self._policy), batch=batch)
        with TransformersEngine(spec) as engine:
            found = {one.key: one for one in engine.generate(requests)}
        _check(all(isinstance(one, Completion) for one in found.values()), "a request failed")
        return [found[request.key].text for request in requests]


def _load(folder: Path) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def _logp(model: Any, prompt: Sequence[int], answer: Sequence[int]) -> float:
    import torch

    ids = torch.tensor([[*prompt, *answer]])
    with torch.no_grad():
        logps = torch.log_softmax(model(input_ids=ids).logits[0].float(), dim=-1)
    rows = torch.arange(len(prompt) - 1, ids.shape[1] - 1)
    return float(logps[rows, ids[0, len(prompt) :]].sum())


def _check(is_so: bool, otherwise: str) -> None:
    if not is_so:
        raise Wrong(otherwise)
