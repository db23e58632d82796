"""How likely a policy finds each side of a pair: log-probabilities, without training, in a process of its own.

for pair_id, margin in margins(folder, pair_files, ...): ...     # nats a token, chosen minus rejected
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lidr.extras import require
from lidr.worker import Worker, serve


def margins(
    policy: Path,
    pairs: Sequence[Path],
    *,
    log: Path,
    only: Sequence[str],
    max_length: int,
    micro_batch: int,
    dtype: str,
    threads: int = 0,
    double_bos: bool = False,
    trust_remote_code: bool = False,
) -> Iterator[tuple[str, float]]:
    """Mean log-probability a token of chosen minus that of rejected, under a policy, in nats.

    Tokens are those of training (`lidr.train.tokens`): prompt excluded, end of turn included. Pairs that training could
    not use, and those over max_length, are left out.

    Args:
        policy: folder of the policy.
        pairs: Parquet files of the pairs table.
        log: receives what the libraries print.
        only: ids of the pairs that are looked at.
        max_length: prompt plus completion, tokens.
        micro_batch: pairs in one forward pass.
        dtype: of the weights.

    Yields:
        pair_id and margin, in the order of the table.

    Raises:
        TrainError: no chat template, or no pair left.
        MissingExtraError: the extra `train` is not installed.
    """
    require("train", ("torch", "transformers"), needed_for="log-probabilities")
    worker = Worker("lidr.train.pair_margins", log=log)
    try:
        worker.send(
            {
                "policy": str(policy.resolve()),
                "pairs": [str(path.resolve()) for path in pairs],
                "only": list(only),
                "max_length": max_length,
                "micro_batch": micro_batch,
                "dtype": dtype,
                "threads": threads,
                "double_bos": double_bos,
                "trust_remote_code": trust_remote_code,
            }
        )
        for reply in worker.replies():
            yield from zip(reply["pair_ids"], reply["margins"], strict=True)
    finally:
        worker.close(grace_s=5.0)


def handle(message: dict[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The worker's side: load once, then one reply for each micro-batch."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from lidr.train.tokens import read_pairs, tokenise

    if message["threads"]:
        torch.set_num_threads(message["threads"])
    trusted = message["trust_remote_code"]
    tokenizer = AutoTokenizer.from_pretrained(message["policy"], trust_remote_code=trusted)
    wanted = set(message["only"])
    rows = [row for row in read_pairs(message["pairs"]) if row["pair_id"] in wanted]
    pairs, _ = tokenise(
        rows, tokenizer, max_length=message["max_length"], over_long="drop", double_bos=message["double_bos"]
    )
    model = AutoModelForCausalLM.from_pretrained(
        message["policy"], dtype=getattr(torch, message["dtype"]), local_files_only=True, trust_remote_code=trusted
    )
    model = model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
    for start in range(0, len(pairs), message["micro_batch"]):
        batch = pairs[start : start + message["micro_batch"]]
        sides = [[(p.prompt_ids, getattr(p, side)) for p in batch] for side in ("chosen_ids", "rejected_ids")]
        chosen, rejected = (mean_logps(model, side) for side in sides)
        yield {"pair_ids": [p.pair_id for p in batch], "margins": (chosen - rejected).tolist()}


def mean_logps(model: Any, batch: Sequence[tuple[list[int], list[int]]]) -> Any:
    """Mean log-probability of the completion's tokens.

    Args:
        model: a causal language model.
        batch: token ids of prompt and completion; the completion has at least one.

    Returns:
        (batch,)  nats a token, float32.
    """
    import torch

    width = max(len(prompt) + len(completion) for prompt, completion in batch)
    ids = torch.zeros(len(batch), width, dtype=torch.long, device=model.device)
    mask = torch.zeros(len(batch), width, dtype=torch.bool, device=model.device)  # completion tokens
    attention = torch.zeros(len(batch), width, dtype=torch.long, device=model.device)
    for row, (prompt, completion) in enumerate(batch):
        end = len(prompt) + len(completion)
        ids[row, :end] = torch.tensor(prompt + completion)
        mask[row, len(prompt) : end] = True
        attention[row, :end] = 1
    with torch.inference_mode():
        logits = model(input_ids=ids, attention_mask=attention, use_cache=False).logits[:, :-1].float()
    logps = logits.log_softmax(-1).gather(-1, ids[:, 1:, None]).squeeze(-1)  # (batch, width - 1)
    is_asked = mask[:, 1:]
    return (logps * is_asked).sum(1) / is_asked.sum(1)


if __name__ == "__main__":
    serve(handle)
