"""The gate: each signature fires on numbers that show it, and on noise in at most about one run of twenty."""

from __future__ import annotations

import json
import random

import polars as pl
import pytest

import lidr
from lidr.errors import NegativeVerdict, PlanError, RecipeError
from lidr.steps.gate import GateConfig
from lidr.steps.gate.evidence import Finding, ScoreChange, score_changes, widened
from lidr.steps.gate.gate_decision import mean_score
from lidr.steps.gate.signatures import Collapse, NoGain, reward_signal
from lidr.store.artifact import open_artifact
from lidr.transforms.language_gap import Number, family, mean, rise, share
from tests.decided_runs import lay_down, recipe, scores_of, write_course

TWO = '[{{prompts: "0:4"}}, {{prompts: "4:8"}}]'
STEADY = {k: {"en": 0.8, "es": 0.4, "de": 0.4} for k in range(3)}


@pytest.fixture(autouse=True)
def _own_store(monkeypatch):
    monkeypatch.delenv("LIDR_STORE", raising=False)


def gated(folder, monkeypatch, gate, scores=STEADY, **more):
    """The gate's record and rows after iteration 1."""
    lay_down(monkeypatch, scores, **more)
    recipe_file = write_course(folder, recipe(gate, '[{{prompts: "0:4"}}]'))
    planned = lidr.run(lidr.load_recipe(recipe_file))
    artifact = open_artifact(planned.version_folder / "iter_1/gate")
    return artifact.record.counts, pl.DataFrame(artifact.read())


ALL = "{{dominant_worse: {{}}, no_gain: {{}}, collapse: {{}}, artefacts: {{}}}}"


def test_a_run_that_goes_well_fires_nothing_and_every_number_is_kept_beside_its_limit(tmp_path, monkeypatch):
    better = {0: STEADY[0], 1: {"en": 0.8, "es": 0.7, "de": 0.7}}
    counts, rows = gated(tmp_path / "w", monkeypatch, ALL, better)
    assert counts["fired"] == []
    assert counts["quiet"] == ["dominant_worse", "no_gain", "artefacts", "collapse"]
    assert not rows["fires"].any()
    assert set(rows["signature"]) == {"dominant_worse", "no_gain", "artefacts", "collapse"}
    assert counts["best"] == counts["decision"]["policy"] == 1
    assert rows.select("signature", "sign", "language", "against").is_unique().all()


@pytest.mark.parametrize(
    ("gate", "says", "change"),
    [
        ("dominant_worse", "accuracy of mgsm, en, to iter_0", {"en": 0.6, "es": 0.7, "de": 0.7}),
        ("no_gain", "accuracy of mgsm, de, to iter_0", {"en": 0.8, "es": 0.7, "de": 0.25}),
    ],
)
def test_a_fall_fires_its_signature_with_the_language_and_the_numbers(tmp_path, monkeypatch, gate, says, change):
    counts, _ = gated(tmp_path / "w", monkeypatch, f"{{{{{gate}: {{{{}}}}}}}}", {0: STEADY[0], 1: change})
    (fired,) = counts["fired"]
    assert (fired["signature"], fired["act"]) == (gate, "warn")
    assert fired["says"].startswith(says)
    assert counts["decision"]["policy"] == 1  # a warning changes nothing


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"answers": {1: "No.\n" * 8}}, "share of answers that repeat themselves, de, to iter_0: 1.000"),
        ({"answers": {1: " ".join(map(str, range(400)))}}, "logarithm of the answers' length, de, to iter_0: 3."),
        ({"off_target": {1: 0.4}}, "off-target rate, de, to iter_0: 0."),
        (
            {"history": {1: [1.0, 1.1, 0.9, 1.2, 1.4, 1.5, 1.9, 2.0, 2.1]}},
            "NLL of chosen, last third of the steps, to first third: 1.000",
        ),
    ],
)
def test_each_sign_of_collapse_fires(tmp_path, monkeypatch, more, says):
    counts, _ = gated(tmp_path / "w", monkeypatch, "{{collapse: {{}}}}", **more)
    assert any(one["says"].startswith(says) for one in counts["fired"]), counts["fired"]


