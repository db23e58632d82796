"""What the tests of training share: real rows, a spec, and log-probabilities and losses that owe lidr nothing."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from lidr.rows import Pair
from lidr.train.dpo import PairTrainer
from lidr.train.tokens import read_pairs, tokenise
from lidr.train.training_spec import StepMetrics, TrainResult, TrainSpec

# Chosen completions of very different lengths, in several scripts: a sequence mean and a token mean differ by far.
TEXTS = (
    ("en", "dominant", "What do bees make?", "Honey.", "The bees make wax, and honey as food for the winter."),
    ("es", "non_dominant", "¿Qué hacen las abejas?", "Las abejas hacen miel y cera, y guardan la miel.", "Bees."),
    ("de", "non_dominant", "Was stellen Bienen her?", "Honig und Wachs.", "Bees make honey."),
    ("ru", "non_dominant", "Что делают пчёлы?", "Пчёлы делают мёд и воск и хранят мёд на зиму.", "Мёд"),
    ("ja", "non_dominant", "蜜蜂は何を作りますか。", "蜂蜜と蜜蝋を作ります。", "食べ物です。それは冬の食べ物です。"),
    ("en", "dominant", "Name three numbers.", "One, two, three, and then 10, 250 and 1000 apples.", "10"),
    ("fr", "non_dominant", "Que font les abeilles ?", "Du miel.", "Les abeilles gardent le miel pour l'hiver."),
    ("en", "dominant", "What is the answer?", "10", "A helpful assistant answers: two."),
)


def row(
    pair_id: str, prompt: str, chosen: str, rejected: str, language: str = "en", kind: str = "dominant"
) -> dict[str, Any]:
    """One row of the pairs table, with the columns that training reads."""
    row: dict[str, Any] = dict.fromkeys(Pair.schema.names)
    row |= {"pair_id": pair_id, "prompt_id": pair_id, "language": language, "kind": kind}
    row["prompt"] = [{"role": "user", "content": prompt}]
    for side, text in (("chosen", chosen), ("rejected", rejected)):
        row[side] = [{"role": "assistant", "content": text}]
    return row


def rows(count: int = len(TEXTS)) -> list[dict[str, Any]]:
    """The first pairs of TEXTS."""
    return [
        row(f"p{index}", prompt, chosen, rejected, language, kind)
        for index, (language, kind, prompt, chosen, rejected) in enumerate(TEXTS[:count])
    ]


def write_pairs(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """Write a pairs table."""
    pq.write_table(pa.Table.from_pylist(list(rows), schema=Pair.schema_with(rows[0])), path)
    return path


def make_spec(folder: Path, *, policy: str, initial: str, pairs: tuple[str, ...], **changes: Any) -> TrainSpec:
    """A run of one optimiser step over eight pairs, unless `changes` say otherwise."""
    spec = TrainSpec(
        policy=policy,
        initial=initial,
        pairs=pairs,
        work=str(folder / "work"),
        model_out=str(folder / "model"),
        adapter_out=str(folder / "adapter"),
        beta=0.1,
        nll_weight=1.0,
        nll_per="sequence",
        learning_rate=1e-3,
        epochs=1.0,
        batch=8,
        micro_batch=8,
        reference="previous",
        lora=None,
        seed=42,
        dtype="float32",
        max_grad_norm=1e9,  # never clips, so that gradients can be compared
        threads=1,
    )
    return dataclasses.replace(spec, **changes)


class Trained(NamedTuple):
    """A trainer after its run, what it logged, and the gradient of its first optimiser step by parameter name."""

    trainer: PairTrainer
    steps: list[dict[str, float]]
    gradient: dict[str, torch.Tensor]


def make_trainer(spec: TrainSpec, callbacks: Sequence[Any] = ()) -> PairTrainer:
    """Build the real trainer of a spec, without training."""
    tokenizer = AutoTokenizer.from_pretrained(spec.policy)
    pairs, _ = tokenise(read_pairs(spec.pairs), tokenizer, max_length=spec.max_length, over_long=spec.over_long)
    folder = Path(spec.work)
    folder.mkdir(parents=True, exist_ok=True)
    return PairTrainer(spec, pairs, tokenizer, folder, list(callbacks))


def train_here(spec: TrainSpec) -> Trained:
    """Run the real trainer of a spec in this process."""
    from transformers import TrainerCallback

    gradient: dict[str, torch.Tensor] = {}

    class KeepGradient(TrainerCallback):
        def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: Any, **_: Any) -> None:
            if not gradient:
                gradient.update({n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None})

    trainer = make_trainer(spec, [KeepGradient()])
    trainer.train()
    return Trained(trainer, [entry for entry in trainer.state.log_history if "dpo" in entry], gradient)


def run_here(spec: TrainSpec) -> TrainResult:
    """Run lidr.train.training_run.run in this process."""
    from lidr.train.training_run import run

    return run(spec, ignore)


def ignore(step: StepMetrics, total: int) -> None:
    """An on_step that does nothing."""


# -- independent of lidr.train: text by the template, ids by the tokenizer, log-softmax in float64, plain Python floats


class Sums(NamedTuple):
    """One pair's summed log-probabilities, nats, and the length of its chosen completion, tokens."""

    chosen: Any
    rejected: Any
    chosen_tokens: int


def load64(folder: Path | str) -> Any:
    """Load a model in float64."""
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64)


def independent_sums(model: Any, tokenizer: Any, row: dict[str, Any]) -> Sums:
    """Score one pair, each completion alone and without padding; the results keep their graph."""
    values, lengths = [], []
    for side in ("chosen", "rejected"):
        head = tokenizer.apply_chat_template(row["prompt"], tokenize=False, add_generation_prompt=True)
        text = tokenizer.apply_chat_template(row["prompt"] + row[side], tokenize=False).removesuffix("\n")
        assert text.startswith(head)
        prompt = tokenizer(head, add_special_tokens=False)["input_ids"]
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        logps = torch.log_softmax(model(torch.tensor([ids])).logits[0].double(), dim=-1)
        values.append(sum(logps[index - 1, ids[index]] for index in range(len(prompt), len(ids))))
        lengths.append(len(ids) - len(prompt))
    return Sums(values[0], values[1], lengths[0])


def score_rows(folder: Path | str, rows: Sequence[dict[str, Any]]) -> list[tuple[float, float, int]]:
    """Summed log-probabilities of pairs under a model folder: (chosen, rejected, tokens of chosen) each."""
    model, tokenizer = load64(folder), AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        sums = [independent_sums(model, tokenizer, row) for row in rows]
    return [(float(each.chosen), float(each.rejected), each.chosen_tokens) for each in sums]


def plain_terms(
    policy: Sequence[tuple[float, float, int]],
    reference: Sequence[tuple[float, float, int]],
    *,
    beta: float,
    per: str,
) -> tuple[float, float]:
    """The DPO and NLL terms of a whole batch from the paper's formulas, in Python floats and loops."""
    dpo = nll = 0.0
    for (s_c, s_r, n_c), (q_c, q_r, _) in zip(policy, reference, strict=True):
        x = beta * ((s_c - q_c) - (s_r - q_r))
        dpo += (math.log1p(math.exp(-x)) if x >= 0 else -x + math.log1p(math.exp(x))) / len(policy)
        nll += -s_c / n_c / len(policy) if per == "sequence" else -s_c
    if per != "sequence":
        nll /= sum(n_c for _, _, n_c in policy)
    return dpo, nll
