from __future__ import annotations

import pytest

import lidr
from lidr.errors import PlanError, RecipeError
from lidr.rows import Pair
from lidr.steps import STEPS
from lidr.steps.step_kind import InitialPolicy, Policy
from lidr.steps.train import TrainConfig, also_read_train, identity_train
from tests.scripted import RECIPE, write_world
from tests.tiny import tiny_model

TRAIN = RECIPE.replace("iterations:", "  - train: {{learning_rate: 1e-5, batch: 8}}\niterations:")


def test_the_first_policy_is_an_input_only_where_it_is_the_reference():
    assert also_read_train(TrainConfig(learning_rate=1e-5, batch=8, reference="initial")) == (InitialPolicy,)
    assert also_read_train(TrainConfig(learning_rate=1e-5, batch=8, reference="previous")) == ()
    assert STEPS["train"].reads == (Pair, Policy)


@pytest.mark.parametrize(
    ("most", "longest", "named"),
    [(64, 1024, ""), (1024, 1024, "generate"), (2000, 1024, "generate"), (64, 70, "translate")],
)
def test_answers_that_may_be_longer_than_what_is_trained_on_are_noted(tmp_path, most, longest, named):
    """Translations have at most 80 tokens there."""
    chain = TRAIN.replace("batch: 8", f"batch: 8, max_length: {longest}").replace(
        "max_tokens: 64", f"max_tokens: {most}"
    )
    recipe = lidr.load_recipe(write_world(tmp_path, chain))
    (config,) = (step.config for step in recipe.chain if step.name == "train")
    notes = list(STEPS["train"].notes(recipe, config))
    assert len(notes) == bool(named)
    assert all("longer pairs are left out as over_long" in note for note in notes)
    refusing = config.model_copy(update={"over_long": "refuse"})
    assert all("longer pairs end the training" in note for note in STEPS["train"].notes(recipe, refusing))
    assert all(f"and {named}.max_tokens lets an answer alone have" in note for note in notes)


def test_a_policy_behind_a_server_cannot_be_trained(tmp_path):
    recipe = write_world(tmp_path, TRAIN)
    with pytest.raises(
        PlanError, match=r"train: a policy behind a server \(openai:\) cannot be trained; take `train` out"
    ):
        lidr.plan(lidr.load_recipe(recipe))


@pytest.mark.parametrize(("per", "changes"), [("sequence", False), ("batch", False), ("token", True)])
def test_the_micro_batch_is_identity_only_where_it_changes_the_loss(tmp_path, per, changes):
    recipe = write_world(
        tmp_path, TRAIN.replace('"openai:canned@http://127.0.0.1:9"', "org/name, revision: " + "12e4" * 10)
    )

    def fingerprint(size):
        overrides = [f"runtime.micro_batch={size}", f"chain.train.nll={{weight: 1.0, per: {per}}}"]
        steps = lidr.plan(lidr.load_recipe(recipe, overrides=overrides)).steps
        return next(step.fingerprint for step in steps if step.name == "train")

    assert (fingerprint(1) != fingerprint(4)) == changes


def test_reference_adapter_off_without_an_adapter_is_refused(tmp_path):
    recipe = write_world(tmp_path, TRAIN)
    with pytest.raises(RecipeError, match=r"reference: adapter_off needs an adapter: add lora, or use previous"):
        lidr.load_recipe(recipe, overrides=["chain.train.reference=adapter_off"])


def test_settings_of_peft_are_identity_where_they_are_used_alone():
    plain, dora = (
        TrainConfig(learning_rate=1e-5, batch=8, lora={"rank": 4, **more})
        for more in ({}, {"peft": {"use_dora": True}})
    )
    assert "peft" not in identity_train(plain)["lora"]
    assert identity_train(dora)["lora"]["peft"]["use_dora"] is True
    assert dora.lora.spec().more == {"use_dora": True}


