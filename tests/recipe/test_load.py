from __future__ import annotations

from pathlib import Path

import pytest

import lidr
from lidr.errors import RecipeError
from lidr.steps import CHAIN_STEPS

GOOD = """\
schema: 1
name: bees
version: 0.1.0
languages: {dominant: en, others: [es]}
policy: {model: ./model}
prompts: {source: prompts, license: cc0-1.0}
chain:
  - generate: {max_tokens: 64}
  - translate: {max_tokens: 80}
  - pair: {drop: joint}
  - train: {learning_rate: 1e-5, batch: 8, beta: {value: 0.1, provenance: follow-up, source: "ReML-AI/LaCoMSA"}}
iterations:
  - prompts: 0:8
"""


def load(tmp_path: Path, text: str, *overrides: str):
    path = tmp_path / "r.yaml"
    path.write_text(text, encoding="utf-8")
    return lidr.load_recipe(path, overrides=overrides)


def problems(tmp_path: Path, text: str, *overrides: str) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        load(tmp_path, text, *overrides)
    return [line.removeprefix(str(tmp_path) + "/") for line in caught.value.problems]


def test_a_good_recipe_is_read_with_its_types(tmp_path):
    recipe = load(tmp_path, GOOD)
    assert [step.name for step in recipe.chain] == ["generate", "translate", "pair", "train"]
    assert recipe.chain[3].config.learning_rate == 1e-5
    assert (recipe.iterations[0].start, recipe.iterations[0].stop) == (0, 8)
    assert recipe.chain[3].config.beta == 0.1
    assert recipe.provenance["chain[3].train.beta"].provenance == "follow-up"


def test_a_slice_and_the_word_no_are_not_read_as_numbers_or_truth_values(tmp_path):
    assert load(tmp_path, GOOD.replace("0:8", "8:16")).iterations[0].stop == 16
    assert problems(tmp_path, GOOD.replace("[es]", "[no]")) == [
        'r.yaml:4:36 languages.others[0]: unknown language code "no"; did you mean "nb"? '
        "(ISO 639-1, two letters: ar, bg, bn, ca, ...)"
    ]


@pytest.mark.parametrize(
    ("written", "meant"),
    [("IT", "it"), ("it-IT", "it"), ("Italian", "it"), ("ita", "it"), ("no", "nb"), ("zh-Hans", "zh")],
)
def test_a_language_that_is_written_otherwise_is_refused_with_the_code_that_is_meant(tmp_path, written, meant):
    (said,) = problems(tmp_path, GOOD.replace("[es]", f"[{written}]"))
    assert f'unknown language code "{written}"; did you mean "{meant}"?' in said


def test_a_misspelt_value_says_where_what_is_allowed_and_what_was_meant(tmp_path):
    assert problems(tmp_path, GOOD.replace("joint", "jont")) == [
        'r.yaml:10:12 chain[2].pair.drop: unknown value "jont"; did you mean "joint"? (joint, independent)'
    ]


def test_a_misspelt_key_says_which_keys_there_are(tmp_path):
    (problem,) = problems(tmp_path, GOOD.replace("{drop:", "{dorp:"))
    assert problem.startswith(
        'r.yaml:10:12 chain[2].pair.dorp: unknown key "dorp"; did you mean "drop"? (dominant_pairs,'
    )


def test_a_misspelt_step_says_which_steps_there_are(tmp_path):
    (problem,) = problems(tmp_path, GOOD.replace("- pair:", "- pear:"))
    assert problem == (
        'r.yaml:10:5 chain[2].pear: unknown step "pear"; did you mean "pair"? ' + f"({', '.join(CHAIN_STEPS)})"
    )


