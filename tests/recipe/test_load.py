from __future__ import annotations

import time
from pathlib import Path

import pytest

import lidr
from lidr.errors import RecipeError
from lidr.recipe import problems_at, yaml_positions
from lidr.recipe.yaml_positions import MOST_BYTES, read_yaml
from lidr.resources import shared
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


@pytest.mark.parametrize(
    ("value", "there"),
    [("model: ./model", 'model: "org/na\\nme x"'), ("others: [es]", 'others: ["e\\ns"]'), ("./model", '"org/x y\\n"')],
)
def test_a_value_with_a_line_break_is_one_problem(tmp_path, value, there):
    (said,) = problems(tmp_path, GOOD.replace(value, there))
    assert said.startswith("r.yaml:")


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("languages.others=es,de", "write a list: [es,de]; in a shell: --set 'languages.others=[es,de]'"),
        ("chain.pair.accept=ok", "write a list: [ok]; in a shell: --set 'chain.pair.accept=[ok]'"),
        ("policy.model=1", 'write it as text, in quotes: "1"; in a shell: --set \'policy.model="1"\''),
        ("version=1", 'a version has three numbers, in quotes: "1.0.0"; in a shell: --set \'version="1.0.0"\''),
        ("system_prompt=Be brief: yes", 'write it as text, in quotes: "Be brief: yes"; in a shell: --set \'system_p'),
        ("policy.model=[a", "quote it: key='\"text\"', or, a list, key='[a, b]'"),
        ("chain.generat.max_tokens=3", 'there is no chain.generat in the recipe; did you mean "generate"?'),
        ("chain.generat=3", 'there is no chain.generat in the recipe; did you mean "generate"?'),
        ("chain[9].pair.drop=x", "there is no chain[9] in the recipe; its steps: generate, translate, pair, train"),
        ("generate.max_tokens=3", "there is no generate in the recipe; did you mean chain.generate.max_tokens?"),
    ],
)
def test_what_set_gets_wrong_is_said_as_a_shell_takes_it(tmp_path, override, said):
    (found,) = problems(tmp_path, GOOD, override)
    assert said in found


def test_a_slice_and_the_word_no_are_not_read_as_numbers_or_truth_values(tmp_path):
    assert load(tmp_path, GOOD.replace("0:8", "8:16")).iterations[0].stop == 16
    (said,) = problems(tmp_path, GOOD.replace("[es]", "[no]"))
    assert said.startswith(
        'r.yaml:4:36 languages.others[0]: unknown language code "no"; did you mean "nb" (Norwegian Bokmål)? '
        "(ISO 639-1, two letters, of which lidr has ar, bg, bn, "
    )


@pytest.mark.parametrize(
    ("written", "meant"),
    [("IT", "it"), ("it-IT", "it"), ("Italian", "it"), ("ita", "it"), ("no", "nb"), ("zh-Hans", "zh")],
)
def test_a_language_that_is_written_otherwise_is_refused_with_the_code_that_is_meant(tmp_path, written, meant):
    (said,) = problems(tmp_path, GOOD.replace("[es]", f"[{written}]"))
    assert f'unknown language code "{written}"; did you mean "{meant}" (' in said


def test_a_misspelt_value_says_where_what_is_allowed_and_what_was_meant(tmp_path):
    assert problems(tmp_path, GOOD.replace("joint", "jont")) == [
        'r.yaml:10:12 chain[2].pair.drop: unknown value "jont"; did you mean "joint"? (joint, independent)'
    ]


