"""A small evaluation for tests: three word problems and two instructions in two languages, and who answers them."""

from __future__ import annotations

import json
from pathlib import Path

from lidr.evals.benchmarks import task_specs
from lidr.evals.results import ModelFacts
from lidr.evals.spec import Decoding, EvalSpec

QUESTIONS = {
    "en": ("Ann has 2 cups and buys 3. How many cups?", "A box has 4 rows of 5 eggs. How many eggs?", "What is 9 - 2?"),
    "de": ("Ann hat 2 Tassen und kauft 3. Wie viele Tassen?", "4 Reihen mit 5 Eiern. Wie viele?", "Was ist 9 - 2?"),
}
GOLDS = ("5", "20", "7")
INSTRUCTIONS = {
    "en": ("Name a fruit that grows on trees.", "Why is the sky blue during the day?"),
    "de": ("Nenne eine Frucht, die auf Bäumen wächst.", "Warum ist der Himmel am Tag blau?"),
}
REFERENCES = {
    "en": ("An apple is a fruit that grows on trees.", "Air scatters blue light more than red light."),
    "de": ("Der Apfel wächst auf Bäumen.", "Die Luft streut blaues Licht stärker als rotes."),
}
ANSWERS = [
    {"match": "cups", "text": "Two and three are five cups. Answer: 5"},
    {"match": "Tassen", "text": "Zwei und drei sind fünf Tassen. Antwort: 5"},
    {"match": "eggs", "text": "There are 20 eggs in the box."},
    {"match": "Eiern", "text": "Es sind 24 Eier in den Reihen."},
    {"match": "9 - 2", "text": "I am sorry, but I do not know how this should be worked out."},
    {"match": "fruit", "text": "The apple is a fruit that grows on trees in many countries."},
    {"match": "Frucht", "text": "The apple is a fruit that grows on trees in many countries."},
    {"text": "Because of the way in which light is scattered by the air."},
]


def write_rows(folder: Path) -> str:
    """Write the rows in the shape of recipes/prompts; returns the folder as `data` takes it."""
    for language, questions in QUESTIONS.items():
        problems = [
            {"id": str(i), "query": q, "response": g} for i, (q, g) in enumerate(zip(questions, GOLDS, strict=True))
        ]
        _write(folder / "word_problems" / f"{language}.jsonl", problems)
        both = zip(INSTRUCTIONS[language], REFERENCES[language], strict=True)
        rows = [{"id": f"o{i}", "instruction": a, "output": b, "generator": "ref"} for i, (a, b) in enumerate(both)]
        _write(folder / "open_instructions" / f"{language}.jsonl", rows)
    return str(folder)


def write_answers(path: Path) -> Path:
    """The answers of the scripted engine."""
    _write(path, ANSWERS)
    return path


def _write(path: Path, rows: list[dict[str, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def scripted_spec(folder: Path, **more: object) -> EvalSpec:
    """An evaluation by canned answers; rows, answers and work lie in `folder`."""
    given: dict[str, object] = {
        "backend": "scripted",
        "model": str(write_answers(folder / "answers.jsonl")),
        "work": str(folder / "work"),
        "tasks": task_specs(("mgsm", "x_alpacaeval"), ("en", "de")),
        "decoding": Decoding(max_tokens=32),
        "data": write_rows(folder / "rows"),
        **more,
    }
    return EvalSpec(**given)  # type: ignore[arg-type]


FACTS = ModelFacts(reference="./canned", digest="0" * 64)
