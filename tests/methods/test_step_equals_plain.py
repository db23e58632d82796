"""The step picks what the plain version picks: pairs, reasons and scores, row by row, on the fixed inputs.

Two people wrote the two sides apart from each other. docs/methods.md says where they had decided otherwise.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import polars as pl
import pytest

from lidr.rows import answer_key
from lidr.steps.score.scorer import Answer
from lidr.steps.score.scorers.latent_scorer import latent_values
from lidr.steps.score.scorers.majority_scorer import MajorityScorer, by_vote
from lidr.transforms import SampledResult, SampledRules, build_sampled_pairs
from tests.methods.fixed_inputs import LANGUAGES, PROMPTS, SLOTS, drawn_answer, fixed_answers
from tests.methods.plain_methods import Selection, by_final_answer, calm, cm_align, croco, icr, key_of, lacomsa

SEEDS = (19, 20, 21)
STATES = {
    "en": "The answer is {}.",
    "es": "La respuesta es {}.",
    "fr": "La réponse est {}.",
    "de": "Die Antwort ist {}.",
}
REASONS = {
    "equal_scores": "tied",
    "unanimous": "tied",
    "no_consistent_answer": "tied",
    "identical": "identical",
    "reference_language": "dominant_pairs: none",
    "pair_in_another_language": "pool: all",
}
"""The plain version's reason -> the step's, where at least two answers are scored; else it is too_few_scored."""

Values = dict[tuple[str, str, int], float | None]


def spaced(answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """White space around every third text, as models leave it."""
    return [a | {"text": f"{a['text']} \n\n" if number % 3 else a["text"]} for number, a in enumerate(answers)]


def step(answers: list[dict[str, Any]], values: Values, **rules: Any) -> SampledResult:
    """The step's pure function on the same answers; those without text have no value, as `score` writes them."""
    prompts = pl.DataFrame([{"prompt_id": p, "language": code, "text": f"{p} {code}?"} for p, code in SLOTS])
    named = [{name: a[name] for name in ("prompt_id", "language", "sample", "text")} for a in answers]
    scores = [
        {**{name: a[name] for name in ("prompt_id", "language", "sample")},
         "value": values.get(key_of(a)) if a["text"].strip() else None, "detail": ""}
        for a in answers
    ]  # fmt: skip
    return build_sampled_pairs(
        prompts,
        pl.DataFrame(named, schema_overrides={"sample": pl.Int32}).with_columns(finish_reason=pl.lit("stop")),
        pl.DataFrame(scores, schema_overrides={"sample": pl.Int32, "value": pl.Float64}),
        rules=SampledRules(LANGUAGES[0], tuple(LANGUAGES[1:]), **{"seed": 42, **rules}),
    )


def rows_of_step(found: SampledResult) -> dict[tuple[str, str], Any]:
    """Slot -> its pair, or its reason."""
    columns = ("chosen_key", "rejected_key", "score_chosen", "score_rejected", "margin")
    rows = {(row["prompt_id"], row["language"]): tuple(row[name] for name in columns)
            for row in found.pairs.iter_rows(named=True)}  # fmt: skip
    for frame in (found.dropped, found.not_requested):
        rows |= {(row["prompt_id"], row["language"]): row["reason"] for row in frame.iter_rows(named=True)}
    return rows


def rows_of_plain(
    found: Selection, answers: list[dict[str, Any]], values: Values, *, pool: str = "language"
) -> dict[tuple[str, str], Any]:
    """The same of the plain version, in the step's words."""
    scored = Counter(
        (a["prompt_id"], a["language"] if pool == "language" else "")
        for a in answers
        if a["text"].strip() and values.get(key_of(a)) is not None
    )
    rows: dict[tuple[str, str], Any] = {}
    for slot, reason in found.reasons.items():
        is_asked = reason not in ("reference_language", "pair_in_another_language")
        enough = scored[slot if pool == "language" else (slot[0], "")] > 1
        rows[slot] = REASONS[reason] if enough or not is_asked else "too_few_scored"
    for pair in found.pairs:
        chosen, rejected = (answer_key(pair.prompt_id, *side) for side in (pair.chosen, pair.rejected))
        rows[pair.prompt_id, pair.language] = chosen, rejected, pair.score_chosen, pair.score_rejected, pair.margin
    return rows