def test_a_misspelt_key_says_which_keys_there_are(tmp_path):
    (problem,) = problems(tmp_path, GOOD.replace("{drop:", "{dorp:"))
    assert problem.startswith(
        'r.yaml:10:12 chain[2].pair.dorp: unknown key "dorp"; did you mean "drop"? (from, by, select,'
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
    said = 'generate.max_tokens: found "many" (text); a whole number is wanted (Longest answer, tokens'
    assert any(said in line for line in found)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "others: [es]",
            "others: [en]",
            'r.yaml:4:1 languages: the dominant language "en" also stands in others: take it',
        ),
        ("others: [es]", "others: [es, es]", "r.yaml:4:1 languages: a language stands twice in others: es, es"),
        ("others: [es]", "others: [spanish]", 'unknown language code "spanish"; did you mean "es" (Spanish)?'),
        ("others: [es]", "others: [sp]", 'unknown language code "sp"; did you mean "es" (Spanish)?'),
        ("others: [es]", "others: [JP]", 'unknown language code "JP"; did you mean "ja" (Japanese)?'),
        ("others: [es]", "others: [spansh]", 'unknown language code "spansh"; did you mean "es" (Spanish)?'),
        ("others: [es]", "others: [hr]", 'unknown language code "hr", Croatian (ISO 639-1'),
        ("./model", "model", '"model" is no reference; allowed forms: org/name[@rev], ./folder'),
        ("./model", "org/m, revision: v1", 'revision "v1" is no 40-hex commit; write `revision: unpinned` and run'),
        ("./model", "./m, revision: unpinned", "revision belongs to a Hub model (org/name) or a server; take it out"),
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
        ("iterations:", "steps:", "prompts_each: N}, of which later ones may never be made)"),
        ("others: [es]", "others: []", "others: 0 entries; at least 1 must be given"),
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
        ("name: bees", "name: bees\ntext: x", 'text: unknown key "text"; (schema, name, version, languages,'),
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
        ("name: bees", f"name: {'[' * 150}{']' * 150}", "r.yaml: lists or mappings nested too deep; no recipe is"),
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


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["chain=[{generate: {max_tokens: many}}, pear]"], ['--set "chain=[{generate: {max_tokens: many}}, pear]" '
         'chain[0].generate.max_tokens: found "many"', '"chain=[{generate: {max_tokens: many}}, pear]" chain[1].pear']),
        (["chain.pair={drop: jont}"], ['--set "chain.pair={drop: jont}" chain[2].pair.drop: unknown value "jont"']),
        (["chain[2]={pair: {drop: jont}}"], ['--set "chain[2]={pair: {drop: jont}}" chain[2].pair.drop: unknown']),
        (["languages={dominant: en,\n   others: [xx]}"], ['--set "languages={dominant: en, others: [xx]}" lang']),
        (["runtime.micro_batch=0"], ['--set "runtime.micro_batch=0" runtime.micro_batch: found 0']),
        (["prompts={source: x}", "prompts.license=3"], ['--set "prompts.license=3" prompts.license: found 3']),
        (["prompts={source: 1}", "prompts.license=x"], ['--set "prompts={source: 1}" prompts.source: found 1']),
        (["name=Bees", "policy={}"], ['--set "name=Bees" name: found "Bees"', '--set "policy={}" policy.model: m']),
        (["chain.train.batch=4"], []),
    ],
)  # fmt: skip
def test_a_problem_in_a_value_of_set_names_the_set_and_no_line_of_the_file(tmp_path, overrides, said):
    text = GOOD.replace("license: cc0-1.0", "licence: cc0-1.0") if not said else GOOD
    found = problems(tmp_path, text, *overrides)
    if not said:  # what stands in the file keeps its line
        assert all(line.startswith("r.yaml:6:") for line in found)
    else:
        assert len(found) == len(said)
        assert all(line.startswith("--set") and part in line for line, part in zip(found, said, strict=True)), found


def test_a_problem_that_is_found_later_names_the_set_too(tmp_path):
    recipe = load(tmp_path, GOOD, override := "chain.generate={max_tokens: 8}")
    (problem,) = problems_at(recipe, [override], [(("chain", 0, "generate", "n"), "no")])
    assert (problem.file, problem.line, problem.column) == (f'--set "{override}"', None, None)
    long = f"system_prompt={'x' * 400}"
    (problem,) = problems_at(recipe, [long], [(("system_prompt",), "no")])
    assert problem.file.endswith('xxx..."')
    assert len(problem.file) < 100


@pytest.mark.parametrize("value", ["[", "*x", "%a", "@you", "a: b: c", "!!python/name:os x"])
def test_a_set_value_that_is_no_yaml_is_refused(tmp_path, value):
    (problem,) = problems(tmp_path, GOOD, f"seed={value}")
    assert problem.startswith(f'--set "seed={value}": the value is not YAML')


