"""`lidr validate`: every mistake that needs no model, at once, with its line; as objects; of several files."""

from __future__ import annotations

import json
import re

import pytest

from lidr.cli.main import main
from lidr.store import write_lock
from tests.scripted import write_world

NO_POLICY = "no step before it trains a policy, so there is none to publish; leave it out (policy: null), or put train "


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    monkeypatch.delenv("LIDR_STORE", raising=False)
    return write_world(tmp_path)


def problems(capsys, *words: str) -> list[dict]:
    assert main(["validate", *words, "--json"]) == 2
    return json.loads(capsys.readouterr().out)["problems"]


def test_files_ids_and_chain_are_checked_at_once_each_with_its_line_and_a_caret(recipe, tmp_path, capsys):
    lines = (tmp_path / "prompts" / "es.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "prompts" / "es.jsonl").write_text("".join(lines[1:]))
    text = recipe.read_text().replace("pair: {drop: joint}", "pair: {translation_type: {ids: nowhere.txt}}")
    recipe.write_text(text.replace("  - translate: {max_tokens: 80, check_language: false}\n", ""))
    assert main(["validate", str(recipe)]) == 2
    err = capsys.readouterr().err
    assert '"es" lacks 1: p0' in err
    assert "no file nowhere.txt; give a text file with one prompt id a line" in err
    assert '"pair" needs translations, and no step before it makes them; put translate before it' in err
    assert f"{recipe}: 3 problems" in err
    shown = err.splitlines()
    carets = [i for i, line in enumerate(shown) if line.endswith("^")]
    assert any(shown[i - 1][shown[i].index("^") :].startswith("ids: nowhere.txt") for i in carets)


def test_problems_are_objects_in_json(recipe, capsys):
    recipe.write_text(recipe.read_text().replace("drop: joint", "drop: jont"))
    (one,) = problems(capsys, str(recipe))
    assert one["path"] == "chain[2].pair.drop"
    assert (one["found"], one["allowed"], one["hint"]) == ("jont", ["joint", "independent"], "joint")
    line = recipe.read_text().splitlines()[one["line"] - 1]
    assert line[one["column"] - 1 :].startswith("drop: jont")


@pytest.mark.parametrize(
    ("change", "path", "said"),
    [
        (("answers.jsonl", "none.jsonl"), "runtime.answers", "give a JSON-lines file of canned answers"),
        (("/prompts,", "/nowhere,"), "prompts.source", "give a folder with one LANG.jsonl for each language"),
        (('"4:8"', '"4:9"'), "iterations[1].prompts", "prompts 4:9 go beyond the file: it has 8 prompts"),
        (("engine: scripted", "push: true, hub: embedded, engine: scripted"), None, None),
    ],
)
def test_what_is_not_there_is_said_before_a_run(recipe, capsys, change, path, said):
    recipe.write_text(recipe.read_text().replace(*change))
    if path is None:
        assert main(["validate", str(recipe)]) == 0
        return
    found = problems(capsys, str(recipe))
    assert any(said in one["text"] for one in found), found
    assert all(one["line"] for one in found)


def test_a_repository_name_that_a_hub_refuses_is_a_problem(recipe, capsys):
    recipe.write_text(recipe.read_text().replace("iterations:", "  - publish: {pairs: nobody}\niterations:"))
    (one,) = problems(capsys, str(recipe))
    assert one["path"] == "chain[4].publish.pairs"
    assert "a repository has the form org/name" in one["text"]


TRAINED = "{policy: a/policy, adapter_only: true}"


@pytest.mark.parametrize(
    ("steps", "path", "said"),
    [
        ("  - publish: {pairs: a/pairs, policy: a/policy}\n", "chain[4].publish.policy", NO_POLICY),
        ("  - measure: {}\n  - publish: {policy: a/policy}\n", "chain[5].publish.policy", NO_POLICY),
        (
            "  - publish: {policy: a/policy}\n  - train: {learning_rate: 1.0e-5, batch: 4}\n",
            "chain[4].publish.policy",
            NO_POLICY,
        ),
        (
            f"  - train: {{learning_rate: 1.0e-5, batch: 4}}\n  - publish: {TRAINED}\n",
            "chain[5].publish.adapter_only",
            "; set it to false ",
        ),
        (f"  - train: {{learning_rate: 1.0e-5, batch: 4, lora: {{rank: 8}}}}\n  - publish: {TRAINED}\n", None, None),
        ("  - publish: {pairs: a/pairs, policy: null}\n", None, None),
    ],
)
def test_a_policy_that_the_chain_does_not_train_is_refused_where_it_would_be_published(
    recipe, capsys, steps, path, said
):
    recipe.write_text(recipe.read_text().replace("iterations:", f"{steps}iterations:"))
    if path is None:
        main(["validate", str(recipe)])
        assert not re.search(r"publish\.(policy|adapter_only):", capsys.readouterr().err)
        return
    found = problems(capsys, str(recipe))
    assert [said in one["text"] for one in found if one["path"] == path] == [True], found
    for command in ("plan", "run"):
        assert main([command, str(recipe)]) == 2
        assert said in capsys.readouterr().err


@pytest.mark.parametrize("policy", ["org/name", "org/name@v1", "org/name, revision: unpinned"])
def test_an_unpinned_model_is_a_note_and_no_mistake(recipe, capsys, policy):
    overrides = ("--set", f"policy={{model: {policy}}}", "--set", "runtime.engine=vllm")
    assert main(["validate", str(recipe), *overrides, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["problems"] == []
    said = [note["text"] for note in found["notes"] if note["path"] == "policy.model"]
    assert said == [
        "org/name is unpinned: `lidr lock RECIPE` fills its commit, --allow-unpinned takes the one that the Hub has now"
    ]


@pytest.mark.parametrize(("commit", "count"), [("", 0), (f"@{'a' * 40}", 0), ("", 1)])
def test_a_policy_whose_commit_is_known_has_no_note_about_it(recipe, tmp_path, capsys, commit, count):
    if not commit and not count:
        write_lock(tmp_path / "runs/scripted/0.1.0", {"org/name": "a" * 40})
    overrides = ("--set", f"policy.model=org/name{commit}", "--set", "runtime.engine=vllm")
    main(["validate", str(recipe), *overrides])
    assert capsys.readouterr().err.count("is unpinned") == count


def test_prompts_of_an_unpinned_data_set_are_a_note_at_their_source(recipe, capsys):
    source = ["--set", "prompts.source=org/prompts"]
    assert main(["validate", str(recipe), *source, "--json"]) == 0
    notes = {note["path"]: note["text"] for note in json.loads(capsys.readouterr().out)["notes"]}
    assert "datasets/org/prompts is no commit: `lidr lock RECIPE` writes" in notes["prompts.source"]
    assert "is no commit" not in validated(recipe, capsys, f"prompts.source=org/prompts@{'a' * 40}")


@pytest.mark.parametrize(
    ("settings", "card", "said"),
    [
        ("", "---\nlicense: mit\n---\n# A model\n", "(its README.md says mit, which is not taken unasked)"),
        ("", "# A model\n", "would be `other`; name it: policy_license: ID"),
        ("", "---\nlicense: [mit\n---\n", "would be `other`; name it: policy_license: ID"),
        (", policy_license: mit", "", None),
        (", license: {id: cc-by-4.0, reason: asked}", "", None),
    ],
)
def test_a_policy_whose_licence_nobody_says_is_noted_with_the_setting_and_what_its_card_says(
    recipe, tmp_path, capsys, settings, card, said
):
    (tmp_path / "model").mkdir()
    (tmp_path / "model/README.md").write_text(card)
    text = recipe.read_text().replace('"openai:canned@http://127.0.0.1:9"', str(tmp_path / "model"))
    recipe.write_text(text.replace("iterations:", f"  - publish: {{pairs: me/pairs{settings}}}\niterations:"))
    main(["validate", str(recipe), "--json"])
    notes = json.loads(capsys.readouterr().out)["notes"]
    found = [note for note in notes if note["path"] == "chain[4].publish.policy_license"]
    assert [said in note["text"] for note in found] == ([] if said is None else [True])
    assert all(recipe.read_text().splitlines()[note["line"] - 1].startswith("  - publish") for note in found)


@pytest.mark.parametrize("step", ["translate", "prompts.translate"])
def test_an_unpinned_translator_is_a_note_at_its_model(recipe, capsys, step):
    by = "max_tokens: 9, by: {model: org/mt, revision: unpinned, engine: vllm}"
    text = recipe.read_text()
    if step == "translate":
        text = text.replace("translate: {max_tokens: 80, check_language: false}", f"translate: {{{by}}}")
    else:
        text = text.replace("license: cc0-1.0", f"license: cc0-1.0, translate: {{{by}}}")
    recipe.write_text(text)
    assert main(["validate", str(recipe), "--json"]) == 0
    notes = {note["path"]: note["text"] for note in json.loads(capsys.readouterr().out)["notes"]}
    place = {"translate": "chain[1].translate.by.model"}.get(step, "prompts.translate.by.model")
    assert notes[place].startswith("org/mt is unpinned: `lidr lock RECIPE` fills its commit")


EVALUATED = "  - evaluate: {{tasks: [x_alpacaeval], languages: [de], data: [{folder}/rows]{more}}}\niterations:"


def evaluated(recipe, tmp_path, more: str) -> None:
    """Put an evaluation into the recipe, with rows for it."""
    (tmp_path / "rows/open_instructions").mkdir(parents=True)
    rows = '{"id": "a", "instruction": "Was?", "output": "Das.", "generator": "g"}\n'
    (tmp_path / "rows/open_instructions/de.jsonl").write_text(rows)
    step = EVALUATED.format(folder=tmp_path, more=more)
    recipe.write_text(recipe.read_text().replace("iterations:", step))


@pytest.mark.parametrize(
    ("judge", "path", "said"),
    [
        ("model: org/judge", "model", "org/judge is not pinned; write org/judge@COMMIT (40 hex digits)"),
        ("model: ./nowhere", "model", "no folder nowhere"),
        ("model: dist:no-such/judge.gguf", "model", "no-such"),
        ('model: "openai:j@http://127.0.0.1:9/v1", template: nowhere.txt', "template", "no file nowhere.txt"),
        (f"model: org/judge@{'a' * 40}", "model", None),
        ('model: "openai:j@http://127.0.0.1:9/v1"', "model", None),
    ],
)
def test_a_judge_that_plan_would_refuse_is_a_problem_at_its_setting(recipe, tmp_path, capsys, judge, path, said):
    evaluated(recipe, tmp_path, f", judge: {{{judge}}}")
    if said is None:
        assert main(["validate", str(recipe)]) == 0
        return
    (one,) = problems(capsys, str(recipe))
    assert said in one["text"]
    assert one["path"] == f"chain[4].evaluate.judge.{path}"


def test_x_alpacaeval_without_a_judge_is_a_note(recipe, tmp_path, capsys):
    evaluated(recipe, tmp_path, "")
    assert main(["validate", str(recipe), "--json"]) == 0
    (note,) = json.loads(capsys.readouterr().out)["notes"]
    assert note["path"] == "chain[4].evaluate.judge"
    assert note["text"].startswith("missing: the answers to X-AlpacaEval are kept and get no win rate")
    judged = "chain.evaluate.judge={model: 'openai:j@http://127.0.0.1:9/v1'}"
    for change in (judged, "chain.evaluate.tasks=[mgsm]"):
        main(["validate", str(recipe), "--set", change])
        assert "win rate" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("scorer", "path"),
    [
        ("reward_model: {model: org/name, revision: main}", "reward_model"),
        ("mt_quality: {max_tokens: 40, estimator: {model: org/name, revision: main}}", "mt_quality.estimator"),
        ("implicit: {reference: org/name, revision: main}", "implicit"),
    ],
)
def test_what_is_no_commit_of_a_scorers_model_is_a_problem_at_its_place(recipe, capsys, scorer, path):
    steps = f"  - score: {{{scorer}}}\n  - pair: {{from: scores}}\n"
    start, end = (recipe.read_text().index(name) for name in ("  - translate:", "iterations:"))
    recipe.write_text(recipe.read_text()[:start] + steps + recipe.read_text()[end:])
    (one,) = problems(capsys, str(recipe))
    assert one["path"] == f"chain[1].score.{path}.revision"
    assert one["text"].startswith('revision "main" is no 40-hex commit; write `revision: unpinned` and run')
    assert one["line"] == 10


def test_several_files_are_checked_in_one_go(recipe, tmp_path, capsys):
    bad = tmp_path / "bad.yaml"
    bad.write_text("schema: 1\nname: a: b\n")
    assert main(["validate", str(bad), str(recipe)]) == 2
    out, err = capsys.readouterr()
    assert f"{recipe}: valid." in out
    assert f"{bad}:2:8 not YAML: mapping values are not allowed here; a colon and a space make a key" in err
    assert "    2 | name: a: b" in err
    assert main(["validate", str(bad), str(recipe), "--json"]) == 2
    found = json.loads(capsys.readouterr().out)
    assert [one["valid"] for one in found["recipes"]] == [False, True]


@pytest.mark.parametrize(
    ("change", "path", "said"),
    [
        (("others: [es, de]", "others: de"), "languages.others", 'found "de" (text); write a list: [de]'),
        (("version: 0.1.0", "version: 0.2"), "version", 'a version has three numbers, in quotes: "0.2.0"'),
        (("others: [es, de]", "others: [es,, de]"), "", "a comma too many: take one out"),
        (("/prompts,", "/promts,"), "prompts.source", "; did you mean "),
        (("engine: scripted", "engine: openai"), None, None),
        (("engine: scripted", "engine: transformers"), "policy.model", "policy.model is a server: write runtime"),
        (("openai:canned@http://127.0.0.1:9", "${MODEL_DIR}"), "policy.model", "variables are not filled in here"),
    ],
)
def test_what_is_often_mistaken_is_said_at_its_place_once_with_what_to_write(recipe, capsys, change, path, said):
    recipe.write_text(recipe.read_text().replace(*change))
    if path is None:
        assert main(["validate", str(recipe)]) == 0
        return
    (one,) = problems(capsys, str(recipe))
    assert (one["path"], said in one["text"]) == (path, True), one
    assert one["line"] > 2


@pytest.mark.parametrize(
    ("change", "marked"),
    [
        (("drop: joint", "drop: joint, sigmas: 1"), ["sigmas: 1"]),
        (("drop: joint", "from: scores, select: random, length_control: zero_mean"), ["length_control: zero_mean"]),
        (("epochs: 1", "epochs: 1, trl: {beta: 1, optimm: x, padding_free: true}"), ["beta:", "optimm:", "padding_f"]),
        (("engine: scripted", "engine: scripted, vllm: {seed: 1, model: x}"), ["seed: 1", "model: x"]),
        (("max_tokens: 64", "max_tokens: 64, n: 3"), ["n: 3"]),
        (("policy: {", "policy: {chat_template: {kwargs: {tools: 1, enable_x: no}}, "), ["tools: 1", "enable_x: no"]),
        (("policy: {", "policy: {openai: {body: {model: x, n: 1}}, "), ["model: x", "n: 1"]),
    ],
)
def test_the_caret_stands_below_the_key_that_is_wrong_and_all_wrong_keys_are_said(recipe, capsys, change, marked):
    text = recipe.read_text()
    if "trl" in change[1]:
        step = "  - train: {learning_rate: 1.0e-5, batch: 1, epochs: 1}\niterations:"
        text = text.replace("iterations:", step, 1)
    assert change[0] in text
    recipe.write_text(text.replace(*change, 1))
    lines = recipe.read_text().splitlines()
    found = problems(capsys, str(recipe))
    places = [lines[one["line"] - 1][one["column"] - 1 :] for one in found]
    assert [place[: len(mark)] for place, mark in zip(places, marked, strict=True)] == marked, found


def test_prompts_that_are_not_there_are_one_problem_where_they_would_be_translated_too(recipe, capsys):
    text = recipe.read_text().replace("/prompts, ", "/promts.csv, translate: {max_tokens: 9}, ")
    recipe.write_text(text)
    (one,) = problems(capsys, str(recipe))
    assert one["path"] == "prompts.source"
    assert recipe.read_text().splitlines()[one["line"] - 1].startswith("prompts:")


def test_what_is_no_mistake_and_may_surprise_is_a_note_at_its_place(recipe, capsys):
    text = recipe.read_text().replace("license: cc0-1.0", "license: cc-by4.0").replace("store:", "gpu: A100X, store:")
    publish = "  - publish: {pairs: me/p, policy_license: apache2}\niterations:"
    recipe.write_text(text.replace("iterations:", publish))
    assert main(["validate", str(recipe), "--json"]) == 0
    notes = {note["path"]: note["text"] for note in json.loads(capsys.readouterr().out)["notes"]}
    assert "did you mean cc-by-4.0?" in notes["prompts.license"]
    assert "did you mean apache-2.0?" in notes["chain[4].publish.policy_license"]
    assert main(["validate", str(recipe), "--set", "prompts.license=CC0-1.0", "--json"]) == 0
    paths = {note["path"] for note in json.loads(capsys.readouterr().out)["notes"]}
    assert paths == {"chain[4].publish.policy_license", "runtime.gpu"}, "capitals are read, and no release is `other`"
    assert 'lidr knows no card "A100X"; did you mean' in notes["runtime.gpu"]


@pytest.mark.parametrize(
    ("data", "language", "said"),
    [
        ("", "sw", 'X-AlpacaEval was not published in "sw"; it has de, en, es, fr, ru, th, zh. Leave sw out'),
        ("", "de", None),
        ("FOLDER", "es", 'no x_alpacaeval rows for "es" (looked for x_alpacaeval/prompts/es.json'),
        ("FOLDER", "de", None),
        (f"juletxara/mgsm@{'a' * 40}", "sw", 'X-AlpacaEval was not published in "sw"'),
        (f"org/rows@{'a' * 40}", "sw", None),
    ],
)
def test_benchmark_rows_that_a_language_is_known_to_lack_are_a_problem(
    recipe, tmp_path, capsys, monkeypatch, data, language, said
):
    """No network is asked: what only a Hub knows is left to `plan`."""
    monkeypatch.delenv("LIDR_DATA", raising=False)
    monkeypatch.setattr("socket.socket.connect", None)
    (tmp_path / "rows/open_instructions").mkdir(parents=True)
    rows = '{"id": "a", "instruction": "Was?", "output": "Das.", "generator": "g"}\n'
    (tmp_path / "rows/open_instructions/de.jsonl").write_text(rows)
    place = f", data: [{data.replace('FOLDER', str(tmp_path / 'rows'))}]" if data else ""
    step = f"  - evaluate: {{tasks: [x_alpacaeval], languages: [{language}]{place}}}\niterations:"
    recipe.write_text(recipe.read_text().replace("iterations:", step))
    if said is None:
        assert main(["validate", str(recipe)]) == 0
    else:
        (one,) = problems(capsys, str(recipe))
        assert said in one["text"]
        assert one["path"] == "chain[4].evaluate"


def test_a_step_whose_message_has_a_line_break_has_one_problem(recipe, capsys):
    named = 'pair: {translation_type: {ids: "no\\nwhere.txt"}}'
    recipe.write_text(recipe.read_text().replace("pair: {drop: joint}", named))
    (one,) = problems(capsys, str(recipe))
    assert one["path"].startswith("chain[2].pair")


def test_a_benchmark_without_rows_in_some_languages_is_named_as_what_to_take_out_where_another_has_them(
    recipe, tmp_path, capsys, monkeypatch
):
    monkeypatch.delenv("LIDR_DATA", raising=False)
    (tmp_path / "rows/word_problems").mkdir(parents=True)
    for code in ("de", "es"):
        (tmp_path / f"rows/word_problems/{code}.jsonl").write_text('{"query": "1 + 1?", "response": "2"}\n')
    step = f"  - evaluate: {{languages: [de, fr, es], data: [{tmp_path / 'rows'}]}}\niterations:"
    recipe.write_text(recipe.read_text().replace("iterations:", step))
    other = "; or take x_alpacaeval out (--tasks, or evaluate.tasks), which keeps mgsm in"
    found = problems(capsys, str(recipe))
    assert [re.search('no (\\S+) rows for "(..)"', one["text"]).groups() for one in found] == [
        ("mgsm", "fr"),
        ("x_alpacaeval", "de"),
        ("x_alpacaeval", "fr"),
        ("x_alpacaeval", "es"),
    ]
    assert [one["text"].partition(other)[2] for one in found] == ["", " de", "", " es"], "French has rows of neither"
    (tmp_path / "rows/open_instructions").mkdir()
    (tmp_path / "rows/open_instructions/es.jsonl").write_text("no JSON\n")
    damaged = [one["text"] for one in problems(capsys, str(recipe)) if "es.jsonl" in one["text"]]
    assert len(damaged) == 1
    assert "which keeps" not in damaged[0], "a file that cannot be read is to be mended"
    step = "chain.evaluate.tasks=[mgsm]", "chain.evaluate.languages=[de, es]"
    assert main(["validate", str(recipe), *(word for one in step for word in ("--set", one))]) == 0
    capsys.readouterr()
    for tasks, ways in (("mgsm", ""), ("mgsm, x_alpacaeval", ", or mgsm (--tasks, or evaluate.tasks)")):
        asked = (f"chain.evaluate.tasks=[{tasks}]", "chain.evaluate.languages=[ko]")
        (one,) = problems(capsys, str(recipe), *(word for text in asked for word in ("--set", text)))
        assert one["text"].endswith(f". Leave ko out (--langs, or evaluate.languages){ways}")


SCORE = "  - score: {consistency: {}}\n"


@pytest.mark.parametrize(
    ("chain", "is_read"),
    [
        ("", False),
        ("  - measure: {sample: 3}\n", False),  # it has nobody to hold the scorers against
        ("  - measure: {judge: {model: openai:j@http://127.0.0.1:9}}\n", True),
        ("  - measure: {gold: prompts}\n", True),
    ],
)
def test_scores_that_nothing_reads_are_a_note_at_the_step(recipe, capsys, chain, is_read):
    text = recipe.read_text().replace("  - translate:", SCORE + "  - translate:")
    recipe.write_text(text.replace("iterations:", chain + "iterations:"))
    main(["validate", str(recipe), "--json"])
    notes = [note for note in json.loads(capsys.readouterr().out)["notes"] if "reads its scores" in note["text"]]
    assert bool(notes) != is_read
    for note in notes:
        assert (note["path"], note["line"]) == ("chain[1].score", 10)
        assert "pair: {from: scores, by: consistency}" in note["text"]
        assert "translate: {best_by: consistency}" in note["text"]


@pytest.mark.parametrize("before", ["generate: {max_tokens: 64}", "generate: {n: 2, temperature: 0.9, max_tokens: 64}"])
def test_scores_that_choose_answers_or_pairs_get_no_note_also_where_a_model_is_unpinned(recipe, capsys, before):
    text = recipe.read_text().replace("generate: {max_tokens: 64}", before)
    model = "  - score: {reward_model: {model: org/reward, revision: unpinned}}\n  - translate:"
    recipe.write_text(text.replace("  - translate:", model))
    assert ("nothing reads its scores" in validated(recipe, capsys)) is True
    assert "nothing reads its scores" not in validated(recipe, capsys, "chain.translate.best_by=reward_model")


@pytest.mark.parametrize(
    ("scorer", "chain", "is_said"),
    [
        ("reward_model: {model: org/reward, revision: unpinned}", "", True),
        ("consistency: {}", "", False),  # the answers of all languages vote
        ("consistency: {over: language}", "", True),
        ("consistency: {by: chrf}", "", True),
        ("majority: {}", "", False),
        ("majority: {voters: dominant}", "", True),
        ("language: {}", "  - measure: {gold: prompts}\n", False),
    ],
)
def test_answers_that_nothing_reads_are_counted_at_best_by(recipe, capsys, scorer, chain, is_said):
    text = recipe.read_text().replace(
        "generate: {max_tokens: 64}", "generate: {n: 4, temperature: 0.9, max_tokens: 64}"
    )
    name = scorer.partition(":")[0]
    text = text.replace("  - translate: {", f"  - score: {{{scorer}}}\n  - translate: {{best_by: {name}, ")
    recipe.write_text(text.replace("iterations:", f"{chain}iterations:"))
    main(["validate", str(recipe), "--json"])
    notes = [note for note in json.loads(capsys.readouterr().out)["notes"] if "nothing reads" in note["text"]]
    assert [(note["path"], note["text"]) for note in notes] == is_said * [
        (
            "chain[2].translate.best_by",
            "nothing reads 6 of the 12 answers to a prompt that generate.n 4 asks for: in es, de the first one stands",
        )
    ]
    if "model" not in scorer:
        assert main(["plan", str(recipe)]) == 0
        assert ("\ntranslate.best_by: nothing reads 6 of the 12 answers" in capsys.readouterr().out) is is_said


def validated(recipe, capsys, *overrides: str) -> str:
    main(["validate", str(recipe), *(word for one in overrides for word in ("--set", one))])
    return capsys.readouterr().err


def test_every_licence_of_a_recipe_is_looked_at_wherever_it_stands(recipe, tmp_path, capsys):
    translated = "prompts.translate={by: {file: none.jsonl, license: CC0}}"
    assert main(["validate", str(recipe), "--set", translated, "--json"]) == 2
    noted = [note["path"] for note in json.loads(capsys.readouterr().out)["notes"]]
    assert noted == ["prompts.translate.by.license"]
    (tmp_path / "others.jsonl").write_text('{"prompt": "1?", "chosen": "a", "rejected": "b"}\n')
    head, _, rest = recipe.read_text().partition("prompts: ")
    pairs = "pairs: {sets: [{dataset: ./others.jsonl, license: CC0}, {dataset: a/b, revision: v1, license: MIT}]}"
    recipe.write_text(f"{head}chain:\n  - {pairs}\nruntime: {rest.partition('runtime: ')[2]}")
    assert main(["validate", str(recipe), "--json"]) == 0
    notes = {note["path"]: note for note in json.loads(capsys.readouterr().out)["notes"]}
    note = notes["chain[0].pairs.sets[0].license"]
    assert note["text"].endswith("(did you mean cc0-1.0?); a release of it would be `other`")
    assert recipe.read_text().splitlines()[note["line"] - 1][note["column"] - 1 :].startswith("license: CC0")
    assert "chain[0].pairs.sets[1].license" not in notes


@pytest.mark.parametrize("pushes", [True, False])
def test_a_licence_that_publishing_would_refuse_is_told_before_all_the_work(recipe, capsys, pushes):
    step = "  - publish: {pairs: me/p, license: {id: CC0, reason: ours}}\niterations:"
    recipe.write_text(recipe.read_text().replace("iterations:", step))
    words = [str(recipe), "--set", f"runtime.push={str(pushes).lower()}", "--json"]
    assert main(["validate", *words]) == (2 if pushes else 0)
    found = json.loads(capsys.readouterr().out)
    (one,) = found["problems"] if pushes else [note for note in found["notes"] if "licence" in note["text"]]
    assert (one["path"], "did you mean cc0-1.0?" in one["text"]) == ("chain[4].publish.license.id", True)


def test_places_that_the_environment_names_are_named_by_their_variable(recipe, tmp_path, capsys, monkeypatch):
    source = "prompts.source=$LIDR_DATA/prompts"
    monkeypatch.setenv("LIDR_DATA", str(tmp_path / "nope"))
    (one,) = problems(capsys, str(recipe), "--set", source)
    assert f"LIDR_DATA={tmp_path}/nope: no such folder" in one["text"]
    monkeypatch.setenv("LIDR_STORE", str(recipe))
    assert main(["plan", str(recipe)]) == 2
    said = capsys.readouterr().err
    assert f"LIDR_STORE (or --store) names {recipe}, which is a file" in said
    assert "(top level)" not in said  # it is no mistake of the recipe's


def test_a_recipe_and_a_step_that_are_not_there_name_the_nearest(recipe, capsys):
    assert main(["report", str(recipe.with_name("recipe"))]) == 2
    assert f"did you mean {recipe}?" in capsys.readouterr().err
    assert main(["run", str(recipe), "--quiet"]) == 0
    capsys.readouterr()
    assert main(["run", str(recipe), "--until", "genrate", "--quiet"]) == 2
    err = capsys.readouterr().err
    assert 'no such step in this recipe; did you mean "generate"?' in err
    assert "report so far" not in err


def test_a_column_of_the_prompts_that_is_not_there_is_said_at_the_setting_that_names_it(recipe, tmp_path, capsys):
    table = tmp_path / "wide.csv"
    table.write_text("key,in_en,in_es,in_de\n" + "".join(f"p{i},a {i},b {i},c {i}\n" for i in range(8)))
    columns = "columns: {id: key, prompt: {en: in_en, es: en_es, de: in_de}}"
    recipe.write_text(recipe.read_text().replace(f"source: {tmp_path}/prompts,", f"source: {table}, {columns},"))
    (one,) = problems(capsys, str(recipe))
    assert one["path"] == "prompts.columns.prompt.es"
    assert 'no field "en_es"; found: key, in_en, in_es, in_de; did you mean "in_es"?' in one["text"]
    line = recipe.read_text().splitlines()[one["line"] - 1]
    assert line[one["column"] - 1 :].startswith("es: en_es")


@pytest.mark.parametrize("is_mixture", [False, True])
def test_a_column_of_the_pairs_that_is_not_there_is_said_by_validate_and_plan(recipe, tmp_path, capsys, is_mixture):
    (tmp_path / "others.jsonl").write_text('{"question": "1?", "good": "a", "bad": "b"}\n')
    one = "dataset: ./others.jsonl, columns: {prompt: question, chosen: god, rejected: bad}, license: mit"
    hub = "{dataset: org/name, revision: v1, weight: 1}"
    pairs = f"{{sets: [{hub}, {{{one}}}]}}" if is_mixture else f"{{{one}}}"
    head, _, rest = recipe.read_text().partition("prompts: ")
    store = rest.partition("runtime: ")[2]
    recipe.write_text(f"{head}chain:\n  - pairs: {pairs}\nruntime: {store}")
    (found,) = problems(capsys, str(recipe))
    assert found["path"] == f"chain[0].pairs{'.sets[1]' if is_mixture else ''}.columns.chosen"
    assert "no column 'god' for chosen; its columns: question, good, bad. Did you mean \"good\"?" in found["text"]
    line = recipe.read_text().splitlines()[found["line"] - 1]
    assert line[found["column"] - 1 :].startswith("chosen: god")
    if not is_mixture:
        assert main(["plan", str(recipe)]) == 2
        assert "pairs.columns.chosen: others.jsonl: no column 'god'" in capsys.readouterr().err


def _without_a_language(world):
    (world / "prompts/de.jsonl").unlink()


def _without_a_prompt(world):
    file = world / "prompts/es.jsonl"
    file.write_text("".join(file.read_text().splitlines(keepends=True)[1:]))


def _with_too_many_asked_for(world):
    file = world / "recipe.yaml"
    file.write_text(file.read_text().replace('"4:8"', '"4:9"'))


def _with_ids_from_a_column_that_is_not_there(world):
    file = world / "recipe.yaml"
    file.write_text(file.read_text().replace("license: cc0-1.0", "license: cc0-1.0, columns: {id: key}"))


def _with_weights_that_are_none(world):
    (world / "others.jsonl").write_text('{"prompt": "1?", "chosen": "a", "rejected": "b", "w": "heavy"}\n')
    file = world / "recipe.yaml"
    head, _, rest = file.read_text().partition("prompts: ")
    pairs = "pairs: {dataset: ./others.jsonl, license: mit, columns: {weight: w}}"
    file.write_text(f"{head}chain:\n  - {pairs}\nruntime: {rest.partition('runtime: ')[2]}")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_without_a_language, 'no prompts in "de"'),
        (_without_a_prompt, '"es" lacks 1: p0'),
        (_with_too_many_asked_for, "prompts 4:9 go beyond the file: it has 8 prompts"),
        (_with_ids_from_a_column_that_is_not_there, 'no field "key"'),
        (_with_weights_that_are_none, "row 1: 'heavy' is no weight"),
    ],
)
def test_what_validate_refuses_plan_and_run_refuse_in_the_same_words_before_anything_is_made(
    recipe, tmp_path, capsys, spoil, said
):
    spoil(tmp_path)
    assert main(["validate", str(recipe)]) == 2
    *told, count = capsys.readouterr().err.splitlines()
    assert said in told[0]
    assert told[0].startswith(f"{recipe}:")
    assert told[-1].endswith("^")
    assert count == f"{recipe}: 1 problem"
    for words, end in (
        (["plan"], f"{count}: there is no plan of it, and `lidr run` refuses it"),
        (["run", "--quiet"], f"{count}: nothing was run"),
    ):
        for more in ([], ["--json"]):
            assert main([*words, str(recipe), *more]) == 2
            out, err = capsys.readouterr()
            assert (out, err.splitlines()) == ("", [*told, end])
    assert not list(tmp_path.glob("runs/**/iter_*"))


def test_a_value_that_the_command_line_gave_is_named_as_such_by_plan(recipe, capsys):
    assert main(["plan", str(recipe), "--set", "prompts.source=/nowhere/prompts"]) == 2
    err = capsys.readouterr().err
    assert '--set "prompts.source=/nowhere/prompts" prompts.source: no file or folder /nowhere/prompts' in err
    assert f"{recipe}: 1 problem: there is no plan of it" in err