def given(answers: list[dict[str, Any]], scorer: str) -> Values:
    return {key_of(a): a["scores"].get(scorer) for a in answers}


def same(stepped: SampledResult, plain: dict[tuple[str, str], Any]) -> None:
    """Every slot, in order, with the pair or the reason of the plain version."""
    found = rows_of_step(stepped)
    assert {slot: found.get(slot) for slot in SLOTS} == {slot: plain.get(slot) for slot in SLOTS}
    assert sum(frame.height for frame in stepped[:3]) == len(SLOTS)
    assert stepped.pairs.height >= 20


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("around", [list, spaced], ids=["as_drawn", "spaced"])
def test_icr(seed, around):
    answers = around(fixed_answers(seed))
    values = given(answers, "implicit")
    plain = icr(answers, SLOTS, trimmed=True, grid="decimal")
    stepped = step(answers, values, length_control="zero_mean")
    same(stepped, rows_of_plain(plain, answers, values))
    assert {row["language"]: row["a"] for row in stepped.length_control} == plain.found["penalty"]
    without = icr(answers, SLOTS, length_control=False)
    same(step(answers, values), rows_of_plain(without, answers, values))


def test_icr_never_takes_off_as_much_as_one_for_a_character():
    """The published grid ends at .999; at 1 both scores would be equal."""
    answers = [
        {"prompt_id": PROMPTS[0], "language": "es", "sample": sample, "text": "x" * length,
         "scores": {"implicit": score}}
        for sample, (length, score) in enumerate([(10, 0.0), (30, 20.0)])
    ]  # fmt: skip
    values = given(answers, "implicit")
    plain = icr(answers, SLOTS, trimmed=True, grid="decimal")
    stepped = step(answers, values, length_control="zero_mean")
    assert plain.found["penalty"]["es"] == stepped.length_control[0]["a"]
    assert rows_of_step(stepped) == rows_of_plain(plain, answers, values)


@pytest.mark.parametrize("seed", SEEDS)
def test_croco_within_a_language(seed):
    answers = fixed_answers(seed)
    values = given(answers, "reward_model")
    stepped = step(answers, values, select="nearest_sigma")
    same(stepped, rows_of_plain(croco(answers, SLOTS), answers, values))
    lowest = step(answers, values, select="max_min")
    same(lowest, rows_of_plain(croco(answers, SLOTS, target="min"), answers, values))


def of_many(seed: int, samples: int = 24) -> list[dict[str, Any]]:
    """More answers to each prompt, whose scores have a long tail downwards."""
    draw = random.Random(seed)
    answers = [drawn_answer(draw, *slot, sample) for slot in SLOTS for sample in range(samples)]
    for answer in answers:
        answer["scores"]["reward_model"] = round(-64 * draw.lognormvariate(0, 1)) / 64
    return answers


def test_croco_among_many_answers_often_rejects_another_than_the_worst():
    answers = of_many(19)
    values = given(answers, "reward_model")
    stepped, lowest = (step(answers, values, select=select) for select in ("nearest_sigma", "max_min"))
    same(stepped, rows_of_plain(croco(answers, SLOTS), answers, values))
    others = (stepped.pairs["rejected_key"] != lowest.pairs["rejected_key"]).sum()
    assert others > len(SLOTS) / 4


@pytest.mark.parametrize("seed", SEEDS)
def test_croco_among_at_most_five_answers_is_best_against_worst(seed):
    """No value of n lies further below the mean than the root of n - 1 deviations: of five, two."""
    answers = of_many(seed, samples=5)
    values = given(answers, "reward_model")
    stepped, lowest = (step(answers, values, select=select) for select in ("nearest_sigma", "max_min"))
    assert stepped.pairs.equals(lowest.pairs)


@pytest.mark.parametrize("seed", SEEDS)
def test_croco_over_all_languages(seed):
    answers = fixed_answers(seed)
    values = given(answers, "reward_model")
    for select, target in (("nearest_sigma", "mean_minus_2sigma"), ("max_min", "min")):
        plain = croco(answers, SLOTS, pool="all", target=target, account="first")
        stepped = step(answers, values, select=select, pool="all")
        same(stepped, rows_of_plain(plain, answers, values, pool="all"))


