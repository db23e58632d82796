"""MGSM: prompts, scores, and the same numbers from lm-eval's own tasks on the same answers."""

from __future__ import annotations

import math

import polars as pl
import pytest

from lidr.errors import EvaluationError
from lidr.evals.mgsm import mgsm_task as mgsm
from lidr.evals.mgsm.words.language_words import WORDS
from lidr.languages import LANGUAGES
from lidr.transforms.parallel_prompts import instruct
from tests.evals.bundled import MGSM_LANGUAGES, mgsm_task, read_by

ROW = {"item": "0", "question": "Wie viele Eier {sind} es?", "gold": "1,218"}

SAID = {
    "en": "She sells the rest of the eggs at the market every day, so in the end she has this many.",
    "de": "Sie verkauft den Rest der Eier jeden Tag auf dem Markt und hat am Ende so viele.",
    "es": "Ella vende el resto de los huevos en el mercado todos los días y al final tiene estos.",
    "fr": "Elle vend le reste des œufs au marché tous les jours et à la fin elle en a autant.",
    "ja": "彼女は残りの卵を毎日市場で売りますので、最後にはこれだけになります。",
    "ru": "Она продаёт остальные яйца на рынке каждый день, и в конце у неё остаётся столько.",
    "th": "เธอขายไข่ที่เหลือที่ตลาดทุกวัน ดังนั้นสุดท้ายเธอจึงมีเท่านี้",
    "zh": "她每天在市场上卖掉剩下的鸡蛋，所以最后她有这么多。",
    "bn": "সে প্রতিদিন বাজারে বাকি ডিমগুলো বিক্রি করে, তাই শেষে তার এতগুলো থাকে।",
    "sw": "Yeye huuza mayai yaliyobaki sokoni kila siku, kwa hivyo mwishowe ana idadi hii.",
    "te": "ఆమె మిగిలిన గుడ్లను ప్రతిరోజూ మార్కెట్లో అమ్ముతుంది, కాబట్టి చివరికి ఆమెకు ఇన్ని ఉంటాయి.",
}


@pytest.mark.parametrize("language", mgsm.LANGUAGES)
def test_a_right_answer_in_its_language_is_right_read_and_on_target(language):
    response = f"{SAID[language]}\n\n{WORDS[language].answer}: 1,218"
    scored = mgsm.score(ROW, response, language=language)
    assert scored.values == {
        "acc": 1.0,
        "off_target": 0.0,
        "off_target_all": 0.0,
        "undecided": 0.0,
        "parsed": 1.0,
        "hit_prefix": 1.0,
        "acc_flexible": 1.0,
    }
    assert scored.detail == {"number": "1218", "rule": "prefix", "text": "1,218", "detected": language, "gold": "1,218"}


def test_a_right_answer_in_another_language_is_right_and_off_target():
    scored = mgsm.score(ROW, f"{SAID['en']} 1218", language="de")
    assert (scored.values["acc"], scored.values["off_target"], scored.detail["rule"]) == (1.0, 1.0, "last")


@pytest.mark.parametrize("response", ["", "1218", r"\boxed{1218}", "7 · 6 = 42"])
def test_an_answer_without_words_is_undecided_and_not_off_target(response):
    values = mgsm.score(ROW, response, language="de").values
    assert (values["off_target"], values["undecided"]) == (None, 1.0)


def test_an_answer_without_a_number_is_wrong_and_not_parsed():
    values = mgsm.score(ROW, SAID["de"], language="de").values
    assert (values["acc"], values["parsed"], values["acc_flexible"]) == (0.0, 0.0, 0.0)


def test_half_a_character_in_an_answer_is_scored_like_any_other():
    assert mgsm.score(ROW, "Antwort: 1218 \ud83d", language="de").values["acc"] == 1.0


@pytest.mark.parametrize(("gold", "is_right"), [(" 1218\n", 1.0), ("1,218", 0.0)])
def test_a_gold_that_is_compared_as_it_is_written_is_so_without_the_space_around_it(gold, is_right):
    (row,) = mgsm.as_text([{**ROW, "gold": gold}])
    assert mgsm.score(row, "Antwort: 1218", language="de").values["acc"] == is_right


def test_together_answers_are_scored_as_one_by_one():
    responses = [f"{said} {WORDS[code].answer}: 1218" for code, said in SAID.items()]
    together = mgsm.score_all([ROW] * len(responses), responses, language="fr")
    assert together == [mgsm.score(ROW, response, language="fr") for response in responses]
    scores = mgsm.summarise([one.values for one in together])
    assert set(scores) == set(mgsm.METRICS)
    assert (scores["off_target"].value, scores["off_target"].n) == (pytest.approx(10 / 11), 11)  # all but the French
    assert scores["off_target_all"].value == pytest.approx(10 / 11)
    assert scores["acc"].n == 11
    assert scores["acc"].stderr is not None


