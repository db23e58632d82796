"""A small scripted world: parallel prompts in three languages, canned answers, and a recipe that needs no model."""

from __future__ import annotations

import json
from pathlib import Path

NAMES = {"en": "English", "es": "Spanish", "de": "German"}
TOPICS = ("bees", "rain", "bread", "stars", "tea", "maps", "wool", "snow")

RECIPE = """\
# A scripted chain for tests.
schema: 1
name: scripted
version: 0.1.0
languages: {{dominant: en, others: [es, de]}}
policy: {{model: "openai:canned@http://127.0.0.1:9"}}
prompts: {{source: {folder}/prompts, license: cc0-1.0}}
chain:
  - generate: {{max_tokens: 64}}
  - translate: {{max_tokens: 80, check_language: false}}
  - pair: {{drop: joint}}
  - filter: {{length_ratio: {{min: 0.2, max: 5.0}}}}
iterations:
  - prompts: "0:4"
  - prompts: "4:8"
runtime: {{engine: scripted, answers: {folder}/answers.jsonl, store: {folder}/runs}}
"""


TINY = (  # the same chain on a tiny model that really answers and is really trained
    RECIPE.replace('"openai:canned@http://127.0.0.1:9"', "{folder}/model")
    .replace("max_tokens: 64", "max_tokens: 12")
    .replace("max_tokens: 80", "max_tokens: 12")
    .replace("{{drop: joint}}", "{{drop: independent, accept: [ok, unclosed_at_end, truncated]}}")
    .replace(
        "  - filter: {{length_ratio: {{min: 0.2, max: 5.0}}}}\n",
        "  - train: {{learning_rate: 1e-2, batch: 4, lora: {{rank: 4}}, reference: previous, max_length: 400}}\n",
    )
    .replace("engine: scripted, answers: {folder}/answers.jsonl", "engine: transformers, threads: 1")
)


def write_world(folder: Path, recipe: str = RECIPE) -> Path:
    """Write prompts, answers and recipe into `folder`; returns the recipe's file."""
    (folder / "prompts").mkdir(parents=True)
    for code, name in NAMES.items():
        lines = [{"id": f"p{i}", "instruction": f"{name}: tell me about {t}"} for i, t in enumerate(TOPICS)]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / "prompts" / f"{code}.jsonl").write_text(text, encoding="utf-8")
    write_answers(folder / "answers.jsonl")
    path = folder / "recipe.yaml"
    path.write_text(recipe.format(folder=folder), encoding="utf-8")
    return path


def write_answers(path: Path, *, first: tuple[dict[str, object], ...] = (), delay_s: float = 0.0) -> None:
    """Answers: a longer one in English, short ones elsewhere; translations say what they are made of."""
    rules: list[dict[str, object]] = [*first]
    for topic in TOPICS:
        for name in NAMES.values():
            words = " at length" if name == "English" else ""
            rules.append({"match": f"{name}: tell me about {topic}", "text": f"{topic} in {name}{words}."})
            for other in NAMES.values():
                wanted = f"into {other}\\..*{topic} in {name}"
                rules.append({"match": wanted, "text": f"{topic} from {name} into {other}.\n</translated>"})
    path.write_text("".join(json.dumps({**rule, "delay_s": delay_s}) + "\n" for rule in rules), encoding="utf-8")
