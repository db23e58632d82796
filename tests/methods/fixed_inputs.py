"""Answers and scores on which a method's step and its plain version must pick the same, with the awkward cases.

Thirty prompts, four languages, four samples, seeded. The first fourteen prompts hold one awkward case each (`CASES`);
the others are as drawn. Reward-model scores are multiples of 1/64, so that sums of them are exact in any order.
"""

from __future__ import annotations

import random
from typing import Any

LANGUAGES = ["en", "es", "fr", "de"]
SAMPLES = 4
PROMPTS = [f"p{number:02}" for number in range(30)]
SLOTS = [(prompt_id, language) for prompt_id in PROMPTS for language in LANGUAGES]

WORDS = {
    "en": ["bees", "make", "honey", "in", "summer", "and", "wax", "for", "their", "comb"],
    "es": ["las", "abejas", "hacen", "miel", "año", "tras", "año", "y", "cera", "también"],
    "fr": ["les", "abeilles", "font", "du", "miel", "l’été", "et", "de", "la", "cire"],
    "de": ["Bienen", "stellen", "Honig", "her", "für", "den", "Winter", "und", "Wachs", "🐝"],
}
# How much the implicit score grows with each character: what length control has to find.
GROWTH = {"en": 0.12, "es": 0.31, "fr": 0.0, "de": 0.55}


def drawn_answer(draw: random.Random, prompt_id: str, language: str, sample: int) -> dict[str, Any]:
    text = " ".join(draw.choice(WORDS[language]) for _ in range(draw.randint(3, 40)))
    return {
        "prompt_id": prompt_id,
        "language": language,
        "sample": sample,
        "text": text,
        "scores": {
            "implicit": round(GROWTH[language] * len(text) + draw.gauss(0, 12), 4),
            "reward_model": draw.randint(-256, 256) / 64,
        },
        "answer": draw.choices(["12", "7", "30", None], [6, 2, 1, 1])[0],
        "middle": [round(1 + draw.gauss(0, 0.6), 6) for _ in range(4)],
        "last": [round((place == LANGUAGES.index(language)) * 2 + draw.gauss(0, 0.6), 6) for place in range(4)],
        "embedding": [round(1 + draw.gauss(0, 0.8), 6) for _ in range(4)],
    }


def all_equal(here):
    for answer in here.values():
        answer["scores"] = {"implicit": 1.5, "reward_model": 1.5}
        answer["answer"] = "12"
        for vector in ("middle", "last", "embedding"):
            answer[vector] = [1.0, 2.0, 2.0, 4.0]
    for language in LANGUAGES:  # of one length: no length penalty parts them
        for sample in range(SAMPLES):
            here[language, sample]["text"] = f"{language} says {sample}"


def equal_texts(here):
    for sample in range(SAMPLES):  # four equal texts, scored differently all the same
        here["es", sample]["text"] = "Miel."
    here["fr", 1]["text"] = here["fr", 0]["text"]


def empty_answers(here):
    for sample in range(SAMPLES):
        here["es", sample]["text"] = ""
    here["fr", 2].update(text=" \n", scores={"implicit": 99.0, "reward_model": 4.0})
    for sample in (0, 1, 3):
        here["de", sample]["text"] = ""


def missing_samples(here):
    for sample in range(SAMPLES):
        del here["es", sample]
    for sample in (0, 2, 3):
        del here["fr", sample]
    for sample in (1, 2):
        del here["de", sample]


def ties(here):
    for scorer in ("implicit", "reward_model"):
        for sample, value in enumerate((-1.0, 2.0, 2.0, -3.0)):
            here["es", sample]["scores"][scorer] = value
        for sample, value in enumerate((-2.0, 0.5, 3.0, -2.0)):
            here["fr", sample]["scores"][scorer] = value


def no_english(here):
    for sample in range(SAMPLES):
        del here["en", sample]


def unscored(here):
    here["es", 0]["scores"] = {"implicit": None, "reward_model": None}
    for sample in range(3):
        here["fr", sample]["scores"] = {}


def tied_vote(here):
    for (_, sample), answer in here.items():
        answer["answer"] = "12" if sample % 2 else "7"


def no_vote(here):
    for answer in here.values():
        answer["answer"] = None


def unanimous(here):
    for answer in here.values():
        answer["answer"] = "12"


def inconsistent_language(here):
    for (language, sample), answer in here.items():
        answer["answer"] = ("7", "30", "7", None)[sample] if language == "es" else "12"


def outlier(here):
    here["de", 3]["text"] = " ".join(WORDS["de"] * 40)
    here["de", 3]["scores"]["implicit"] = 500.0
    here["de", 0]["scores"]["reward_model"] = -40.0  # further down than two sigma


def equally_near(here):
    del here["es", 3]  # of three values, the 25th percentile is in the middle of the lower two
    for sample, value in enumerate((3.0, 1.0, 2.0)):
        here["es", sample]["scores"]["reward_model"] = value


def equal_across_languages(here):
    here["es", 3]["scores"]["reward_model"] = 4.5
    here["de", 0]["scores"]["reward_model"] = 4.5


CASES = [
    all_equal, equal_texts, empty_answers, missing_samples, ties, no_english, unscored, tied_vote, no_vote, unanimous,
    inconsistent_language, outlier, equally_near, equal_across_languages,
]  # fmt: skip


def fixed_answers(seed: int = 19) -> list[dict[str, Any]]:
    """The answers in the order of slots and samples; the same for the same seed."""
    draw = random.Random(seed)
    rows = []
    for number, prompt_id in enumerate(PROMPTS):
        here = {
            (language, sample): drawn_answer(draw, prompt_id, language, sample)
            for language in LANGUAGES
            for sample in range(SAMPLES)
        }
        if number < len(CASES):
            CASES[number](here)
        rows += here.values()
    return rows
