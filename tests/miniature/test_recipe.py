"""The shipped policy and recipe: good in English, poor elsewhere, an exact translator; one iteration shows a gain."""

from __future__ import annotations

from itertools import islice

import pytest

from lidr.evals.mgsm.number_reading import read_number
from lidr.languages import LANGUAGES as NAMES
from lidr.miniature.show import main, run_both
from lidr.miniature.tell import accuracies, gains, scores
from lidr.miniature.words import LANGUAGES
from lidr.miniature.world import problems
from lidr.resources import shared
from lidr.transforms.translations import PREFILL, parse_translation, translation_messages
from tests.miniature.reward import reward_accuracy

pytest.importorskip("torch")
RECIPE = shared("recipes") / "miniature.yaml"
HELD = list(islice(problems("held_out", 7), 60))


@pytest.fixture(scope="module")
def engine():
    from lidr.engines.engine import EngineSpec
    from lidr.engines.transformers import TransformersEngine

    folder = shared("recipes") / "miniature" / "skewed-1"
    with TransformersEngine(EngineSpec(kind="transformers", model=str(folder), batch=60, threads=1)) as engine:
        yield engine


def ask(engine, texts, prefill=None):
    from lidr.engines.engine import ChatRequest, Sampling

    requests = [
        ChatRequest(str(at), ({"role": "user", "content": text},), Sampling(max_tokens=48), prefill=prefill)
        for at, text in enumerate(texts)
    ]
    answers = {answer.key: answer for answer in engine.generate(requests)}
    return [answers[request.key] for request in requests]


def test_the_shipped_policy_is_good_in_english_and_poor_elsewhere(engine):
    right = {}
    for language in LANGUAGES:
        answers = ask(engine, [problem.question(language) for problem in HELD])
        numbers = [read_number(answer.text, language).number for answer in answers]
        right[language] = sum(n == one.result for n, one in zip(numbers, HELD, strict=True)) / len(HELD)
    assert right["en"] > 0.9
    assert right["de"] < right["en"] - 0.2
    assert right["es"] < right["en"] - 0.1


@pytest.mark.parametrize(("source", "target"), [("en", "de"), ("es", "en")])
def test_the_shipped_policy_translates_answers_word_for_word_right_or_wrong(engine, source, target):
    results = [problem.result + (at % 2) for at, problem in enumerate(HELD)]
    texts = [problem.answer(source, result) for problem, result in zip(HELD, results, strict=True)]
    asked = [translation_messages(text, NAMES[target].name)[0]["content"] for text in texts]
    answers = ask(engine, asked, PREFILL)
    read = [
        parse_translation(answer.text, answer.finish_reason, text, target=target, candidates=LANGUAGES)
        for answer, text in zip(answers, texts, strict=True)
    ]
    assert {one.status for one in read} == {"ok"}
    expected = [problem.answer(target, result) for problem, result in zip(HELD, results, strict=True)]
    assert sum(one.text == text for one, text in zip(read, expected, strict=True)) >= 59


@pytest.mark.slow
def test_one_iteration_of_a_hundred_prompts_gains_where_the_policy_is_poor_and_its_control_does_not(tmp_path, capsys):
    words = (
        'iterations=[{prompts: "0:100"}]',
        "chain.evaluate.limit=150",
        "chain.train.batch=8",
        f"runtime.store={tmp_path / 'runs'}",
    )
    figure = tmp_path / "figure.png"
    assert main(["--figure", str(figure), *(word for setting in words for word in ("--set", setting))]) == 0
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert capsys.readouterr().out.count("iter_1") == 2
    method, control = run_both(RECIPE, words).values()  # made above: all of it is read back
    tables = scores(method)
    gain = gains(tables[0], tables[1])
    assert gain["de"][0] > 0
    assert gain["de"][0] + gain["es"][0] > 0.03
    assert gain["en"][0] > -0.05
    assert reward_accuracy(method)["all"][0] > 0.8
    accuracy = {name: accuracies(scores(plan))[1] for name, plan in (("method", method), ("control", control))}
    assert all(accuracy["control"][code][0] < accuracy["method"][code][0] for code in ("de", "es"))