def test_artefacts_of_translation_fire_by_direction(tmp_path, monkeypatch):
    lay_down(monkeypatch, STEADY)
    path = write_course(tmp_path / "w", recipe("{{artefacts: {{act: stop, markup: 0.0}}}}", '[{{prompts: "0:8"}}]'))
    text = path.read_text(encoding="utf-8").replace("drop: joint", "drop: independent")
    path.write_text(text, encoding="utf-8")
    answers = path.with_name("answers.jsonl")
    rules = [
        {"match": "into English.*in German", "text": "cut", "finish_reason": "length"},
        {"match": "into German.*in English", "text": "x\n</translated>"},
    ]
    first = "".join(json.dumps(rule) + "\n" for rule in rules)
    answers.write_text(first + answers.read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(NegativeVerdict, match=r"artefacts: failed translations, en, to de: 1\.000"):
        lidr.run(lidr.load_recipe(path))
    rows = pl.DataFrame(open_artifact(tmp_path / "w/runs/scripted/0.1.0/iter_1/gate").read())
    assert set(rows.filter("fires")["sign"]) == {"failed translations", "translations of odd length"}
    assert rows.filter(pl.col("sign") == "mark-up left in chosen").height == 2  # en and es: no German pair is left


def test_the_reward_signal_is_read_from_measure_and_may_stop_the_run_before_training(tmp_path, monkeypatch):
    made = lay_down(monkeypatch, STEADY)
    text = recipe("{{reward_signal: {{act: stop, below: 0.6}}}}", '[{{prompts: "0:8"}}]')
    gate = next(line for line in text.splitlines(keepends=True) if "- gate" in line)
    train = next(line for line in text.splitlines(keepends=True) if "- train" in line)
    text = text.replace(gate, "").replace(train, "  - measure: {{gold: {folder}/gold}}\n" + gate + train)
    path = write_course(tmp_path / "w", text)
    gold = "".join(json.dumps({"id": f"p{i}", "response": "1"}) + "\n" for i in range(8))
    (tmp_path / "w/gold").mkdir()
    (tmp_path / "w/gold/en.jsonl").write_text(gold, encoding="utf-8")
    answers = path.with_name("answers.jsonl")
    rules = [
        {"match": "translate.*into Spanish", "text": "translated, so it is 2\n</translated>"},
        {"match": "translate.*own, so", "text": "mine, and it is 1\n</translated>"},
        {"match": "Spanish: tell me", "text": "own, so it is 1"},
    ]
    first = "".join(json.dumps(rule) + "\n" for rule in rules)
    answers.write_text(first + answers.read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(
        NegativeVerdict, match=r"reward accuracy by gold, non-dominant pairs, es: 0\.000 \[0\.000, 0\.\d+\] of 8"
    ):
        lidr.run(lidr.load_recipe(path))
    assert not any("train" in place for place in made)


def test_no_gain_needs_scores_and_says_who_makes_them(tmp_path):
    text = recipe("{{no_gain: {{}}}}", TWO)
    text = "".join(line for line in text.splitlines(keepends=True) if "- evaluate" not in line)
    with pytest.raises(
        PlanError, match='"gate" needs scores, and no step before it makes them; put evaluate before it'
    ):
        lidr.plan(lidr.load_recipe(write_course(tmp_path / "w", text)))


def test_a_gate_before_training_has_nothing_to_roll_back(tmp_path):
    text = recipe("{{artefacts: {{act: roll_back}}}}", TWO)
    gate = next(line for line in text.splitlines(keepends=True) if "- gate" in line)
    train = next(line for line in text.splitlines(keepends=True) if "- train" in line)
    text = text.replace(gate, "").replace(train, gate + train)
    with pytest.raises(PlanError, match=r"gate\.artefacts\.act: roll_back gives up a policy that is trained: put gate"):
        lidr.plan(lidr.load_recipe(write_course(tmp_path / "w", text)))


def test_reward_signal_without_a_referee_is_found_by_the_plan(tmp_path):
    text = recipe("{{reward_signal: {{}}}}", TWO).replace("  - train", "  - measure: {{}}\n  - train")
    with pytest.raises(
        PlanError, match=r"gate\.reward_signal needs reward accuracy: give measure a judge, or gold answers"
    ):
        lidr.plan(lidr.load_recipe(write_course(tmp_path / "w", text)))


def test_a_reweight_that_changes_nothing_is_refused(tmp_path):
    text = recipe("{{no_gain: {{act: reweight}}, reweight: {{dominant_pairs: null}}}}", TWO)
    with pytest.raises(
        RecipeError, match="act: reweight changes nothing: give reweight a dominant_pairs or an nll_weight"
    ):
        lidr.load_recipe(write_course(tmp_path / "w", text))


def planned_with(folder, gate, *, without="", **replaced):
    """The plan of a run with this gate, with words of its recipe replaced."""
    text = recipe(gate, TWO)
    for old, new in replaced.items():
        text = text.replace(*{"evaluate": ("tasks: [mgsm]", new), "pair": ("drop: joint", new),
                              "train": ("batch: 8", new)}[old])  # fmt: skip
    text = "".join(line for line in text.splitlines(keepends=True) if not without or f"- {without}:" not in line)
    return lidr.plan(lidr.load_recipe(write_course(folder, text)))


@pytest.mark.parametrize(
    ("gate", "changes", "says"),
    [
        (
            "no_gain: {{}}",
            {"evaluate": "tasks: [x_alpacaeval], languages: [en, de]"},
            r"gate\.no_gain reads scores, and x_alpacaeval has none",
        ),
        (
            "no_gain: {{}}",
            {"evaluate": "tasks: [mgsm], languages: [en]"},
            r"no_gain reads scores in es, de: evaluate\.",
        ),
        ("dominant_worse: {{}}", {"evaluate": "tasks: [mgsm], languages: [es]"}, "dominant_worse reads scores in en: "),
        ("dominant_worse: {{act: reweight}}", {"pair": "drop: joint, dominant_pairs: none"}, "have already: give it"),
        (
            "no_gain: {{act: reweight}}, reweight: {{dominant_pairs: null, nll_weight: 2.0}}",
            {"train": "batch: 8, method: sft"},
            r"gate\.reweight\.nll_weight weighs the NLL beside DPO, and method sft has no DPO: set it to null",
        ),
        (
            "artefacts: {{act: reweight}}, reweight: {{nll_weight: 2.0}}",
            {"without": "train"},
            r"gate\.reweight\.nll_weight is a setting of train, which the chain lacks: set it to null",
        ),
    ],
)
def test_a_gate_that_could_never_fire_or_never_change_anything_is_found_by_the_plan(tmp_path, gate, changes, says):
    with pytest.raises(PlanError, match=says):
        planned_with(tmp_path / "w", f"{{{{{gate}}}}}", **changes)


def test_a_repeat_without_scores_of_the_other_languages_is_found_by_the_plan(tmp_path):
    text = recipe("{{}}").replace("tasks: [mgsm]", "tasks: [mgsm], languages: [en]")
    with pytest.raises(
        PlanError, match=r"repeat reads scores in es, de: evaluate\.languages has none of them; add one"
    ):
        lidr.plan(lidr.load_recipe(write_course(tmp_path / "w", text)))


def test_scores_of_the_policy_that_enters_an_iteration_decide_nothing(tmp_path):
    text = recipe("{{}}")
    train = next(line for line in text.splitlines(keepends=True) if "- train" in line)
    text = text.replace(train, "").replace("  - gate: {{}}\n", "  - gate: {{}}\n" + train)
    with pytest.raises(PlanError, match=r"gate: evaluate stands before train, .*put evaluate and gate after train"):
        lidr.plan(lidr.load_recipe(write_course(tmp_path / "w", text)))


def test_an_unknown_act_names_those_that_there_are(tmp_path):
    with pytest.raises(RecipeError, match=r'unknown value "halt".*warn, reweight, roll_back, stop'):
        lidr.load_recipe(write_course(tmp_path / "w", recipe("{{no_gain: {{act: halt}}}}", TWO)))


# How often noise trips it: policies that are as good as before, evaluated again on the same items.


def fires_share(find, runs: int = 200) -> float:
    return sum(any(one.fires for one in find(seed)) for seed in range(runs)) / runs


def most(runs: int = 200) -> float:
    """5% and two standard errors of the simulation."""
    return 0.05 + 2 * (0.05 * 0.95 / runs) ** 0.5


def test_noise_in_scores_trips_the_dominant_and_the_gain_signatures_seldom_and_a_true_fall_often():
    def find(after):
        def of(seed):
            before = scores_of({"en": 0.8, "es": 0.4, "de": 0.4}, seed=2 * seed, items=80)
            table = scores_of(after, seed=2 * seed + 1, items=80)
            found = [
                (code, c) for code in ("en", "es", "de") for c in score_changes(before, table, [code], resamples=200)
            ]
            level = family(len(found))
            return [Finding("x", "", code, "", widened(c.number, level), 0.0, False) for code, c in found]

        return of

    assert fires_share(find({"en": 0.8, "es": 0.4, "de": 0.4}), 100) <= most(100)
    assert fires_share(find({"en": 0.5, "es": 0.4, "de": 0.4}), 20) > 0.9


def test_noise_trips_shares_means_and_rises_seldom():
    def shares(seed):
        luck = random.Random(seed)
        hits = [sum(luck.random() < 0.5 for _ in range(60)) for _ in range(8)]
        return [Finding("x", "", "", "", share(h, 60, family(8)), 0.5, False) for h in hits]

    def means(seed):
        luck = random.Random(seed)
        groups = [[luck.choice((-1.0, 0.0, 0.0, 1.0)) for _ in range(60)] for _ in range(8)]
        return [Finding("x", "", "", "", mean(group, (-1, 1), family(8)), 0.0, True) for group in groups]

    def rises(seed):
        luck = random.Random(seed)
        return [Finding("x", "", "", "", rise([luck.gauss(1, 0.3) for _ in range(30)]), 0.0, True)]

    assert max(map(fires_share, (shares, means, rises))) <= most()


def test_an_undefined_number_never_fires():
    assert not Finding("x", "", "", "", Number(None, None, None, 0), 0.5, True).fires
    assert "not measured" in Finding("x", "y", "", "", Number(None, None, None, 0), 0.5, True).text()


def test_changes_are_shares_of_the_scores_span_and_of_the_mean_over_the_languages_that_are_asked_for():
    before = scores_of({"en": 0.9, "es": 0.0, "de": 0.0}, seed=0)
    after = scores_of({"en": 0.0, "es": 1.0, "de": 0.0}, seed=0)
    (one,) = score_changes(before, after, ["es", "de"], resamples=200)
    assert isinstance(one, ScoreChange)
    assert (one.benchmark, one.number.value, one.number.n) == ("mgsm", 0.5, 300)


def test_the_mean_score_is_one_of_the_first_measure_alone():
    assert mean_score(scores_of({"en": 1.0, "es": 0.0}, seed=0, off_target=1.0)) == 0.5


def test_a_wider_level_makes_a_wider_interval_around_the_same_value():
    number = Number(0.1, 0.0, 0.3, 100)
    wide = widened(number, family(4))
    assert wide.value == 0.1
    assert wide.low < 0.0
    assert (wide.high - 0.1) / (0.1 - wide.low) == pytest.approx(2.0)


def test_the_interval_of_few_items_is_widened_by_students_t():
    wide = widened(Number(0.0, -1.0, 1.0, 12), family(10))
    assert wide.high == pytest.approx(3.4966 / 2.2010, abs=1e-3)  # by the normal 1.43
    assert widened(Number(0.0, -1.0, 1.0, 1), family(10)).high == 1.0


def test_settings_that_are_not_named_look_for_nothing():
    assert GateConfig().signatures == {}
    assert set(GateConfig(no_gain=NoGain(), collapse=Collapse()).signatures) == {"no_gain", "collapse"}
    assert reward_signal.__doc__