def test_a_folder_and_a_wrapped_top_level_are_no_recipe(tmp_path):
    with pytest.raises(RecipeError, match="cannot be read \\(Is a directory\\); give a recipe file"):
        lidr.load_recipe(tmp_path)
    assert any("schema: missing" in line for line in problems(tmp_path, "value: 1"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("max_tokens: 64", "max_tokens: true", "generate.max_tokens: found true (yes or no); a whole number is wanted"),
        ("max_tokens: 64", 'max_tokens: "64"', 'found "64" (text); a whole number is wanted, without quotes: 64'),
        ("max_tokens: 64", "max_tokens: 6.5", "max_tokens: found 6.5 (a number); a whole number is wanted"),
        ("max_tokens: 64", "max_tokens: {value: true}", "generate.max_tokens: found true (yes or no); a whole number"),
        ("batch: 8", "batch: 8, epochs: false", "train.epochs: found false (yes or no); a number is wanted"),
        ("1e-5", "true", "train.learning_rate: found true (yes or no); a number is wanted"),
        ("1e-5", '"1e-5"', 'learning_rate: found "1e-5" (text); a number is wanted, without quotes: 1e-5'),
        (
            "batch: 8",
            "batch: 8, lora: {peft: {rank_pattern: {q: true}}}",
            "found true (yes or no); a whole number is wanted",
        ),
        ("name: bees", "name: bees\nseed: true", "r.yaml:3:1 seed: found true (yes or no); a whole number is wanted"),
        ("name: bees", 'name: bees\nruntime: {replicas: "2"}', 'replicas: found "2" (text); a whole number is wanted'),
        ("schema: 1", "schema: true", "schema: found true (yes or no); a whole number is wanted"),
        (
            "name: bees",
            "name: bees\nruntime: {push: perhaps}",
            'runtime.push: found "perhaps" (text); true or false is wanted (',
        ),
    ],
)
def test_neither_a_switch_nor_a_text_is_a_number(tmp_path, old, new, message):
    assert old in GOOD
    found = problems(tmp_path, GOOD.replace(old, new))
    assert any(message in line for line in found), found


def test_numbers_from_set_are_numbers_and_a_whole_one_does_for_any(tmp_path):
    recipe = load(tmp_path, GOOD, "chain.train.batch=16", "chain.train.learning_rate=1", "runtime.replicas=all")
    assert (recipe.chain[3].config.batch, recipe.chain[3].config.learning_rate) == (16, 1.0)
    assert recipe.runtime.replicas == "all"
    assert load(tmp_path, GOOD, "chain.generate.max_tokens=1e3").chain[0].config.max_tokens == 1000
    (problem,) = problems(tmp_path, GOOD, "chain.train.batch=true")
    assert (
        problem
        == '--set "chain.train.batch=true" chain[3].train.batch: found true (yes or no); a whole number is wanted '
        "(Pairs in one optimiser step.)"
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{drop: joint}", "joint", 'pair: found "joint" (text); settings are wanted, as {from: ...}; of from, by,'),
        ("name: bees", "name: bees\nruntime: 3", "found 3 (a whole number); settings are wanted, as {engine: ...}"),
        ("{source: prompts, license: cc0-1.0}", "prompts", 'prompts: found "prompts" (text); settings are wanted'),
        ("batch: 8", "batch: 8, lora: true", "train.lora: found true (yes or no); settings are wanted, as {rank: ...}"),
        ("batch: 8", "batch: 8, trl: 1", "train.trl: found 1 (a whole number); a mapping of names to values is wanted"),
        ("  - prompts: 0:8", "  - 0:8", 'iterations[0]: found "0:8" (text); settings are wanted, as {prompts: ...}'),
        ("  - train: {", "  - score: {language: 1}\n  - train: {",
         "score.language: found 1 (a whole number); settings are wanted, and it has none: write {}"),
        ("  - train: {", "  - score: {gold:}\n  - train: {",
         "score.gold: gold is named without its settings; write gold: {}"),
    ],
)  # fmt: skip
def test_where_settings_are_wanted_a_single_value_is_answered_with_their_names(tmp_path, old, new, message):
    assert old in GOOD
    found = problems(tmp_path, GOOD.replace(old, new))
    assert any(message in line for line in found), found
    assert not any("instance of" in line or "dictionary" in line for line in found)