def test_all_problems_are_shown_at_once_in_file_order(tmp_path):
    text = GOOD.replace("joint", "jont").replace("max_tokens: 64", "max_tokens: many").replace("0.1.0", "one")
    text = text.replace("license: cc0-1.0", "licence: cc0-1.0")
    found = problems(tmp_path, text)
    assert [line.split(" ")[1].rstrip(":") for line in found] == [
        "version",
        "prompts.license" if "license" in found[1].split(" ")[1] else "prompts.licence",
        "prompts.licence" if "licence" in found[2].split(" ")[1] else "prompts.license",
        "chain[0].generate.max_tokens",
        "chain[2].pair.drop",
    ]
    assert 'r.yaml:3:1 version: found "one": Bump it when anything above `runtime` changes.' in found
    assert any(
        line.endswith(
            'generate.max_tokens: found "many" (text); input should be a valid integer, '
            "unable to parse string as an integer"
        )
        for line in found
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "others: [es]",
            "others: [en]",
            'r.yaml:4:1 languages: the dominant language "en" also stands in others: take it',
        ),
        ("others: [es]", "others: [es, es]", "r.yaml:4:1 languages: a language stands twice in others: es, es"),
        ("others: [es]", "others: [spanish]", 'unknown language code "spanish"; did you mean "es"?'),
        ("./model", "model", '"model" is no reference; allowed forms: org/name[@rev], ./folder'),
        ("./model", "org/m, revision: v1", 'revision "v1" is no 40-hex commit; write `revision: unpinned` and run'),
        ("./model", "./m, revision: unpinned", "revision belongs to a Hub model (org/name); take it out"),
        (
            "./model",
            "org/m, trust_remote_code: true",
            "trust_remote_code needs a pinned revision: code that can change",
        ),
        ("0:8", '"8:8"', 'prompts "8:8" selects nothing: START must be below STOP'),
        ("0:8", "first", 'found "first": Which prompts, by position'),
        (
            "  - prompts: 0:8",
            "  - prompts: 0:8\n  - prompts: 4:9",
            "iterations[1].prompts 4:9 repeats prompts of an earlier",
        ),
        ("schema: 1", "schema: 2", "r.yaml:1:1 schema: unknown value 2; (1)"),
        ("name: bees\n", "", "r.yaml:1:1 name: missing; it must be given (Name of the run in the store"),
        ("name: bees", "name: ../bees", 'r.yaml:2:1 name: found "../bees": Name of the run in the store'),
        ("learning_rate: 1e-5", "learning_rate: .inf", 'found ".inf"'),
        ("learning_rate: 1e-5, batch", "batch", "train.learning_rate: missing; it must be given"),
        (
            "batch: 8",
            "batch: 8, reference: adapter_off",
            "reference: adapter_off needs an adapter: add lora, or use previous",
        ),
        (
            "provenance: follow-up",
            "provenance: paper2",
            'unknown value "paper2"; did you mean "paper"? (paper, authors-code,',
        ),
        ("  - pair: {drop: joint}", "  - [pair]", "each entry of the chain is one step with its settings, as"),
        ("  - pair: {drop: joint}", "  - pair\n  - pair", 'the step "pair" stands twice; each step has one folder'),
        ("name: bees", "name: bees\nname: wasps", "r.yaml:3:1 name: this key stands twice; keep one"),
        (
            "name: bees",
            "name: !!python/name:os.system x",
            "the tag tag:yaml.org,2002:python/name:os.system is not allowed",
        ),
        ("name: bees", "name: &x bees\nversion: *x", "an alias (*) is not allowed; write the value again"),
        ("name: bees", "name: bees\ntext: x", 'text: unknown key "text"; did you mean'),
        ("./model", '"openai:m@http://u:p@h/v1"', "an openai: reference must hold no user name, password or query"),
        (
            "./model",
            '"openai:m@http://h/v1"',
            "policy.model is a server: write runtime: {engine: openai}, not transformers",
        ),
        (
            "schema: 1",
            "schema: 1\nruntime: {engine: openai}",
            "runtime.engine openai needs policy.model: openai:MODEL@URL",
        ),
        ("./model", "dist:polars/METADATA", "is no reference; allowed forms"),
        ("./model", "org/m@v1, revision: unpinned", "org/m@v1 and revision both name a revision; keep one"),
        ("name: bees", f"name: {'[' * 5000}", "r.yaml: lists or mappings nested too deep; no recipe is"),
        ("name: bees", "name: [bees", "r.yaml:3:8 not YAML: expected ',' or ']', but got ':'"),
    ],
)
def test_each_mistake_has_its_message(tmp_path, old, new, message):
    assert old in GOOD
    found = problems(tmp_path, GOOD.replace(old, new))
    assert any(message in line for line in found), found


