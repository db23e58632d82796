"""`lidr eval check`: what can be asked is shown, what cannot is said, all at once."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from lidr.cli.eval import check
from lidr.cli.main import main
from lidr.errors import EvaluationError, LidrError, MissingExtraError, PlanError
from lidr.resources import shared
from tests.adapters import ADDED, TEMPLATE, lora, make_adapter
from tests.engines.server import Server
from tests.engines.templates.shapes import HYBRID, shaped
from tests.evals.judge.answers import words
from tests.tiny import tiny_model

OWN = shared("recipes") / "prompts"


def call(*words: object) -> int:
    parser = argparse.ArgumentParser()
    check.arguments(parser)
    return check.main(parser.parse_args([str(word) for word in words]))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Word problems in two languages, of which one lacks an item."""
    problems = tmp_path / "word_problems"
    problems.mkdir()
    for language, last in (("en", 3), ("de", 2)):
        rows = [{"id": f"w{n}", "query": f"{n} + {n}?", "response": str(n + n)} for n in range(last)]
        (problems / f"{language}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def test_every_task_is_shown_with_rows_hash_and_first_prompt(capsys):
    assert call("--langs", "en,de", "--data", OWN) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split()[:2] == ["task", "rows"]
    assert [line.split()[0] for line in lines] == [
        "lidr_mgsm_en",
        "lidr_mgsm_de",
        "lidr_x_alpacaeval_en",
        "lidr_x_alpacaeval_de",
    ]
    first = json.loads((OWN / "word_problems" / "en.jsonl").read_text(encoding="utf-8").splitlines()[0])["query"]
    assert lines[0].split()[1] == "24"
    assert len(lines[0].split()[2]) == 12
    assert first[:57] in lines[0]


def test_real_data_have_250_and_805_rows(data_folder, capsys):
    assert call("--langs", "de", "--data", data_folder, "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["schema"] == "lidr.eval.check/1"
    assert [task["rows"] for task in answer["tasks"]] == [250, 805]
    assert [task["source"].split("/")[0] for task in answer["tasks"]] == ["mgsm", "x_alpacaeval"]


def test_a_models_chat_template_is_applied_to_the_first_prompt(tmp_path, capsys):
    model = tiny_model(tmp_path / "model", "qwen2")
    assert call("--tasks", "mgsm", "--langs", "fr", "--variant", "instr", "--data", OWN, "--model", model) == 0
    out = capsys.readouterr().out
    assert "lidr_mgsm_fr_instr" in out
    assert "<|im_start|>user\nRésous ce problème" in out
    assert out.rstrip().endswith("<|im_start|>assistant")


def test_the_chat_template_beside_an_adapter_comes_first(tmp_path, capsys):
    model = tiny_model(tmp_path / "model", "qwen2")
    how = {"added": ADDED, "tokenizer": True, "template": TEMPLATE}
    adapter = make_adapter(model, tmp_path / "adapter", lora(), **how).folder
    asked = ("--tasks", "mgsm", "--langs", "fr", "--variant", "instr", "--data", OWN)
    assert call(*asked, "--model", model, "--adapter", adapter) == 0
    said = capsys.readouterr()
    assert "<|alpha|>user: Résous ce problème" in said.out
    assert said.out.rstrip().endswith("<|omega|><|alpha|>")
    assert "the tokenizer that stands beside the adapter adapter is used, with its chat template" in said.err
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    with pytest.raises(EvaluationError, match="lidr loads no pickled weights"):
        call(*asked, "--model", model, "--adapter", adapter)
    with pytest.raises(EvaluationError, match="--adapter: needs its base, --model REF"):
        call(*asked, "--adapter", adapter)
    with pytest.raises(EvaluationError, match="a served model takes no adapter"):
        call(*asked, "--model", "openai:m@http://127.0.0.1:1/v1", "--adapter", adapter)


def test_the_prompt_is_shown_with_the_switches_of_the_template(tmp_path, capsys):
    model, asked = shaped(tmp_path / "model", HYBRID), ("--tasks", "mgsm", "--langs", "de", "--data", OWN)
    for kwargs, ends in (("{}", "assistant"), ('{"enable_thinking": false}', "assistant\n<think>\n\n</think>")):
        assert call(*asked, "--model", model, "--chat-template-kwargs", kwargs) == 0
        assert capsys.readouterr().out.rstrip().endswith(ends)
    for kwargs, said in (
        ('{"thinking": false}', r"the chat template reads no thinking; it reads enable_thinking"),
        ("no", r"--chat-template-kwargs no: a JSON object is needed"),
    ):
        with pytest.raises(EvaluationError, match=said):
            call(*asked, "--model", model, "--chat-template-kwargs", kwargs)
    with pytest.raises(EvaluationError, match="needs the model whose template reads them, --model REF"):
        call(*asked, "--chat-template-kwargs", "{}")


def test_all_problems_are_said_at_once(tmp_path, folder):
    model = tiny_model(tmp_path / "bare", "qwen2")
    (model / "chat_template.jinja").unlink()
    with pytest.raises(EvaluationError) as caught:
        call("--tasks", "mgsm,maths", "--langs", "en,de,fr,it,xx", "--data", folder, "--model", model)
    said = str(caught.value).splitlines()
    for part in (
        "has no chat template",
        'unknown task "maths" (allowed: mgsm, x_alpacaeval',
        'no mgsm rows for "fr"',
        'MGSM is not in "it"; its languages: en, de',
        'unknown language code "xx"',
        "items that are not in both: w2",
    ):
        assert sum(part in line for line in said) == 1, part


def test_a_wrong_number_of_rows_is_said(tmp_path):
    (tmp_path / "mgsm").mkdir()
    (tmp_path / "mgsm" / "de.jsonl").write_text('{"query": "1 + 1?", "response": "2"}\n')
    with pytest.raises(EvaluationError, match="1 rows; MGSM has 250"):
        call("--tasks", "mgsm", "--langs", "de", "--data", tmp_path)


def test_a_folder_that_is_no_model_is_said(tmp_path):
    (tmp_path / "model").mkdir()
    with pytest.raises(EvaluationError, match=r"config\.json"):
        call("--tasks", "mgsm", "--langs", "de", "--data", OWN, "--model", tmp_path / "model")


def test_a_model_that_is_not_here_can_be_left_out(tmp_path):
    of_rows = ("--tasks", "mgsm", "--langs", "de", "--data", OWN)
    with pytest.raises(
        EvaluationError, match=r"no folder .*there;.*\nWithout --model the rows and their prompts alone"
    ):
        call(*of_rows, "--model", tmp_path / "there")
    with pytest.raises(EvaluationError, match="no mgsm rows") as other:
        call("--tasks", "mgsm", "--langs", "de", "--data", tmp_path, "--model", tiny_model(tmp_path / "m", "qwen2"))
    assert "Without" not in str(other.value)


def test_a_template_that_refuses_a_turn_is_said(tmp_path):
    model = tiny_model(tmp_path / "model", "qwen2")
    (model / "chat_template.jinja").write_text("{{ raise_exception('no users here') }}")
    with pytest.raises(EvaluationError, match="refuses one turn of the user: no users here"):
        call("--tasks", "mgsm", "--langs", "de", "--data", OWN, "--model", model)


def test_a_served_model_applies_its_own_template(capsys):
    assert call("--tasks", "mgsm", "--langs", "de", "--data", OWN, "--model", "openai:m@http://127.0.0.1:1/v1") == 0
    assert "as the model is sent it" not in capsys.readouterr().out


def test_without_lm_eval_the_pip_line_is_said(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "lm_eval.tasks", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'lidr\[eval\]'"):
        call("--tasks", "mgsm", "--langs", "de", "--data", OWN)


def test_the_command_ends_with_2_and_no_traceback(capsys, monkeypatch):
    words = ["eval", "check", "--tasks", "mgsm", "--langs", "it", "--data", str(OWN)]
    monkeypatch.setattr("sys.argv", ["lidr", *words])
    assert main(words) == 2
    assert capsys.readouterr().err.startswith('error: MGSM is not in "it"')


FIRST = str(shared("recipes") / "first.yaml")
JUDGED = ("--set", "chain.evaluate.tasks=[x_alpacaeval]", "--set", "chain.evaluate.data=[recipes/prompts]")


def test_what_a_recipes_evaluate_step_needs_is_looked_at(capsys):
    assert call(FIRST) == 0
    said = capsys.readouterr()
    assert [line.split()[0] for line in said.out.splitlines()[1:]] == ["lidr_mgsm_en", "lidr_mgsm_de", "lidr_mgsm_es"]
    assert "3 tasks can be asked" in said.err
    assert call(FIRST, "--set", "chain.evaluate.languages=[de]", "--json") == 0
    assert [task["task"] for task in json.loads(capsys.readouterr().out)["tasks"]] == ["lidr_mgsm_de"]


def test_a_recipes_rows_packages_and_judge_are_said_at_once(monkeypatch):
    for package in ("lm_eval", "vllm"):
        monkeypatch.setitem(__import__("sys").modules, package, None)
    judge = "--set", "chain.evaluate.judge={model: org/judge}"
    with pytest.raises(EvaluationError) as caught:
        call(FIRST, *JUDGED, *judge, "--set", "chain.evaluate.languages=[en, it]", "--set", "runtime.engine=vllm")
    said = str(caught.value).splitlines()
    assert len(said) == 4
    for part in (
        "evaluation needs the package 'lm_eval', which is not installed: pip install 'lidr[eval]'",
        "pip install 'lidr[vllm]'",
        'no x_alpacaeval rows for "it"',
        "evaluate.judge.model: org/judge is not pinned; write org/judge@COMMIT (40 hex digits)",
    ):
        assert sum(part in line for line in said) == 1, (part, said)


def test_a_recipes_judge_that_is_away_is_said_and_one_that_is_there_is_not(capsys, monkeypatch):
    monkeypatch.setattr("lidr.engines.remote.chat_client._FIRST_CONTACT_S", 0.2)
    away = "--set", "chain.evaluate.judge={model: 'openai:j@http://127.0.0.1:9/v1'}"
    with pytest.raises(
        EvaluationError, match=r"the judge j at http://127\.0\.0\.1:9/v1: no server answers there .*start"
    ):
        call(FIRST, *JUDGED, *away)
    with Server(lambda *_: words("m")) as server:
        assert call(FIRST, *JUDGED, "--set", f"chain.evaluate.judge={{model: 'openai:j@{server.url}'}}") == 0
    assert call(FIRST, *JUDGED) == 0
    assert "no judge: X-AlpacaEval answers stay unjudged" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), r"give a recipe, as `lidr eval check my\.yaml`, or --langs"),
        (("--langs", "en", "--set", "seed=1"), r"--set replaces a value of a recipe, and none is given"),
        ((FIRST, "--langs", "en"), r"--langs: the recipe says it; .* --set chain\.evaluate\.languages="),
        ((FIRST, "--model", "./m"), r"--model: the recipe says it"),
        ((str(OWN.parent / "quickstart_pairs.yaml"),), r"no such recipe; did you mean"),
    ],
)
def test_options_that_do_not_go_together_are_refused(words, said):
    with pytest.raises(LidrError, match=said):
        call(*words)


def test_a_recipe_without_an_evaluate_step_needs_nothing(tmp_path):
    path = tmp_path / "short.yaml"
    text = Path(FIRST).read_text(encoding="utf-8")
    path.write_text("".join(line for line in text.splitlines(keepends=True) if "- evaluate" not in line))
    with pytest.raises(PlanError, match=r"chain: there is no evaluate step"):
        call(path)
