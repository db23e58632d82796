"""How likely a policy finds each side of a pair: log-probabilities, without training, in a process of its own.

for pair_id, margin in margins(folder, pair_files, ...): ...     # nats a token, chosen minus rejected
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import chain, islice
from pathlib import Path
from typing import Any

from lidr.extras import require
from lidr.train.training_spec import DroppedPair, TrainingText
from lidr.weights import forbid_fetched_kernels, load_policy
from lidr.worker import Worker, serve


def margins(
    policy: Path,
    pairs: Sequence[Path],
    *,
    log: Path,
    only: Sequence[str] | None,
    max_length: int,
    micro_batch: int,
    dtype: str,
    threads: int = 0,
    double_bos: bool = False,
    form: TrainingText | None = None,
    trust_remote_code: bool = False,
) -> Iterator[tuple[str, float]]:
    """Mean log-probability a token of chosen minus that of rejected, under a policy, in nats.

    Tokens are those of training (`lidr.train.tokens`): prompt excluded, end of turn included. Pairs that training could
    not use, and those over max_length, are left out.

    Args:
        policy: folder of the policy.
        pairs: Parquet files of the pairs table.
        log: receives what the libraries print.
        only: ids of the pairs that are looked at; None: all.
        max_length: prompt plus completion, tokens.
        micro_batch: pairs in one forward pass.
        dtype: of the weights.
        form: how a prompt and its answer are written; None: as the chat template does.

    Yields:
        pair_id and margin, in the order of the table.

    Raises:
        TrainError: no chat template, or no pair left.
        MissingExtraError: the extra `train` is not installed.
    """
    require("train", ("torch", "transformers", "trl"), needed_for="log-probabilities")
    worker = Worker("lidr.train.likelihoods.pair_margins", log=log)
    try:
        worker.send(
            {
                "policy": str(policy.resolve()),
                "pairs": [str(path.resolve()) for path in pairs],
                "only": None if only is None else list(only),
                "max_length": max_length,
                "micro_batch": micro_batch,
                "dtype": dtype,
                "threads": threads,
                "double_bos": double_bos,
                "form": asdict(form or TrainingText()),
                "trust_remote_code": trust_remote_code,
            }
        )
        for reply in worker.replies():
            yield from zip(reply["pair_ids"], reply["margins"], strict=True)
    finally:
        worker.close(grace_s=5.0)


def handle(message: dict[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The worker's side: load once, then one reply for each micro-batch."""
    forbid_fetched_kernels()  # before TRL imports peft
    import torch
    from transformers import AutoTokenizer
    from trl.trainer.utils import add_fused_lm_head

    from lidr.train.tokens import check_kept, read_pairs, tokenised

    if message["threads"]:
        torch.set_num_threads(message["threads"])
    trusted = message["trust_remote_code"]
    tokenizer = AutoTokenizer.from_pretrained(message["policy"], trust_remote_code=trusted)
    wanted = None if message["only"] is None else set(message["only"])
    rows = (row for row in read_pairs(message["pairs"]) if wanted is None or row["pair_id"] in wanted)
    dropped: list[DroppedPair] = []
    pairs = tokenised(
        rows,
        tokenizer,
        dropped,
        max_length=message["max_length"],
        double_bos=message["double_bos"],
        form=TrainingText(**message["form"]),
    )
    first = list(islice(pairs, message["micro_batch"]))
    check_kept(len(first), dropped, "drop")
    model = load_policy(message["policy"], dtype=message["dtype"], trust_remote_code=trusted)
    model = model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
    add_fused_lm_head(model)
    for batch in chain((first,), iter(lambda: list(islice(pairs, message["micro_batch"])), [])):
        sides = [[(p.prompt_ids, getattr(p, side)) for p in batch] for side in ("chosen_ids", "rejected_ids")]
        chosen, rejected = (mean_logps(model, side) for side in sides)
        yield {"pair_ids": [p.pair_id for p in batch], "margins": (chosen - rejected).tolist()}


def mean_logps(model: Any, batch: Sequence[tuple[list[int], list[int]]]) -> Any:
    """Mean log-probability of the completion's tokens, (batch,), nats a token: see `summed_logps`."""
    sums, tokens = summed_logps(model, batch)
    return sums / tokens


def summed_logps(model: Any, batch: Sequence[tuple[list[int], list[int]]]) -> tuple[Any, Any]:
    """Log-probability of the completion: the sum over its tokens.

    Args:
        model: a causal language model with TRL's fused head (`add_fused_lm_head`), which projects the completions
            alone, in tiles: the logits of 4 texts of 3,072 tokens and 128,000 words would take 6.3 GB, twice.
        batch: token ids of prompt and completion; the completion has at least one.

    Returns:
        Nats, float32, and the number of tokens; both (batch,).
    """
    import torch

    width = max(len(prompt) + len(completion) for prompt, completion in batch)
    ids = torch.zeros(len(batch), width, dtype=torch.long, device=model.device)
    labels = torch.full((len(batch), width), -100, dtype=torch.long, device=model.device)  # completion tokens
    attention = torch.zeros(len(batch), width, dtype=torch.long, device=model.device)
    for row, (prompt, completion) in enumerate(batch):
        end = len(prompt) + len(completion)
        ids[row, :end] = torch.tensor(prompt + completion)
        labels[row, len(prompt) : end] = ids[row, len(prompt) : end]
        attention[row, :end] = 1
    with torch.inference_mode():
        logps = model(input_ids=ids, attention_mask=attention, labels=labels, fused_lm_head=True).log_probs
    return logps.float().sum(1), (labels[:, 1:] != -100).sum(1)  # logps: (batch, width - 1), 0 outside completions


if __name__ == "__main__":
    serve(handle)