def test_no_file_an_empty_file_and_a_list_are_said(tmp_path):
    with pytest.raises(RecipeError, match=r"no such recipe; `lidr ls` lists those that ship with lidr"):
        lidr.load_recipe(tmp_path / "none.yaml")
    assert "the file is empty; `lidr cp quickstart" in problems(tmp_path, "")[0]
    assert problems(tmp_path, "- a") == ["r.yaml:1:1 a recipe is a mapping of keys to values, not a list"]
    (tmp_path / "l.yaml").write_bytes(b"name: \xff")
    with pytest.raises(RecipeError, match="not UTF-8 at byte 6; save the file as UTF-8"):
        lidr.load_recipe(tmp_path / "l.yaml")


def test_set_replaces_values_in_the_chain_by_step_name_and_in_lists_by_number(tmp_path):
    recipe = load(tmp_path, GOOD, "chain.train.epochs=2", "iterations[0].prompts=2:4", "runtime.store=/tmp/x", "seed=7")
    assert recipe.chain[3].config.epochs == 2
    assert recipe.iterations[0].prompts == "2:4"
    assert (recipe.runtime.store, recipe.seed) == ("/tmp/x", 7)


def test_numbers_are_those_of_yaml_1_2(tmp_path):
    assert load(tmp_path, GOOD + "seed: 010\n").seed == 10
    assert load(tmp_path, GOOD + "seed: 089\n").seed == 89
    revision = "12e4" * 10
    assert load(tmp_path, GOOD.replace("./model", f"org/m, revision: {revision}")).policy.pinned == revision


def test_set_gives_a_step_of_the_chain_new_settings_also_one_without_any(tmp_path):
    assert load(tmp_path, GOOD, "chain.pair={drop: independent}").chain[2].config.drop == "independent"
    bare = GOOD.replace("  - pair: {drop: joint}", "  - pair")
    assert load(tmp_path, bare, "chain.pair.drop=independent").chain[2].config.drop == "independent"


@pytest.mark.parametrize("value", ["[", "*x", "%a", "@you", "a: b: c", "!!python/name:os x"])
def test_a_set_value_that_is_no_yaml_is_refused(tmp_path, value):
    (problem,) = problems(tmp_path, GOOD, f"seed={value}")
    assert problem.startswith(f'--set "seed={value}": the value is not YAML')


def test_a_folder_and_a_wrapped_top_level_are_no_recipe(tmp_path):
    with pytest.raises(RecipeError, match="cannot be read \\(Is a directory\\); give a recipe file"):
        lidr.load_recipe(tmp_path)
    assert any("schema: missing" in line for line in problems(tmp_path, "value: 1"))


def test_a_huge_slice_is_checked_at_once(tmp_path):
    assert load(tmp_path, GOOD.replace("0:8", "0:1000000000")).iterations[0].stop == 1_000_000_000


def test_a_set_that_hits_nothing_is_refused(tmp_path):
    assert problems(tmp_path, GOOD, "seed") == ['--set "seed": write key=value, as --set chain.train.epochs=2']
    assert problems(tmp_path, GOOD, "chain.trian.epochs=2") == [
        '--set "chain.trian.epochs=2": there is no chain.trian in the recipe'
    ]
