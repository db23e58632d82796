from __future__ import annotations

import pytest

import lidr
from lidr.errors import PlanError, RecipeError
from lidr.rows import Pair
from lidr.steps import STEPS
from lidr.steps.step_kind import InitialPolicy, Policy
from lidr.steps.train import TrainConfig, also_read_train
from tests.scripted import RECIPE, write_world

TRAIN = RECIPE.replace("iterations:", "  - train: {{learning_rate: 1e-5, batch: 8}}\niterations:")


def test_the_first_policy_is_an_input_only_where_it_is_the_reference():
    assert also_read_train(TrainConfig(learning_rate=1e-5, batch=8, reference="initial")) == (InitialPolicy,)
    assert also_read_train(TrainConfig(learning_rate=1e-5, batch=8, reference="previous")) == ()
    assert STEPS["train"].reads == (Pair, Policy)


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
