"""What the command line says around its commands: nearer words, help, colour, the account, the log."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys

import pytest

from lidr.cli.main import COMMANDS, main
from lidr.cli.terminal import coloured
from lidr.engines import ChatRequest, EngineSpec, Sampling, open_engine
from lidr.errors import EngineError
from tests.scripted import write_answers, write_world

TOO_LONG = ({"match": "into (Spanish|English|German)", "text": "I cannot say", "finish_reason": "length"},)


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    monkeypatch.delenv("LIDR_STORE", raising=False)
    return write_world(tmp_path)


def refused(capsys, *words: str) -> str:
    with pytest.raises(SystemExit) as stop:
        main(list(words))
    assert stop.value.code == 2
    return capsys.readouterr().err


def test_a_misspelt_command_and_an_unknown_option_name_what_may_have_been_meant(capsys):
    assert 'no command "vaildate"; did you mean "validate"?' in refused(capsys, "vaildate", "x.yaml")
    err = refused(capsys, "run", "--untill", "pair", "x.yaml")
    assert err.startswith("usage: lidr run ")
    assert 'unknown option "--untill"; did you mean "--until"?' in err
    err = refused(capsys, "pairs", "shwo", "x")
    assert err.startswith("usage: lidr pairs ")
    assert 'did you mean "show"?' in err


def test_help_of_a_command_is_that_of_its_option_and_ends_with_examples(capsys):
    for name in COMMANDS:
        with pytest.raises(SystemExit):
            main([name, "--help"])
        by_option = capsys.readouterr().out
        if name != "help":
            with pytest.raises(SystemExit):
                main(["help", name])
            assert capsys.readouterr().out == by_option
        assert re.search(rf"examples:\n(.*\n)*?.*lidr {name}", by_option), name


def test_colour_is_where_a_terminal_is_and_not_with_no_color(monkeypatch):
    terminal, plain = io.StringIO(), io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert coloured("cached", "green", terminal) == "\x1b[32mcached\x1b[0m"
    assert coloured("cached", "green", plain) == "cached"
    monkeypatch.setenv("NO_COLOR", "1")
    assert coloured("cached", "green", terminal) == "cached"


def test_a_run_that_keeps_nothing_stops_with_its_account_and_the_setting_to_look_at(recipe, tmp_path, capsys):
    write_answers(tmp_path / "answers.jsonl", first=TOO_LONG)
    assert main(["run", str(recipe), "--quiet"]) == 2
    err = capsys.readouterr().err
    assert "iteration 1: 0 of 16 slots are kept (0%)" in err
    assert re.search(r"16  pair: translation_truncated \(see translate.max_tokens", err)
    assert re.search(r'e\.g\. p0, .*"I cannot say" \(asked for \w\w, detected .+\)', err)
    assert "look at translate.max_tokens, and translate.retry" in err
    assert "iter_2/generate" not in err
    assert (tmp_path / "runs" / "scripted" / "0.1.0" / "iter_1" / "pair" / "record.json").exists()
    assert (
        main(["run", str(recipe), "--quiet", "--set", "chain.pair.min_kept=0"]) == 0
    )  # no identity: goes on from there
    assert "iter_1/pair: cached" in capsys.readouterr().err


def test_an_example_of_the_account_is_cut_at_the_end_of_a_word(recipe, tmp_path, capsys):
    long = "A sentence whose translation is longer than its place in the account of the run"
    write_answers(tmp_path / "answers.jsonl", first=tuple({**rule, "text": long} for rule in TOO_LONG))
    assert main(["run", str(recipe), "--quiet"]) == 2
    assert ', "A sentence whose translation is longer than its place in the account ..." (' in capsys.readouterr().err


def test_what_a_filter_says_is_not_cut_before_the_language_that_was_expected(recipe, tmp_path, capsys):
    hives = "The bees live in a hive, and in summer they collect nectar from the flowers of the meadow."
    write_answers(tmp_path / "answers.jsonl", first=({"match": "into Spanish", "text": hives + "</translated>"},))
    setting = "chain.filter.language={of: chosen, min_confidence: 0.8}"
    main(["run", str(recipe), "--quiet", "--set", setting])
    said = r'chosen is in en with confidence \S+ \(at least 0\.8\); the pair is in de, "'
    assert re.search(said, capsys.readouterr().err)


def test_a_run_up_to_a_step_that_keeps_nothing_ends_as_a_whole_run_does(recipe, tmp_path, capsys):
    write_answers(tmp_path / "answers.jsonl", first=TOO_LONG)
    for until in ("pair", "translate", "pair"):
        assert main(["run", str(recipe), "--quiet", "--until", until]) == (2 if until == "pair" else 0)
    assert "0 of 16 slots are kept (0%)" in capsys.readouterr().err


@pytest.mark.parametrize("publish", ["", ", {publish: {pairs: you/pairs}}"])
def test_a_run_that_keeps_nothing_stops_also_where_nothing_is_left_to_do(recipe, tmp_path, capsys, publish):
    """The last pairs of the last iteration: then a run has made nothing, and must not end as if it had."""
    write_answers(tmp_path / "answers.jsonl", first=TOO_LONG)
    steps = "{generate: {max_tokens: 64}}, {translate: {max_tokens: 80}}, {pair: {}}"
    words = ["run", str(recipe), "--quiet", "--set", "iterations=[{prompts: '0:4'}]"]
    words += ["--set", f"chain=[{steps}{publish}]"]
    for _ in range(2):  # and where the pairs are there already
        assert main(words) == 2
        assert "0 of 16 slots are kept (0%)" in capsys.readouterr().err
    assert main([*words, "--set", "chain.pair.min_kept=0"]) == 0


def test_a_prompt_that_is_too_long_is_told_with_the_tokens_that_did_not_fit(recipe, tmp_path, capsys):
    too_long = {"match": "^Spanish: tell me about", "text": "", "finish_reason": "prompt_too_long"}
    write_answers(tmp_path / "answers.jsonl", first=(too_long,))
    assert main(["run", str(recipe), "--quiet", "--set", "runtime.max_model_len=66"]) == 0
    err = capsys.readouterr().err
    assert re.search(r"in es: prompt \d+ \+ answer 64 > window 66 tokens", err)
    assert "prompt_too_long (see generate.max_tokens and the length of the prompts: they share the model's" in err


def test_min_kept_changes_where_a_run_warns_and_where_it_stops(recipe, tmp_path, capsys):
    write_answers(tmp_path / "answers.jsonl", first=({**TOO_LONG[0], "match": "into (English|German)"},))
    few = ["--quiet", "--set", "chain.pair.drop=independent"]
    assert main(["run", str(recipe), *few, "--set", "chain.pair.min_kept=0.9"]) == 2
    assert "pair.min_kept is the smallest share to go on with" in capsys.readouterr().err
    assert main(["run", str(recipe), *few]) == 0
    assert "slots are kept" in capsys.readouterr().err


def test_a_run_keeps_a_log_in_its_folder_without_secrets(recipe, tmp_path):
    environment = {**os.environ, "HF_TOKEN": "hf_aVerySecretToken123"}
    command = [sys.executable, "-m", "lidr.cli.main", "run", str(recipe), "--quiet"]
    subprocess.run(command, check=True, env=environment, capture_output=True)
    again = [*command, "--set", "chain.generate.max_tokens=7", "--set", "system_prompt=hf_aVerySecretToken123"]
    assert subprocess.run(again, check=False, env=environment, capture_output=True).returncode == 2
    log = (tmp_path / "runs" / "scripted" / "0.1.0" / "log.txt").read_text()
    assert "iter_1/pair: done in" in log
    assert "config.max_tokens: 64 -> 7" in log
    assert "aVerySecret" not in log


def test_next_names_what_fits_the_recipe(recipe, capsys):
    assert main(["run", str(recipe), "--quiet"]) == 0
    out = capsys.readouterr().out
    assert "lidr pairs show run:scripted@0.1.0" in out
    assert "--pairs ORG/NAME" in out
    assert "lidr cp" not in out
    assert "lidr eval run" not in out


def test_publishing_that_is_off_says_how_to_turn_it_on(recipe, capsys):
    recipe.write_text(recipe.read_text().replace("iterations:", "  - publish: {pairs: lidr/x}\niterations:"))
    assert main(["plan", str(recipe)]) == 0
    assert "runtime.push is off: set it to true, or publish later with `lidr publish RECIPE`" in capsys.readouterr().out


def test_plan_says_which_store_and_what_estimates_rest_on(recipe, tmp_path, capsys):
    model = ["--set", "policy={model: org/some-8B, revision: unpinned}", "--set", "runtime.engine=vllm"]
    assert main(["plan", str(recipe), *model, "--set", "runtime.gpu=H100", "--set", "runtime.gpu_price=3"]) == 0
    out = capsys.readouterr().out
    assert f"store: {tmp_path}/runs/scripted/0.1.0 (by runtime.store)" in out
    assert re.search(r"iter_1/generate +unresolved .* ~\d", out)
    assert "estimated, not measured" in out
    assert "card: H100 (named by runtime.gpu): 80 GB" in out
    assert "at 3 an hour (runtime.gpu_price)" in out
    assert "runtime.engine is transformers" not in out
    assert "Next: " not in out  # the model is not here
    assert main(["plan", str(recipe), *model, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["estimates_rest_on"]
    assert {step["is_measured"] for step in told["steps"]} == {False}


def test_a_server_that_is_not_there_is_said_with_its_address_before_all_tries(tmp_path):
    engine = open_engine(EngineSpec(kind="openai", model="some", url="http://127.0.0.1:9/v1"), log=tmp_path / "log")
    request = ChatRequest("a", ({"role": "user", "content": "Hi"},), Sampling(max_tokens=4))
    with pytest.raises(EngineError, match=r"http://127.0.0.1:9/v1: no server answers there .*Start it, or mend the"):
        list(engine.generate([request]))
    engine.close()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--limit", "ten"], 'argument --limit: found "ten", and a whole number is needed, as 10'),
        (["--gpu-memory", "half"], 'argument --gpu-memory: found "half", and a number is needed, as 0.5'),
        (["--max-model-len", "long"], 'argument --max-model-len: found "long", and a whole number is needed, as 4096'),
    ],
)
def test_what_is_no_number_is_said_with_what_a_number_looks_like(words, said, capsys):
    with pytest.raises(SystemExit):
        main(["eval", "run", "--model", "./m", "--langs", "en", *words])
    assert said in capsys.readouterr().err
