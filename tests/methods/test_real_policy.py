"""The proof on a real policy: its recipes share everything but training, and its numbers are right at small size."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

import lidr
from lidr.cli.recipe.ls import shipped
from tests.methods.real_policy import HELD_OUT, LANGUAGES, RECIPES, Item, Items, measure, run_arm
from tests.methods.real_policy_outcome import against, as_json, from_json, outcome
from tests.methods.real_policy_page import PAGE, section, written
from tests.methods.real_policy_proof import outcomes, prove
from tests.tiny import tiny_model

TRAINED = ("lidr", "swapped", "sft")
ANSWERS = {
    "en": "It hides its face and its belly behind the spines.",
    "es": "Así esconde la cara y la barriga detrás de las púas.",
    "fr": "Il cache ainsi sa tête et son ventre derrière ses piquants.",
    "de": "So versteckt er sein Gesicht und seinen Bauch hinter den Stacheln.",
}
ASKED = {"en": "hedgehogs", "es": "erizos", "fr": "hérissons", "de": "Igel"}
NAMES = {"en": "English", "es": "Spanish", "fr": "French", "de": "German"}


@pytest.fixture(scope="module")
def policy(tmp_path_factory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("tiny") / "policy", "smollm2", max_positions=640)


def test_the_controls_differ_from_the_recipe_in_training_alone():
    recipes = {arm: lidr.load_recipe(shipped()[RECIPES[arm]]) for arm in TRAINED}
    base = recipes["lidr"]
    assert base.languages.all == LANGUAGES
    assert [step.name for step in base.chain] == ["generate", "translate", "pair", "filter", "train"]
    for arm in ("swapped", "sft"):
        differ = [step.name for step, its in zip(recipes[arm].chain, base.chain, strict=True) if step != its]
        assert differ == ["train"]
        same = {"policy", "prompts", "languages", "seed", "iterations"}
        assert recipes[arm].model_dump(include=same) == base.model_dump(include=same)
    trains = {arm: recipe.chain[-1].config for arm, recipe in recipes.items()}
    strict = lidr.load_recipe(shipped()[RECIPES["strict"]])
    differ = [step.name for step, its in zip(strict.chain, base.chain, strict=True) if step != its]
    assert (differ, strict.chain[2].config.accept) == (["pair"], ("ok", "unclosed_at_end"))
    assert (trains["swapped"].sides, trains["sft"].method) == ("swapped", "sft")


def test_the_controls_take_over_what_the_recipe_made(policy, tmp_path, monkeypatch):
    monkeypatch.setenv("LIDR_PROVE_STORE", str(tmp_path / "store"))
    into = [
        {"match": f"into {NAMES[code]}\\.", "text": f"{text[:-1]}!\n</translated>"} for code, text in ANSWERS.items()
    ]
    asked = [{"match": word, "text": ANSWERS[code]} for code, word in ASKED.items()]
    lines = "".join(json.dumps(rule) + "\n" for rule in [*into, *asked])
    (tmp_path / "answers.jsonl").write_text(lines, encoding="utf-8")
    changes = [
        f"policy={{model: {policy}}}",
        'iterations=[{prompts: "0:1"}]',
        f"runtime={{engine: scripted, answers: {tmp_path}/answers.jsonl, threads: 1, store: {tmp_path}/store}}",
    ]
    lidr.run(lidr.load_recipe(shipped()["real_policy"], overrides=changes), until="filter")
    for arm in ("swapped", "sft"):
        planned = lidr.plan(lidr.load_recipe(shipped()[RECIPES[arm]], overrides=changes))
        states = {step.name: step.state for step in planned.steps}
        assert states.pop("train") == "new"
        assert set(states.values()) == {"taken over"}, states


def test_a_policy_is_measured_and_is_not_asked_again(policy, tmp_path, monkeypatch):
    monkeypatch.setenv("LIDR_PROVE_STORE", str(tmp_path / "store"))
    rows = tmp_path / "rows"
    rows.mkdir()
    for code in LANGUAGES:
        lines = (HELD_OUT / f"{code}.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
        (rows / f"{code}.jsonl").write_text("".join(lines[:2]), encoding="utf-8")
    more = ["chain.generate.max_tokens=8"]
    found = measure("tiny", policy, rows, more)
    assert {code: len(table) for code, table in found.items()} == dict.fromkeys(LANGUAGES, 2)
    uniform = -math.log(448)  # a random model of so many tokens knows nothing
    assert all(uniform - 1.5 < one.logp < uniform + 1.5 for table in found.values() for one in table)
    journal = next((tmp_path / "store").rglob("generate/record.json"))
    before = journal.stat().st_mtime_ns
    assert measure("tiny", policy, rows, more) == found
    assert journal.stat().st_mtime_ns == before


def items(**of_each: list[tuple[str | None, float]]) -> Items:
    return {code: [Item(*one) for one in of_each.get(code, [(code, -2.0)] * 4)] for code in LANGUAGES}


BEFORE = items(de=[("de", -2.0), ("en", -2.0), ("de", -2.0), (None, -2.0)])
AFTER = items(de=[("de", -1.0), ("en", -1.0), ("de", -3.0), (None, -1.8)])


def test_a_reference_that_became_likelier_is_no_win_where_the_answer_is_in_another_language():
    found = outcome(BEFORE, AFTER)["de"]
    assert found["likelier"][0] == 0.75
    assert found["win"][0] == 0.25
    assert found["off_target_after"][0] == 0.25  # what cannot be told is not off-target, and no win
    assert found["logp_change"][0] == pytest.approx(0.3)
    low, high = found["logp_change"][1:]
    assert low < 0 < 0.3 < high
    assert found["off_target_change"][0] == 0


def test_over_several_languages_a_prompt_counts_once():
    found = outcome(BEFORE, AFTER)["others"]
    assert found["logp_change"][0] == pytest.approx(0.1)
    spread = [1 / 3, 1 / 3, -1 / 3, 0.2 / 3]
    error = (sum((one - 0.1) ** 2 for one in spread) / 3 / 4) ** 0.5
    assert found["logp_change"][2] == pytest.approx(0.1 + 3.182 * error, abs=2e-3)  # Student's, 3 degrees of freedom


def test_a_control_is_compared_prompt_by_prompt():
    control = items(de=[("de", -1.5), ("de", -1.5), ("de", -3.5), (None, -2.3)])
    found = against(BEFORE, control, AFTER)["de"]
    assert found["logp_change"][0] == pytest.approx(0.5)  # every prompt by .5: nothing is left to doubt
    assert found["win"][0] == pytest.approx(-0.25)
    assert found["off_target_after"][0] == pytest.approx(0.25)


def test_items_come_back_from_json():
    assert from_json(json.loads(json.dumps(as_json(AFTER)))) == AFTER


def arm(found: Items) -> dict[str, object]:
    facts = {"seconds": 600, "commit": "c" * 40, "machine": {"cpus": 2}}
    return {"items": as_json(found), **facts}


def test_the_section_says_what_was_not_run_and_of_what_the_pairs_were_made():
    assert "Not run" in section(None)
    made_of = {"translations": {"en>de": {"ok": 3, "wrong_language": 5}}, "pairs": dict.fromkeys(LANGUAGES, 7)}
    made_of["rejected_elsewhere"] = dict.fromkeys(LANGUAGES, 2)
    ended = {key: value for key, value in arm(AFTER).items() if key != "items"}
    arms = {"untrained": arm(BEFORE), "lidr": {**arm(AFTER), **made_of}, "sft": {**ended, "ended": "no pair"}}
    text = section({"arms": arms, "outcome": outcomes(arms)})
    assert "| LIDR | de | 0.25 -> 0.25 | -2.000 -> -1.700 | +0.300 [" in text
    assert "| swapped | not run |" in text
    assert "| SFT | ended |" in text
    assert "| en to de | 3 of 8 | wrong_language 5 |" in text
    assert "| LIDR | 7 (2) | 7 (2) | 7 (2) | 7 (2) |" in text
    assert "LIDR - swapped" not in text


def test_the_page_is_that_of_the_proof_file():
    assert PAGE.read_text(encoding="utf-8") == written(), "python -m tests.methods.real_policy_page"


def test_an_arm_that_there_is_not_is_named():
    with pytest.raises(SystemExit, match="real_policy: no arm nothing; one of untrained, lidr, swapped, sft, strict"):
        prove("real_policy:nothing", {})


def test_the_untrained_policy_is_the_recipes_own(policy, tmp_path, monkeypatch):
    monkeypatch.setenv("LIDR_PROVE_STORE", str(tmp_path / "store"))
    _, folder = run_arm("untrained", [f"policy={{model: {policy}}}"])
    assert json.loads((folder / "config.json").read_text(encoding="utf-8"))["vocab_size"] == 448
