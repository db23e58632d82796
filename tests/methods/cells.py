"""The cells of the table of methods: one method in one world of the miniature, two iterations, from one tuned policy.

For each world, once, and the same for all methods:

    pairs     4,000 English word problems, the right answer against one that is one too high, none of them a prompt or a
              held-out problem: 400 for the policy, all for the reward model. In the control world every second one is
              one too low, so that a reward cannot be that smaller numbers are better
    tuned     the world's policy, tuned by DPO + NLL on the 400: every method starts from it, and the world's policy is
              kept as the reference that ICR asks for
    reward    a sequence classifier from the world's policy, by TRL's RewardTrainer: CroCo's and LIDR x N's scorer

All of it stands in one store (LIDR_PROVE_STORE, else runs/methods), so a killed cell goes on where it was.
"""

from __future__ import annotations

import json
import os
import random
import sys
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import lidr
from lidr.errors import LidrError
from lidr.miniature.data import write_rows
from lidr.miniature.make import training_problems
from lidr.miniature.world import ERROR
from lidr.pipeline import KEPT, Plan
from lidr.resources import shared
from lidr.rows import Pair, Response, Translation
from lidr.steps.gate.evidence import score_changes
from lidr.store import Artifact, open_artifact
from tests.miniature.tell import accuracies, gains, scores

WORLDS = ("skewed-1", "skewed-2", "skewed-3", "mild-1", "crossed-1")
CONTROL = "skewed-1-balanced"
N, PROMPTS, HELD_OUT, ITERATIONS = 4, 400, 400, 2
TUNING, REWARDED = 400, 4000
OTHERS = ("de", "es")

_SAMPLED = f"{{generate: {{max_tokens: 40, n: {N}, temperature: 0.9}}}}"
_TRANSLATE = "{translate: {max_tokens: 48, temperature: 0.0%s}}"
_OF_LIDR = "{pair: {dominant_pairs: none, drop: independent, min_kept: 0}}"
_REWARD = "{score: {reward_model: {model: REWARD}}}"
_TRAIN = (
    "{train: {beta: 0.1, nll: {weight: 1.0, per: sequence}, learning_rate: 3.0e-5, epochs: 1, batch: 16, "
    "reference: previous}}"
)
_ENDS = (
    "{filter: {repetition: {lines: 5}, length_ratio: {min: 0.2, max: 5.0}, duplicates: true}}",
    "{measure: {gold: ROWS/gold}}",
    _TRAIN,
    "{evaluate: {tasks: [mgsm], data: [ROWS], max_tokens: 40}}",
)


class Method(NamedTuple):
    """A method: its name in tables, the scorer that chooses, and the steps from the prompts to the pairs."""

    label: str
    scorer: str
    steps: tuple[str, ...]


def _sampled(label: str, scorer: str, score: str, pair: str) -> Method:
    return Method(
        label, scorer, (_SAMPLED, f"{{score: {{{score}}}}}", f"{{pair: {{from: scores, min_kept: 0{pair}}}}}")
    )


METHODS = {
    "lidr": Method(
        "LIDR", "", ("{generate: {max_tokens: 40, temperature: 0.0}}", _TRANSLATE % "", _OF_LIDR)
    ),
    "lidr_n": Method(
        "LIDR x N", "reward_model", (_SAMPLED, _REWARD, _TRANSLATE % ", best_by: reward_model", _OF_LIDR)
    ),
    "icr": _sampled("ICR", "implicit", "implicit: {reference: BASE, max_length: 256}", ", length_control: zero_mean"),
    "croco": _sampled("CroCo", "reward_model", "reward_model: {model: REWARD}", ", select: nearest_sigma"),
    "lacomsa": _sampled("LaCoMSA", "latent", "latent: {layer: 2, max_length: 256}",
                        ", select: random, dominant_pairs: none"),
    "cm_align": _sampled("CM-Align", "majority", "majority: {voters: dominant, ties: first}", ", dominant_pairs: none"),
    "calm": _sampled("CALM", "majority", "majority: {ties: first}", ""),
}  # fmt: skip
"""As recipes/methods/ has them, with the loss of recipes/miniature.yaml for all."""

CELLS = tuple((world, method) for world in (*WORLDS, CONTROL) for method in METHODS)


def store() -> Path:
    """Where all runs stand."""
    return Path(os.environ.get("LIDR_PROVE_STORE", "runs/methods"))


