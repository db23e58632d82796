"""Make a policy of the miniature world from nothing: python -m lidr.miniature.make --world skewed --seed 1 FOLDER

Two stages, both on fresh rows that are never repeated. `base` learns to read problems, to calculate and to translate,
with right answers in every language; it is the same for all worlds of a seed and may be kept (--base). `world` goes on
from it with the training answers of one world, wrong ones among them.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from lidr.languages import LANGUAGES as TABLE
from lidr.miniature.model import new_model, new_tokenizer, save
from lidr.miniature.words import LANGUAGES
from lidr.miniature.world import WORLDS, Problem, World, draw
from lidr.transforms import PREFILL, translation_messages

DIRECTIONS = (("en", "de"), ("en", "es"), ("de", "en"), ("es", "en"))
"""What the method translates: the dominant language into each other one, and back."""

_RIGHT = World("right", dict.fromkeys(LANGUAGES, 0.0))


class Stage(NamedTuple):
    """One part of the training.

    Args:
        steps: of the optimiser.
        peak: highest learning rate; it rises over the first tenth of the steps and falls to 0 as a cosine.
        problems, translations: rows of each kind in a step.
    """

    steps: int
    peak: float
    problems: int
    translations: int


BASE = Stage(steps=1000, peak=3e-3, problems=54, translations=10)
OF_WORLD = Stage(steps=300, peak=1e-3, problems=54, translations=10)

Row = tuple[list[int], list[int]]
"""Token ids of a prompt and of the completion that is to be learnt."""


def training_problems(numbers: random.Random) -> Iterator[Problem]:
    """Problems of the split `train`, without end; some come again."""
    while True:
        problem = draw(numbers)
        if problem.split == "train":
            yield problem


class Rows:
    """Training rows of a world, as token ids."""

    def __init__(self, tokenizer: Any, world: World, seed: int) -> None:
        """Start the stream of a seed."""
        self._tokenizer, self._world = tokenizer, world
        self._numbers = random.Random(f"{world.name}/{seed}")
        self._problems = training_problems(self._numbers)
        self._end = tokenizer.eos_token_id

    def problem(self) -> Row:
        """A problem and the answer that the world teaches, in one of the languages."""
        problem, language = next(self._problems), self._numbers.choice(LANGUAGES)
        answer = self._world.taught(problem, language, self._numbers)
        return self._row([{"role": "user", "content": problem.question(language)}], "", answer)

    def translation(self) -> Row:
        """lidr's request to translate an answer, right or wrong, and its translation."""
        problem, (source, target) = next(self._problems), self._numbers.choice(DIRECTIONS)
        result = self._numbers.randint(2, 82)
        asked = translation_messages(problem.answer(source, result), TABLE[target].name)
        return self._row(list(asked), PREFILL, problem.answer(target, result) + "\n</translated>")

    def _row(self, messages: list[Any], prefill: str, completion: str) -> Row:
        text = self._tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False) + prefill
        return self._ids(text), [*self._ids(completion), self._end]

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids


def corpus(seed: int) -> Iterator[str]:
    """Texts for the tokenizer."""
    found = training_problems(random.Random(f"corpus/{seed}"))
    for _, problem in zip(range(1500), found, strict=False):
        for source, target in DIRECTIONS:
            yield problem.question(source)
            yield problem.answer(source) + "\n</translated>"
            if problem.a % 3 == 0:
                yield translation_messages(problem.answer(source), TABLE[target].name)[0]["content"] + PREFILL


def train(model: Any, rows: Rows, stage: Stage, say: Callable[[str], None]) -> None:
    """Teach a model, in float32, with AdamW; the loss is the mean over completion tokens."""
    import torch

    optimiser = torch.optim.AdamW(model.parameters(), lr=stage.peak, betas=(0.9, 0.98), weight_decay=0.01)
    rise = max(1, stage.steps // 10)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _height(step, rise, stage.steps))
    began = time.monotonic()
    model.float().train()
    for step in range(1, stage.steps + 1):
        batches = [[rows.problem() for _ in range(stage.problems)]]
        batches.append([rows.translation() for _ in range(stage.translations)])
        losses = [_loss(model, batch, stage.problems + stage.translations) for batch in batches if batch]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        schedule.step()
        if step % 50 == 0 or step == stage.steps:
            shown = " ".join(f"{loss:.4f}" for loss in losses)
            say(f"step {step} of {stage.steps}: loss {shown}; {time.monotonic() - began:.0f} s")
    model.eval()


def _height(step: int, rise: int, steps: int) -> float:
    return min((step + 1) / rise, 0.5 + 0.5 * math.cos(math.pi * step / steps))


def _loss(model: Any, batch: list[Row], of: int) -> float:
    """Loss of one part of a step, in nats a token; adds its share to the gradients."""
    import torch
    import torch.nn.functional as F  # noqa: N812, the name that the field uses

    width = max(len(prompt) + len(completion) for prompt, completion in batch)
    ids = torch.zeros(len(batch), width, dtype=torch.long)
    is_learnt = torch.zeros(len(batch), width, dtype=torch.bool)
    for row, (prompt, completion) in enumerate(batch):
        ids[row, : len(prompt) + len(completion)] = torch.tensor(prompt + completion)
        is_learnt[row, len(prompt) : len(prompt) + len(completion)] = True
    # Padding stands on the right, where a causal model never looks back from: it needs no mask.
    states = model.model(input_ids=ids, use_cache=False).last_hidden_state  # (rows, width, hidden)
    logits = model.lm_head(states[:, :-1][is_learnt[:, 1:]])
    loss = F.cross_entropy(logits, ids[:, 1:][is_learnt[:, 1:]])
    (loss * len(batch) / of).backward()  # type: ignore[no-untyped-call]  # torch ships no types for it
    return float(loss.detach())


def make_base(folder: Path, seed: int, stage: Stage = BASE, say: Callable[[str], None] = print) -> None:
    """Tokenizer and model that know every language, the numbers and how to translate."""
    tokenizer = new_tokenizer(corpus(seed))
    model = new_model(tokenizer, seed)
    train(model, Rows(tokenizer, _RIGHT, seed), stage, say)
    save(model, tokenizer, folder)


def make_world(
    folder: Path, base: Path, world: World, seed: int, stage: Stage = OF_WORLD, say: Callable[[str], None] = print
) -> None:
    """A policy of a world, from a base."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base, trust_remote_code=False)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, trust_remote_code=False)
    train(model, Rows(tokenizer, world, seed), stage, say)
    save(model, tokenizer, folder)


def main(words: list[str] | None = None) -> int:
    """Make one policy."""
    parser = argparse.ArgumentParser(prog="python -m lidr.miniature.make", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where the policy goes")
    parser.add_argument("--world", choices=sorted(WORLDS), default="skewed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--base", type=Path, help="folder of the seed's base; made there if it is not there")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(words)
    import torch

    torch.set_num_threads(options.threads)
    base = options.base or options.folder / "base"
    if not (base / "config.json").is_file():
        make_base(base, options.seed)
    make_world(options.folder, base, WORLDS[options.world], options.seed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
