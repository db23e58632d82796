"""The shipped policy: good in English, poor elsewhere, an exact translator. What it gains: tests/test_quickstart.py."""

from __future__ import annotations

from itertools import islice

import pytest

from lidr.evals.mgsm.number_reading import read_number
from lidr.languages import LANGUAGES as NAMES
from lidr.miniature.words import LANGUAGES
from lidr.miniature.world import problems
from lidr.resources import shared
from lidr.transforms.translations import PREFILL, parse_translation, translation_messages

pytest.importorskip("torch")
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