def seed_of(world: str) -> int:
    """The seed of a world's policy, prompts and problems."""
    return int(world.split("-")[1])


@lru_cache
def rows_of(world: str) -> Path:
    """Prompts, their gold answers and held-out problems of a world's seed."""
    seed = seed_of(world)
    folder = (store().parent / f"methods-rows-{seed}").resolve()
    write_rows(folder, prompts=PROMPTS * ITERATIONS, held_out=HELD_OUT, seed=seed)
    return folder


def base_of(world: str) -> Path:
    """The world's policy, which the tuned one comes from."""
    return (shared("recipes") / "miniature" / world.removesuffix("-balanced")).resolve()


def english_pairs(world: str, count: int) -> list[dict[str, str]]:
    """Right answers against wrong ones, all in English."""
    found = training_problems(random.Random(f"preferences/{base_of(world).name}"))
    return [
        {
            "prompt": one.question("en"),
            "chosen": one.answer("en"),
            "rejected": one.answer("en", one.result + (-ERROR if is_low else ERROR)),
            "language": "en",
        }
        for number, one in enumerate(islice(found, count))
        for is_low in [world == CONTROL and number % 2 == 1 and one.result > ERROR]
    ]


def tuned_of(world: str) -> Path:
    """The policy that every method starts from, made where it is not there yet."""
    folder = (store().parent / f"methods-tuning-{world}").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(row) + "\n" for row in english_pairs(world, TUNING))
    (folder / "pairs.jsonl").write_text(lines, encoding="utf-8")
    file = folder / "recipe.yaml"
    file.write_text(
        "schema: 1\nname: methods-tuning\n"
        f"version: 0.1.0-{world}\n"
        "languages: {dominant: en, others: [de, es]}\n"
        f"policy: {{model: {base_of(world)}}}\nseed: {seed_of(world)}\n"
        f"chain:\n  - pairs: {{dataset: {folder}/pairs.jsonl, language: en, license: cc0-1.0}}\n"
        f"  - {_TRAIN[1:-1]}\n"
        f"runtime: {{engine: transformers, micro_batch: 16, save_steps: 0, store: {store().resolve()}}}\n",
        encoding="utf-8",
    )
    plan = lidr.run(lidr.load_recipe(file), say=_saying(f"{world}: tuned"))
    return (plan.version_folder / "iter_1/train/model").resolve()


def reward_of(world: str) -> Path:
    """The reward model of English preferences, made where it is not there yet."""
    folder = (store().parent / f"methods-reward-{world}").resolve()
    if not (folder / "config.json").is_file():
        train_reward_model(base_of(world), english_pairs(world, REWARDED), folder)
    return folder


def train_reward_model(base: Path, pairs: list[dict[str, str]], folder: Path) -> None:
    """A head of one label on a policy, Bradley-Terry, all weights, float32."""
    import torch
    from datasets import Dataset
    from transformers import AutoModelForSequenceClassification, AutoTokenizer
    from trl import RewardConfig, RewardTrainer

    def talk(row: dict[str, str], side: str) -> list[dict[str, str]]:
        return [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row[side]}]

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=1, dtype=torch.float32)
    model.config.pad_token_id = tokenizer.pad_token_id
    rows = [{side: talk(row, side) for side in ("chosen", "rejected")} for row in pairs]
    settings = RewardConfig(
        output_dir=str(folder / "work"),
        per_device_train_batch_size=32,
        num_train_epochs=2,
        learning_rate=3e-4,
        max_length=256,
        seed=0,
        bf16=False,
        use_cpu=True,
        gradient_checkpointing=False,
        save_strategy="no",
        report_to="none",
        logging_steps=50,
        disable_tqdm=True,
    )
    trainer = RewardTrainer(model, args=settings, train_dataset=Dataset.from_list(rows), processing_class=tokenizer)
    trainer.train()
    tokenizer.save_pretrained(folder)
    trainer.model.save_pretrained(folder)


