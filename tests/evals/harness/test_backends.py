"""The models that lm-eval asks: what template, length or adapter can do wrong is found before the first answer."""

from __future__ import annotations

import dataclasses
import datetime
import json
import shutil
from pathlib import Path

import pytest

from lidr.engines import ModelFolder
from lidr.errors import EvaluationError
from lidr.evals.harness.backends import check_lengths_first, open_lm
from lidr.evals.harness.lm_eval_run import _ends, gen_kwargs
from lidr.evals.spec import Decoding, EvalSpec
from tests.engines.templates.shapes import DATED, HYBRID, shaped
from tests.engines.templates.test_fixed_template import move_clock
from tests.evals.asked import scripted_spec
from tests.tiny import tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("models") / "policy", "llama3", seed=3)


@pytest.fixture(scope="module")
def spec(tmp_path_factory, model):
    folder = tmp_path_factory.mktemp("asked")
    return scripted_spec(folder, backend="hf", model=str(model), decoding=Decoding(max_tokens=6), threads=1)


def test_a_model_without_a_chat_template_is_refused(spec, model, tmp_path):
    bare = tmp_path / "bare"
    shutil.copytree(model, bare)
    (bare / "chat_template.jinja").unlink(missing_ok=True)
    config = json.loads((bare / "tokenizer_config.json").read_text(encoding="utf-8"))
    config.pop("chat_template", None)
    (bare / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(EvaluationError, match="has no chat template"), open_lm(_asking(spec, bare)):
        pass


def test_a_template_that_refuses_a_system_prompt_is_found_before_lm_eval_drops_it(spec, tmp_path):
    gemma = tiny_model(tmp_path / "gemma", "gemma")
    asked = _asking(spec, gemma, decoding=Decoding(max_tokens=6, system_prompt="Be kind."))
    with pytest.raises(EvaluationError, match="the chat template refuses a system prompt"), open_lm(asked):
        pass


def test_a_prompt_that_would_be_cut_is_refused_and_says_how_long_answers_may_be(spec):
    from lm_eval.api.instance import Instance

    long = dataclasses.replace(spec, decoding=Decoding(max_tokens=100_000))
    with open_lm(long) as lm:
        check_lengths_first(lm, long)
        request = Instance("generate_until", {}, ("Hello there", {"max_gen_toks": 100_000}), 0)
        with pytest.raises(
            EvaluationError,
            match=r"the longest prompt has \d+ tokens.*give --max-tokens \(in a recipe .*\) [\d,]+ or less",
        ):
            lm.generate_until([request])


def test_a_prompt_that_leaves_no_room_for_an_answer_is_refused_without_advice_on_its_length(spec):
    from lm_eval.api.instance import Instance

    with open_lm(spec) as lm:
        check_lengths_first(lm, spec)
        request = Instance("generate_until", {}, ("Hello there", {"max_gen_toks": spec.decoding.max_tokens}), 0)
        length = len(lm.tok_encode("Hello there"))
        for window, said in ((length, "asked of a model with a longer window alone$"), (length + 1, "1 or less$")):
            lm._max_length = window
            with pytest.raises(EvaluationError, match=said):
                lm.generate_until([request])


def test_prompts_are_the_ids_that_the_chat_template_makes_with_one_bos(spec):
    with open_lm(spec) as lm:
        text = lm.apply_chat_template([{"role": "user", "content": "Hallo"}])
        ids = lm.tok_batch_encode([text])[0][0].tolist()
        made = lm.tokenizer.apply_chat_template(
            [{"role": "user", "content": "Hallo"}], add_generation_prompt=True, return_dict=False
        )
    assert ids == made
    assert ids.count(lm.tokenizer.bos_token_id) == 1


def test_an_answer_ends_at_its_turn_where_the_models_files_name_another_end(spec, tmp_path):
    for ends, until in ((False, {"until": ["<|im_end|>"]}), (True, {})):
        asked = _asking(spec, shaped(tmp_path / str(ends), HYBRID, ends=ends))
        with open_lm(asked) as lm:
            assert _ends(lm, asked) == until


@pytest.mark.parametrize(
    "own",
    [
        {"max_new_tokens": 3},
        {"max_length": 3},
        {"min_new_tokens": 11},
        {"repetition_penalty": 1.8},
        {"no_repeat_ngram_size": 1},
        {"num_beams": 3},
        {"do_sample": True, "temperature": 9.0, "top_k": 0},
        {"suppress_tokens": [*range(20, 300)]},
        {"bad_words_ids": [[one] for one in range(20, 300)]},
        {"stop_strings": ["e"]},
    ],
    ids=lambda own: next(iter(own)),
)
def test_what_a_model_s_own_generation_config_asks_for_changes_no_answer(spec, model, tmp_path, own):
    from lm_eval.api.instance import Instance

    answers = []
    for name, more in (("plain", {}), ("asking", own)):
        shutil.copytree(model, tmp_path / name)
        file = tmp_path / name / "generation_config.json"
        ends = ModelFolder(model).end_ids()
        file.write_text(json.dumps({"eos_token_id": sorted(ends), **more}), encoding="utf-8")
        asked = _asking(spec, tmp_path / name, decoding=Decoding(max_tokens=12))
        with open_lm(asked) as lm:
            words = gen_kwargs(asked) | {"until": []}
            talks = [[{"role": "user", "content": text}] for text in ("Hallo", "Was ist ein Leuchtturm?")]
            prompts = [lm.apply_chat_template(talk) for talk in talks]
            answers.append(lm.generate_until([Instance("generate_until", {}, (text, words), 0) for text in prompts]))
    assert answers[0] == answers[1]
    assert all(answers[0])


def test_switches_of_the_template_are_those_that_are_asked_for(spec, tmp_path):
    folder, talk = shaped(tmp_path / "m", HYBRID), [{"role": "user", "content": "Hi"}]
    with open_lm(_asking(spec, folder)) as lm:
        assert lm.apply_chat_template(talk).endswith("assistant\n")
    off = Decoding(max_tokens=6, chat_template_kwargs={"enable_thinking": False})
    with open_lm(_asking(spec, folder, decoding=off)) as lm:
        assert lm.apply_chat_template(talk).endswith("</think>\n\n")
    wrong = Decoding(max_tokens=6, chat_template_kwargs={"thinking": False})
    with (
        pytest.raises(EvaluationError, match="reads no thinking; it reads enable_thinking"),
        open_lm(_asking(spec, folder, decoding=wrong)),
    ):
        pass
    assert "chat_template_kwargs" not in Decoding().as_json()
    assert off.as_json()["chat_template_kwargs"] == {"enable_thinking": False}
    assert EvalSpec.from_json(dataclasses.asdict(_asking(spec, folder, decoding=off))).decoding == off


def test_a_date_in_a_template_is_the_same_on_any_day(spec, tmp_path, monkeypatch):
    folder, said = shaped(tmp_path / "m", DATED), set()
    for year in (2026, 2031):
        move_clock(monkeypatch, datetime.date(year, 3, 1))
        with open_lm(_asking(spec, folder)) as lm:
            said.add(lm.apply_chat_template([{"role": "user", "content": "Hi"}]))
    (text,) = said
    assert "Today: 01 January 2026" in text


def _asking(spec, model: Path, **more):
    return dataclasses.replace(spec, model=str(model), **more)
