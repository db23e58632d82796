"""How likely a policy finds given answers: the sum of their tokens' log-probabilities, in a process of its own.

for key, nats, tokens in answer_logps(folder, batches, ...): ...
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lidr.extras import require
from lidr.train.likelihoods.pair_margins import summed_logps
from lidr.train.training_spec import TrainingText
from lidr.weights import load_policy
from lidr.worker import Worker, serve


class AskedLogp(NamedTuple):
    """An answer, and the conversation that it is to follow."""

    key: str
    prompt: Sequence[Mapping[str, Any]]
    answer: str


class AnswerLogp(NamedTuple):
    """Of one answer: nats and number of its tokens; or None and why."""

    key: str
    nats: float | None
    tokens: int
    reason: str = ""


def answer_logps(
    policy: Path,
    batches: Sequence[Sequence[AskedLogp]],
    max_length: int,
    loading: Mapping[str, Any],
) -> Iterator[AnswerLogp]:
    """Sum of the log-probabilities of each answer's tokens under a policy.

    Tokens are those of training (`lidr.train.tokens`): prompt excluded, end of turn included.

    Args:
        policy: folder of the policy.
        batches: answers that go through the model together; which do can change the last digits.
        max_length: prompt plus answer, tokens; longer ones have no value.
        loading: `log` (receives what the libraries print), `dtype`, `threads`, `double_bos`, `form` (fields of a
            TrainingText).

    Yields:
        One for each answer, batch by batch.

    Raises:
        TrainError: no chat template.
        MissingExtraError: the extra `train` is not installed.
    """
    require("train", ("torch", "transformers", "trl"), needed_for="log-probabilities")
    settings = {name: value for name, value in loading.items() if name != "log"}
    worker = Worker("lidr.train.likelihoods.answer_likelihoods", log=loading["log"])
    try:
        worker.send({"model": str(policy.resolve()), "batches": batches, "max_length": max_length, **settings})
        for reply in worker.replies():
            yield from (AnswerLogp(*found) for found in reply["found"])
    finally:
        worker.close(grace_s=5.0)


def handle(message: dict[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The worker's side: load once, then one reply for each batch."""
    from trl.trainer.utils import add_fused_lm_head

    model, encode = load_to_look_at(message)
    add_fused_lm_head(model)
    for batch in message["batches"]:
        encoded = encode(batch)
        ids = {key: (prompt, answer) for key, prompt, answer, reason in encoded if not reason}
        found = {key: (key, None, 0, reason) for key, _, _, reason in encoded if reason}
        if ids:
            sums, counts = (one.tolist() for one in summed_logps(model, list(ids.values())))
            found |= {key: (key, nats, tokens, "") for key, nats, tokens in zip(ids, sums, counts, strict=True)}
        yield {"found": [found[key] for key, _, _ in batch]}


Encoded = tuple[str, list[int], list[int], str]
"""Key, ids of the prompt and of the answer, and why there are none."""


def load_to_look_at(message: Mapping[str, Any]) -> tuple[Any, Callable[[Sequence[Sequence[Any]]], list[Encoded]]]:
    """In a worker: a policy that is not trained, and what makes token ids of (key, prompt, answer), as training does.
    No code of the model's own is run.

    Args:
        message: `model` (its folder), `dtype`, `threads`, `double_bos`, `max_length`, and `form`, fields of a
            TrainingText.
    """
    import torch
    from transformers import AutoTokenizer

    from lidr.train.tokens import tokenise_each

    if message["threads"]:
        torch.set_num_threads(message["threads"])
    tokenizer = AutoTokenizer.from_pretrained(message["model"], trust_remote_code=False)
    model, form = load_policy(message["model"], dtype=message["dtype"]), TrainingText(**message["form"])

    def encode(batch: Sequence[Sequence[Any]]) -> list[Encoded]:
        said = ((key, prompt, [{"role": "assistant", "content": answer}]) for key, prompt, answer in batch)
        rows = [
            {"pair_id": key, "language": "", "kind": "", "prompt": prompt, "chosen": talk, "rejected": talk}
            for key, prompt, talk in said
        ]
        longest, double = message["max_length"], message["double_bos"]
        pairs, dropped = tokenise_each(rows, tokenizer, max_length=longest, double_bos=double, method="sft", form=form)
        found: dict[str, Encoded] = {one.pair_id: (one.pair_id, one.prompt_ids, one.chosen_ids, "") for one in pairs}
        found |= {one.pair_id: (one.pair_id, [], [], f"{one.reason}: {one.detail}") for one in dropped}
        return [found[key] for key, _, _ in batch]

    return model.to("cuda" if torch.cuda.is_available() else "cpu").eval().requires_grad_(False), encode


if __name__ == "__main__":
    serve(handle)