def test_of_right_and_parsed_answers_more_is_better_and_less_of_those_in_another_language_or_in_none_known():
    assert [name for name, more_is_better in mgsm.METRICS.items() if not more_is_better] == [
        "off_target",
        "off_target_all",
        "undecided",
    ]


def test_prompts_are_the_question_the_papers_instruction_or_our_own():
    assert mgsm.prompt_of(ROW, "de") == ROW["question"]
    frame = pl.DataFrame({"language": ["sw"], "text": [ROW["question"]]})
    assert mgsm.prompt_of(ROW, "sw", "paper_instr") == instruct(frame, {"sw": LANGUAGES["sw"].name})["text"].item()
    prompt = mgsm.prompt_of(ROW, "de", "instr")
    assert prompt.startswith("Löse diese")
    assert prompt.endswith("\n\n" + ROW["question"])


@pytest.mark.parametrize("language", mgsm.LANGUAGES)
def test_our_instruction_names_the_answer_word_that_is_looked_for(language):
    instruction = WORDS[language].instruction
    assert f"{WORDS[language].answer}" in instruction
    last = instruction[instruction.rindex(WORDS[language].answer) :]
    assert "<" in last
    assert len(last) < 60
    from lidr.transforms.language_id import language_of

    assert language_of(instruction, mgsm.LANGUAGES) == language


def test_each_form_and_language_has_its_own_hash():
    hashes = {mgsm.prompt_sha256(language, variant) for language in mgsm.LANGUAGES for variant in mgsm.VARIANTS}
    assert len(hashes) == len(mgsm.LANGUAGES) * len(mgsm.VARIANTS)


@pytest.mark.parametrize(
    ("language", "variant", "said"),
    [
        ("it", "plain", 'MGSM is not in "it"; its languages: en, de'),
        ("de", "x", 'unknown variant "x".*plain, paper_inst'),
    ],
)
def test_what_mgsm_does_not_have_is_said(language, variant, said):
    for function in (mgsm.task_name, mgsm.prompt_sha256):
        with pytest.raises(EvaluationError, match=said):
            function(language, variant)


# Made by hand, as models write: (text, language) -> through lm-eval's bundled filter and through ours.
GENERATIONS = [
    "{} = 18",
    "{} $18.00",
    "{}\n\n**18**",
    "{} 70 000",
    "{} 70.000 (7)",
    "{} 1,5",
    "{} -18",
    "{} $",
    "{} 18...",
    "{} ...",
    "{}",
    "",
    "18 {}",
    "{} １８",
    "\\boxed{{18}} {}",
    "{} 114,200",
]


@pytest.mark.parametrize("language", MGSM_LANGUAGES)
def test_lm_evals_bundled_task_and_ours_give_the_same_accuracy_read_by_lm_evals_filter(language):
    responses = [text.format(SAID[language]) for text in GENERATIONS]
    golds = ["18", "70000", "15", "114200"]
    pairs = [(gold, response) for gold in golds for response in responses]
    bundled = read_by(mgsm_task("direct", language, [gold for gold, _ in pairs]), [text for _, text in pairs])
    rows = [{"gold": f"{int(gold):,}"} for gold, _ in pairs]
    ours = mgsm.score_all(rows, [text for _, text in pairs], language=language)
    theirs = [is_right for _, is_right in bundled["flexible-extract"]]
    assert [one.values["acc_flexible"] for one in ours] == theirs
    assert mgsm.summarise([one.values for one in ours])["acc_flexible"].value == math.fsum(theirs) / len(theirs)
    assert 0 < sum(theirs) < len(theirs)


def test_the_filter_takes_what_a_chat_server_sends():
    docs = [{**ROW, "language": "de"}] * 3
    found = mgsm.read_answers([[None], [], ["Antwort: 1218"]], docs)
    assert [one["values"]["acc"] for one in found] == [0.0, 0.0, 1.0]
    results = mgsm.process_results(docs[2], [found[2]])
    assert results["reading"]["rule"] == "prefix"
    assert mgsm.count_readings([results["reading"], {"number": None}]) == 1
    assert mgsm.mean_of_decided([1.0, None, 0.0]) == 0.5
    assert math.isnan(mgsm.mean_of_decided([None]))
    assert mgsm.read_answers([], []) == []