def test_pairs_aside_are_identity_where_they_are_used_alone():
    plain, aside = (TrainConfig(learning_rate=1e-5, batch=8, **more) for more in ({}, {"held_out": {"share": 0.1}}))
    assert "held_out" not in identity_train(plain)
    assert "held_out" not in plain.model_dump()
    assert identity_train(aside)["held_out"] == {"share": 0.1, "every": None, "patience": None}
    assert identity_train(aside) == {**identity_train(plain), "held_out": identity_train(aside)["held_out"]}


def test_a_term_of_trls_own_cannot_be_looked_at_on_pairs_aside():
    with pytest.raises(ValueError, match=r"trl\.ld_alpha: with it the loss of pairs that are kept aside is not known"):
        TrainConfig(learning_rate=1e-5, batch=8, held_out={}, trl={"ld_alpha": 0.5})


def test_several_processes_keep_no_pairs_aside(tmp_path):
    text = TRAIN.replace('"openai:canned@http://127.0.0.1:9"', str(tiny_model(tmp_path / "policy", "qwen2")))
    overrides = ["chain.train.held_out={}", "runtime.train_processes=2", "runtime.micro_batch=4"]
    with pytest.raises(
        (PlanError, RecipeError), match=r"several processes keep no pairs aside: take train\.held_out out"
    ):
        lidr.plan(lidr.load_recipe(write_world(tmp_path, text), overrides=overrides))


def test_the_head_is_never_adapted():
    with pytest.raises(ValueError, match=r"lm_head: training reads .* train all weights instead"):
        TrainConfig(learning_rate=1e-5, batch=8, lora={"peft": {"modules_to_save": ["lm_head"]}})


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"loss": "robust"}, "needs label_smoothing"),
        ({"label_smoothing": 0.1}, "needs label_smoothing"),
        ({"loss": "ipo", "method": "sft"}, "compares two sides"),
    ],
)
def test_a_loss_fits_its_settings(more, words):
    with pytest.raises(ValueError, match=words):
        TrainConfig(learning_rate=1e-5, batch=8, **more)


def test_loading_is_identity_where_it_is_used_alone():
    plain, packed = (
        TrainConfig(learning_rate=1e-5, batch=8, lora={}, **more) for more in ({}, {"load": {"quantization": "nf4"}})
    )
    assert "load" not in identity_train(plain)
    assert "load" not in plain.model_dump()
    assert identity_train(packed)["load"]["quantization"] == "nf4"


def test_packed_weights_without_an_adapter_are_refused():
    with pytest.raises(ValueError, match=r"load\.quantization: nf4 needs an adapter: packed weights cannot be trained"):
        TrainConfig(learning_rate=1e-5, batch=8, load={"quantization": "nf4"})


@pytest.mark.parametrize(
    ("method", "more", "words"),
    [
        ("awq", "", r"train: .*policy is quantised \(awq\).*; load: {quantization: nf4} beside lora"),
        ("bitsandbytes", "", r"train: .*policy is quantised \(bitsandbytes\).*give the same model in bfloat16"),
        ("mxfp4", ", lora: {{rank: 2}}, load: {{quantization: nf4}}", r"packing it again as nf4 is not offered"),
    ],
)
def test_a_policy_whose_weights_cannot_be_trained_is_refused_by_the_plan(tmp_path, method, more, words):
    from tests.odd_models import say_packed

    folder = tiny_model(tmp_path / "policy", "qwen2")
    say_packed(folder, {"quant_method": method})
    text = TRAIN.replace('"openai:canned@http://127.0.0.1:9"', str(folder)).replace("batch: 8", f"batch: 8{more}")
    with pytest.raises(PlanError, match=words):
        lidr.plan(lidr.load_recipe(write_world(tmp_path, text)))


@pytest.mark.parametrize("method", ["mxfp4", "fp8"])
def test_a_policy_that_is_unpacked_is_planned(tmp_path, method):
    from tests.odd_models import say_packed

    folder = tiny_model(tmp_path / "policy", "qwen2")
    say_packed(folder, {"quant_method": method})
    text = TRAIN.replace('"openai:canned@http://127.0.0.1:9"', str(folder))
    assert lidr.plan(lidr.load_recipe(write_world(tmp_path, text)))