def test_a_text_where_a_list_of_settings_is_wanted_is_answered_with_what_can_be_written(tmp_path):
    (problem,) = problems(tmp_path, GOOD, "iterations=0:2")
    assert 'iterations: found "0:2" (text); write a list: [{prompts: "0:2"}]; in a shell: --set' in problem
    advice = problem.partition("write a list: ")[2].partition(";")[0]
    assert load(tmp_path, GOOD, f"iterations={advice}").iterations[0].stop == 2


def test_a_huge_slice_is_checked_at_once(tmp_path):
    assert load(tmp_path, GOOD.replace("0:8", "0:1000000000")).iterations[0].stop == 1_000_000_000


def test_a_set_that_hits_nothing_is_refused(tmp_path):
    assert problems(tmp_path, GOOD, "seed") == ['--set "seed": write key=value, as --set chain.train.epochs=2']
    assert problems(tmp_path, GOOD, "chain.trian.epochs=2") == [
        '--set "chain.trian.epochs=2": there is no chain.trian in the recipe; did you mean "train"?'
    ]


def test_a_file_that_is_too_large_for_a_recipe_is_refused_unread(tmp_path):
    padded = GOOD + "#" * (MOST_BYTES - len(GOOD) - 1) + "\n"
    assert load(tmp_path, padded).name == "bees"
    assert problems(tmp_path, padded + "\n") == [
        "r.yaml: more than 256,000 bytes, the most that a recipe file has; is it the file that was meant?"
    ]
    with pytest.raises(RecipeError, match="/dev/zero: more than 256,000 bytes"):
        lidr.load_recipe("/dev/zero")


def with_iterations(count: int, *more: str) -> str:
    slices = [*(f"{k}:{k + 1}" for k in range(count)), *more]
    return GOOD.replace("  - prompts: 0:8\n", "".join(f"  - prompts: {one}\n" for one in slices))


def test_the_number_of_iterations_is_limited(tmp_path):
    assert len(load(tmp_path, with_iterations(1000)).iterations) == 1000
    assert problems(tmp_path, with_iterations(1001)) == [
        "r.yaml:12:1 iterations: 1,001 entries; at most 1,000 are allowed"
    ]


@pytest.mark.parametrize("again", ["0:1", "3:4", "2:9", "0:99", "9:11", "7:8"])
def test_prompts_of_any_earlier_iteration_are_told(tmp_path, again):
    (problem,) = problems(tmp_path, with_iterations(10, "20:30", again, "40:50"))
    assert f"iterations[11].prompts {again} repeats prompts of an earlier iteration" in problem
    assert len(load(tmp_path, with_iterations(10, "20:30", "10:20", "30:31", "11000:12000")).iterations) == 14


def test_reading_a_recipe_grows_as_its_iterations_do(tmp_path):
    def seconds(count: int) -> float:
        times = []
        for _ in range(3):
            began = time.process_time()
            load(tmp_path, with_iterations(count))
            times.append(time.process_time() - began)
        return min(times)

    assert seconds(1000) < 8 * seconds(250)


@pytest.mark.parametrize(
    ("written", "meant"), [("no", "false"), ("off", "false"), ('"False"', "false"), ("yes", "true"), ("0", "false")]
)
def test_a_switch_that_no_template_reads_as_true_or_false_is_refused(tmp_path, written, meant):
    text = GOOD.replace("policy: {", f"policy: {{chat_template: {{kwargs: {{enable_thinking: {written}}}}}, ")
    (problem,) = problems(tmp_path, text)
    assert "kwargs.enable_thinking: " in problem
    assert problem.endswith(f"which a template does not read as {meant}: write {meant}")


def test_libyaml_reads_a_recipe_as_pyyaml_does_value_by_value_and_place_by_place(monkeypatch):
    recipes = sorted(path for path in shared("recipes").rglob("*.yaml"))
    quick = [yaml_positions._composed(path.read_text(encoding="utf-8")) for path in recipes]
    assert sum(type(root.start_mark).__module__ == "yaml._yaml" for root in quick) > len(recipes) // 2, "none is quick"
    by_libyaml = [read_yaml(path) for path in recipes]
    monkeypatch.setattr(yaml_positions, "_Quick", yaml_positions._Loader)
    assert [read_yaml(path) for path in recipes] == by_libyaml