def latent_of(answers: list[dict[str, Any]]) -> Values:
    """What the scorer `latent` makes of the fixed vectors, in double precision."""
    import torch

    found: Values = {}
    for prompt_id in PROMPTS:
        states: dict[str, list[Any]] = {code: [] for code in LANGUAGES}
        for a in answers:
            if a["prompt_id"] == prompt_id and a["text"].strip():
                vectors = (torch.tensor(a[layer], dtype=torch.float64) for layer in ("middle", "last"))
                states[a["language"]].append((key_of(a), *vectors))
        for own in filter(None, states.values()):
            found |= {key: value for key, value, _ in latent_values(own, states["en"], alpha=0.5, gamma=1.0)}
    return found


@pytest.mark.parametrize("seed", SEEDS)
def test_lacomsa(seed):
    answers = fixed_answers(seed)
    plain = lacomsa(answers, SLOTS, draw="sha256")
    values: Values = {key: latent.score for key, latent in plain.found["scores"].items()}
    same(step(answers, values, select="random", dominant_pairs=False), rows_of_plain(plain, answers, values))
    of_scorer = {key: value for key, value in latent_of(answers).items() if key[1] != "en"}
    assert {key: of_scorer[key] for key in values} == {key: pytest.approx(value) for key, value in values.items()}
    for key in of_scorer.keys() - values.keys():
        assert plain.reasons[key[:2]] in ("one_answer", "no_reference")
        assert (of_scorer[key] is None) == (plain.reasons[key[:2]] == "no_reference")


def majority_of(answers: list[dict[str, Any]], **config: Any) -> Values:
    """What the scorer `majority` makes of answers that state their final answer as a number."""
    found: Values = {}
    for prompt_id in PROMPTS:
        usable = {}
        for a in answers:
            if a["prompt_id"] == prompt_id and a["text"].strip():
                text = "Honey." if a["answer"] is None else STATES[a["language"]].format(a["answer"])
                usable[Answer(prompt_id, a["language"], a["sample"], text)] = key_of(a)
        scored = by_vote(list(usable), MajorityScorer(**config), LANGUAGES)
        found |= {usable[one.answer]: one.value for one in scored}
    return found


def known(values: Values) -> Values:
    return {key: value for key, value in values.items() if value is not None}


@pytest.mark.parametrize("seed", SEEDS)
def test_cm_align(seed):
    answers = fixed_answers(seed)
    by_embedding = cm_align(answers, SLOTS)
    values: Values = by_embedding.found["scores"]
    same(step(answers, values, dominant_pairs=False), rows_of_plain(by_embedding, answers, values))
    plain = cm_align(answers, SLOTS, by_final_answer, unread="none")
    scored = majority_of(answers, voters="dominant", ties="first")
    same(step(answers, scored, dominant_pairs=False), rows_of_plain(plain, answers, scored))
    assert {key: value for key, value in known(scored).items() if key[1] != "en"} == plain.found["scores"]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("ties", ["none", "first"])
def test_calm(seed, ties):
    answers = fixed_answers(seed)
    plain = calm(answers, SLOTS, rejected="first", scores="agrees", ties=ties)
    scored = majority_of(answers, ties=ties)
    same(step(answers, scored), rows_of_plain(plain, answers, scored))
    assert known(scored) == plain.found["scores"]


@pytest.mark.parametrize("seed", SEEDS)
def test_by_shares_of_votes_some_chosen_answers_are_not_the_majoritys(seed):
    """Why CALM has a scorer of its own: the best answer of a language may still be wrong."""
    answers = fixed_answers(seed)
    plain = calm(answers, SLOTS)
    said = {answer_key(*key_of(a)): a["answer"] for a in answers}
    pairs = step(answers, plain.found["scores"]).pairs
    majority = plain.found["majority"]
    assert any(said[row["chosen_key"]] != majority[row["prompt_id"]] for row in pairs.iter_rows(named=True))