def overrides(world: str, method: str, *, rows: Path, tuned: Path, reward: Path) -> list[str]:
    """The words that make recipes/miniature.yaml a cell."""
    chain = ", ".join((*METHODS[method].steps, *_ENDS))
    named = {"ROWS": rows, "REWARD": reward, "BASE": base_of(world)}
    for word, path in named.items():
        chain = chain.replace(word, str(path))
    iterations = ", ".join(f'{{prompts: "{k * PROMPTS}:{(k + 1) * PROMPTS}"}}' for k in range(ITERATIONS))
    return [
        "name=methods",
        f"version=0.1.0-{world}-{method.replace('_', '-')}",
        f"policy.model={tuned}",
        f"seed={seed_of(world)}",
        f"prompts.source={rows / 'prompts'}",
        f"chain=[{chain}]",
        f"iterations=[{iterations}]",
        f"runtime.store={store()}",
    ]


def recipe_of(world: str, method: str) -> Any:
    """The recipe of a cell, with what it needs made."""
    needs_reward = METHODS[method].scorer == "reward_model"
    reward = reward_of(world) if needs_reward else Path()
    words = overrides(world, method, rows=rows_of(world), tuned=tuned_of(world), reward=reward)
    return lidr.load_recipe(shared("recipes") / "miniature.yaml", overrides=words)


def cell(world: str, method: str) -> dict[str, Any]:
    """Run a cell, as far as it is not there yet, and say what it came to; a run that lidr ends says why."""
    try:
        recipe = recipe_of(world, method)
        lidr.run(recipe, say=_saying(f"{world}/{method}"))
    except LidrError as error:
        return {"ended": str(error).replace(str(store().resolve().parent), "")}
    plan = lidr.plan(recipe)
    tables = scores(plan)
    curve = accuracies(tables)
    changed = score_changes(tables[0], tables[ITERATIONS], OTHERS)[0].number
    return {
        "accuracy": {k: {code: round(share, 4) for code, (share, _) in row.items()} for k, row in curve.items()},
        "gain": _rounded(gains(tables[0], tables[ITERATIONS])),
        "others": _rounded({"gain": (changed.value, changed.low, changed.high)})["gain"],
        "against_lidr": _against_lidr(world, method, tables[ITERATIONS]),
        "pairs": [_artifact(plan, k, Pair.name).rows for k in range(1, ITERATIONS + 1)],
        "tokens": tokens(plan),
        "reward_accuracy": _measured(plan, "reward_accuracy"),
        "scorer_accuracy": _measured(plan, "scorer_accuracy"),
    }


def _against_lidr(world: str, method: str, after: Any) -> list[float] | None:
    """Mean accuracy in the other languages less that of LIDR in the same world, paired by problem."""
    if method == "lidr":
        return None
    other = scores(lidr.plan(recipe_of(world, "lidr")))
    if ITERATIONS not in other:
        return None
    found = score_changes(other[ITERATIONS], after, OTHERS)[0].number
    return _rounded({"all": (found.value, found.low, found.high)})["all"]


def _rounded(found: dict[str, Any]) -> dict[str, list[float]]:
    return {name: [round(float(value), 4) for value in values] for name, values in found.items()}


def _artifact(plan: Plan, iteration: int, rows: str) -> Artifact:
    """The last artifact of these rows in an iteration."""
    folders = [plan.folder(step) for step in plan.steps if step.iteration == iteration and step.state in KEPT]
    return [found for found in map(open_artifact, folders) if found.record.writes == rows][-1]


def tokens(plan: Plan) -> dict[str, int]:
    """Tokens that were generated over all iterations: of answers as recorded, of translations by the tokenizer."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(plan.recipe.policy.model))
    answers = translated = 0
    for k in range(1, ITERATIONS + 1):
        answers += sum(_artifact(plan, k, Response.name).read()["completion_tokens"].to_pylist())
        if any(step.name == "translate" for step in plan.steps):
            for row in _artifact(plan, k, Translation.name).read().to_pylist():
                translated += (1 + len(tokenizer(row["raw"] or "")["input_ids"])) * row["attempts"]
    return {"answers": answers, "translations": translated}


def _measured(plan: Plan, what: str) -> dict[str, list[float | None]]:
    """What `measure` said in the first iteration, by language: value and interval."""
    counts = _artifact(plan, 1, "measures").record.counts.get(what, ())
    found = {}
    for one in counts:
        number = one.get("accuracy", one)
        found[one["language"]] = [None if number[x] is None else round(number[x], 4) for x in ("value", "low", "high")]
    return found


def _saying(name: str) -> Any:
    return lambda text: print(f"{name}: {text}", file=sys.stderr)
