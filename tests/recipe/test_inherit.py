"""Recipes that share a base."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

import lidr
from lidr.errors import RecipeError
from lidr.recipe.load import resolved_text
from lidr.recipe.yaml_positions import read_value, read_yaml

BASE = """\
# The base.
schema: 1
name: bees
version: 0.1.0
languages: {dominant: en, others: [es, de]}
policy: {model: ./model}
prompts: {source: prompts, license: cc0-1.0}
seed: {value: 7, provenance: paper, source: table 1}
chain:
  - generate: {max_tokens: 64}
  - translate: {max_tokens: 80}
  - pair: {drop: joint}
  - train:
      learning_rate: 1e-5
      batch: 8
      beta: {value: 0.1, provenance: follow-up, source: "theirs"}
      lora: {rank: 4}
iterations:
  - prompts: 0:8
  - prompts: 8:16
"""


def write(tmp_path: Path, over: str, base: str = BASE) -> Path:
    """The overlay stands one folder below its base."""
    (tmp_path / "below").mkdir(exist_ok=True)
    (tmp_path / "base.yaml").write_text(base, encoding="utf-8")
    path = tmp_path / "below" / "over.yaml"
    path.write_text(over, encoding="utf-8")
    return path


def load(tmp_path: Path, over: str, *overrides: str, base: str = BASE):
    return lidr.load_recipe(write(tmp_path, over, base), overrides=overrides)


def problems(tmp_path: Path, over: str, *overrides: str, base: str = BASE) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        load(tmp_path, over, *overrides, base=base)
    return [line.replace(str(tmp_path) + "/", "") for line in caught.value.problems]


HEAD = "# Ours.\nbase: ../base.yaml\nname: wasps\n"


def test_what_the_overlay_does_not_say_is_the_bases(tmp_path):
    recipe, base = load(tmp_path, HEAD), lidr.load_recipe(tmp_path / "base.yaml")
    assert recipe.name == "wasps"
    assert recipe.model_copy(update={"name": "bees"}).model_dump() == base.model_dump()
    assert recipe.provenance == base.provenance


def test_mappings_merge_and_every_other_value_takes_the_bases_place(tmp_path):
    over = HEAD + "languages: {others: [fr]}\niterations: [{prompts: 0:4}]\nruntime: {micro_batch: 1}\n"
    recipe = load(tmp_path, over)
    assert (recipe.languages.dominant, recipe.languages.others) == ("en", ("fr",))
    assert len(recipe.iterations) == 1
    assert recipe.runtime.micro_batch == 1


def test_the_chain_merges_by_the_names_of_its_steps(tmp_path):
    recipe = load(tmp_path, HEAD + "chain:\n  - train: {epochs: 2, lora: null}\n  - pair: {drop: independent}\n")
    assert [step.name for step in recipe.chain] == ["generate", "translate", "pair", "train"]
    assert recipe.chain[2].config.drop == "independent"
    train = recipe.chain[3].config
    assert (train.epochs, train.learning_rate, train.lora) == (2, 1e-5, None)


def test_a_new_step_comes_after_the_one_before_it_in_the_list(tmp_path):
    recipe = load(tmp_path, HEAD + "chain: [pair, filter: {length_ratio: {min: 0.5}}]\n")
    assert [step.name for step in recipe.chain] == ["generate", "translate", "pair", "filter", "train"]
    assert recipe.chain[2].config.drop == "joint"
    first = load(tmp_path, HEAD + "chain: [{filter: {copied_source: true}}, train]\n")
    assert [step.name for step in first.chain] == ["generate", "translate", "pair", "filter", "train"]


def test_steps_can_be_left_out(tmp_path):
    recipe = load(tmp_path, HEAD + "without: [train]\n")
    assert [step.name for step in recipe.chain] == ["generate", "translate", "pair"]


def test_a_value_with_its_provenance_is_one_value(tmp_path):
    recipe = load(tmp_path, HEAD + "seed: 8\nchain:\n  - train: {beta: {value: 0.2, provenance: ours}}\n")
    assert recipe.seed == 8
    assert "seed" not in recipe.provenance
    assert recipe.chain[3].config.beta == 0.2
    assert recipe.provenance["chain[3].train.beta"].source is None


def test_a_base_may_have_a_base(tmp_path):
    write(tmp_path, HEAD + "seed: 1\nversion: 0.2.0\n")
    path = tmp_path / "third.yaml"
    path.write_text("base: below/over.yaml\nname: third\nchain: [train: {epochs: 3}]\n")
    recipe = lidr.load_recipe(path)
    assert (recipe.name, recipe.seed, recipe.version) == ("third", 1, "0.2.0")
    assert recipe.chain[3].config.epochs == 3
    assert recipe.chain[3].config.batch == 8


def test_set_comes_after_the_base(tmp_path):
    assert load(tmp_path, HEAD, "chain.train.epochs=2", "seed=3").chain[3].config.epochs == 2


def test_each_problem_names_the_file_that_says_it(tmp_path):
    base = BASE.replace("joint", "jont")
    found = problems(tmp_path, HEAD + "chain:\n  - train:\n      epoch: 2\n      lora: {rank: 0}\n", base=base)
    assert [line.split(" ")[0] for line in found] == ["below/over.yaml:6:7", "below/over.yaml:7:14", "base.yaml:12:12"]
    assert 'chain[3].train.epoch: unknown key "epoch"; did you mean "epochs"?' in found[0]
    assert found[2].endswith('chain[2].pair.drop: unknown value "jont"; did you mean "joint"? (joint, independent)')


@pytest.mark.parametrize(
    ("over", "message"),
    [
        ("base: ../nowhere.yaml\nname: x", "below/over.yaml:1:1 base: no file nowhere.yaml; it is looked for beside"),
        (
            "base: ../base.yaml\nseed: 1",
            "below/over.yaml:1:1 name: missing; a recipe with a base has a name of its own",
        ),
        ("base: [a]\nname: x", "below/over.yaml:1:1 base: write the file of another recipe, as ../base.yaml"),
        ("base: over.yaml\nname: x", "below/over.yaml:1:1 base: "),
        (HEAD + "without: [trian]", 'below/over.yaml:4:11 without[0]: the base has no step "trian"; did you mean "tra'),
        (HEAD + "without: train", "below/over.yaml:4:1 without: write a list of steps, as [gate]"),
        (
            HEAD + "chain: [filter]",
            'chain: the base has no step "filter"; say where it belongs: write the step that it',
        ),
        (HEAD + "chain: [pair, pair]", 'below/over.yaml:4:15 chain[1]: the step "pair" stands twice; write it once'),
        (HEAD + "chain: [[pair]]", "below/over.yaml:4:9 chain[0]: each entry is one step, as `- pair: {drop: joint}`"),
        (HEAD + "chain: [train: [1", "below/over.yaml:5:1 not YAML"),
    ],
)
def test_each_mistake_has_its_message(tmp_path, over, message):
    found = problems(tmp_path, over + "\n")
    assert any(message in line for line in found), found


def test_a_circle_a_list_as_base_and_a_faulty_base_are_said(tmp_path):
    assert "a circle" in problems(tmp_path, "base: over.yaml\nname: x\n")[0]
    assert "a base is a recipe: a mapping" in problems(tmp_path, HEAD, base="- a\n")[0]
    assert problems(tmp_path, HEAD, base="name: [\n")[0].startswith("base.yaml:2:1 not YAML")
    assert "it leaves out steps of a base; name one" in problems(tmp_path, "without: [a]\nname: x\n")[0]


def test_the_text_that_is_published_stands_alone_and_means_the_same(tmp_path):
    over = HEAD + 'chain: [pair, {filter: {length_ratio: {min: 0.5}}}]\nsystem_prompt: "no: #1, {x}\\n- 1e-5"\n'
    recipe = load(tmp_path, over)
    assert recipe.text.startswith("# Ours.\n# Written out by lidr: over.yaml (sha256 ")
    assert ", over base.yaml (sha256 " not in recipe.text.splitlines()[0]
    assert str(tmp_path) not in recipe.text
    alone = tmp_path / "alone.yaml"
    alone.write_text(recipe.text, encoding="utf-8")
    again = lidr.load_recipe(alone)
    assert again.model_dump() == recipe.model_dump()
    assert again.provenance == recipe.provenance
    assert max(map(len, recipe.text.splitlines())) <= 120


def test_a_recipe_without_a_base_keeps_its_text_to_the_letter(tmp_path):
    write(tmp_path, HEAD)
    assert lidr.load_recipe(tmp_path / "base.yaml").text == BASE


def test_the_resolved_text_holds_base_and_overrides(tmp_path):
    path = write(tmp_path, HEAD)
    (tmp_path / "all.yaml").write_text(resolved_text(path, ["seed=9", "chain.train.epochs=2"]), encoding="utf-8")
    data = read_yaml(tmp_path / "all.yaml").data
    assert (data["seed"], data["chain"][3]["train"]["epochs"], data["name"]) == (9, 2, "wasps")
    assert "base" not in data


@pytest.mark.parametrize("value", ["1e-5", "0:8", "no", "a #b", "", " x", "a: b", "null", "x, y", "-", "ü", "*x"])
def test_any_text_is_written_so_that_it_reads_back(tmp_path, value):
    from lidr.recipe.dump import written_out

    data = {
        "a": value,
        "b": [value, 1e-6, True, None],
        "c": {"d": value, value or "k": {}},
        "e": [{"f": [], "g": value}],
    }
    (tmp_path / "x.yaml").write_text(written_out(data), encoding="utf-8")
    assert read_yaml(tmp_path / "x.yaml").data == data


def test_a_text_is_read_back_once_however_deep_it_stands(monkeypatch):
    from lidr.recipe import dump

    read = Counter[str]()
    monkeypatch.setattr(dump, "read_value", lambda text: read.update([text]) or read_value(text))
    data = "a text that stands nowhere else"
    for _ in range(6):
        data = {"k": [data, {"long": "x" * 130}]}
    dump._reads_back.cache_clear()
    dump.written_out(data)
    assert set(read.values()) == {1}


def test_a_run_keeps_the_whole_recipe_beside_its_results(tmp_path):
    from tests.scripted import write_world

    base = write_world(tmp_path / "world")
    over = tmp_path / "over.yaml"
    over.write_text(f"base: {base}\nname: mine\nchain: [pair: {{dominant_pairs: none}}]\n")
    planned = lidr.run(lidr.load_recipe(over))
    kept = lidr.load_recipe(planned.version_folder / "recipe.yaml")
    assert [step.state for step in lidr.plan(kept).steps] == ["cached"] * len(planned.steps)
