"""Reading what a judge answered."""

from __future__ import annotations

import json
import math

import pytest

from lidr.evals.judge.answer_reading import LEAST_MASS, LITTLE_MASS, read, read_mark, tokens_of
from tests.evals.judge.answers import choice, said


def from_logprobs(**logprobs: float):
    return read(json.loads(said(logprobs).body), "logprob")


def test_the_probability_of_m_against_the_other_identifier_is_the_preference():
    reading = from_logprobs(m=math.log(0.6), M=math.log(0.2), The=math.log(0.2))
    assert reading.p == pytest.approx(0.75)
    assert (reading.preference, reading.token) == (pytest.approx(1.25), "m")


def test_a_missing_token_has_probability_0():
    assert from_logprobs(M=-0.5, The=-1.0).preference == 2.0
    assert from_logprobs(m=-0.5, The=-1.0).preference == 1.0


MASSES = [
    ({"Okay": -0.001, "M": -9.0, "m": -10.0}, "0.017%"),
    ({"The": -0.05, "m": -5.0}, "0.67%"),
    ({" M": -0.01, "\nm": -5.0, "M": -6.0}, "0.25%"),
    ({"m": -900.0, "M": -901.0}, "0%"),
    ({"m": -9999.0, "M": -9999.0, "I": -0.1}, "0%"),  # how OpenAI's servers write a probability of 0
]


@pytest.mark.parametrize(("logprobs", "mass"), MASSES)
@pytest.mark.parametrize("mode", ["logprob", "logprob_swap"])
def test_letters_with_next_to_no_probability_are_no_verdict(logprobs, mass, mode):
    reading = read(json.loads(said(logprobs).body), mode)
    assert (reading.preference, reading.p, reading.token) == (None, None, None)
    assert reading.error.startswith(
        f"{LITTLE_MASS}: {mass} together, and {100 * LEAST_MASS:g}% are needed; likelier: ["
    )
    assert all(repr(token) in reading.error for token in logprobs if token not in ("m", "M"))


def test_the_floor_itself_is_a_verdict_and_below_it_is_none():
    half = math.log(LEAST_MASS / 2)
    assert from_logprobs(m=half + 1e-9, M=half + 1e-9, The=-0.1).preference == 1.5
    assert from_logprobs(m=half - 1e-6, M=half - 1e-6, The=-0.1).preference is None
    assert from_logprobs(M=math.log(LEAST_MASS) + 1e-9, The=-0.1).preference == 2.0
    assert from_logprobs(M=math.log(LEAST_MASS) - 1e-6, The=-0.1).preference is None


def test_an_even_split_is_a_tie():
    assert from_logprobs(m=-0.7, M=-0.7).preference == 1.5


def test_tokens_are_exact():
    reading = read(json.loads(said({" m": -0.1, "\nM": -2.0, "mm": -3.0}).body), "logprob")
    assert reading.preference is None
    assert reading.error == "neither m nor M: among the likeliest tokens [' m', '\\nM', 'mm']"


@pytest.mark.parametrize(
    "logprobs", [None, {}, {"content": None}, {"content": []}, {"content": [{"top_logprobs": []}]}]
)
def test_an_answer_without_log_probabilities_says_which_mode_to_use(logprobs):
    reading = read(choice("M", logprobs=logprobs), "logprob_swap")
    assert reading.error == "no log-probabilities: the server gives none; use the mode text (answered 'M')"


@pytest.mark.parametrize(
    ("text", "token"),
    [
        ("m", "m"),
        ("M", "M"),
        (" M\n", "M"),
        ("**m**", "m"),
        ('"M".', "M"),
        ("The better answer is that of m.", "m"),
        ("<think>m is short, M is wrong, so m? No: M.</think>\nm", "m"),
        ("M is longer, but wrong.\n\nFinal: m", "m"),
        ("I prefer neither of them.", None),
        ("I'm", None),
        ("I cannot choose between m and M.", None),
        ("I am sorry, but I cannot help with that.", None),
        ("mm", None),
        ("", None),
    ],
)
def test_a_text_names_the_better_output_in_its_last_line(text, token):
    reading = read(choice(text), "text")
    assert reading.token == token
    assert reading.preference == {"m": 1.0, "M": 2.0, None: None}[token]
    assert (reading.error is None) == (token is not None)


def test_a_verdict_that_was_cut_off_says_what_to_raise():
    reading = read(choice("Let me think about", "length"), "text")
    assert reading.error == (
        "no verdict in the text: 'Let me think about'; it was cut at the longest answer: raise the judge's max_tokens"
    )


@pytest.mark.parametrize(
    ("text", "scores"),
    [
        ("Both are fine.\nMarks: m=7, M=4", (7, 4)),
        ("Marks: **m** = 7.5, **M**: 10", (7.5, 10)),
        ("m=1, M=1 at first.\nMarks: m: 0, M: 8,5", (0, 8.5)),
        ("Marks: m=11, M=4", None),
        ("Marks: m=7", None),
        ("7 and 4", None),
    ],
)
def test_two_marks_are_the_last_ones_from_0_to_10(text, scores):
    assert read(choice(text), "score").scores == scores


def test_marks_become_a_preference_by_three_tenths_of_a_logit_a_point():
    def preference(first: float, second: float) -> float | None:
        return read(choice(f"Marks: m={first}, M={second}"), "score").preference

    assert preference(5, 5) == 1.5
    assert preference(5, 8) == pytest.approx(1 + 1 / (1 + math.exp(-0.9)))
    assert preference(8, 5) == pytest.approx(3 - (1 + 1 / (1 + math.exp(-0.9))))


@pytest.mark.parametrize(
    ("text", "mark"),
    [("Good.\nMark: 8", 8), ("**Mark:** 7.5", 7.5), ("Rating: [[9]]", 9), ("Mark: 12", None), ("Fine.", None)],
)
def test_one_mark_is_the_last_one_from_0_to_10(text, mark):
    score, explanation, error = read_mark(choice(text))
    assert (score, explanation) == (mark, text)
    assert (error is None) == (mark is not None)


@pytest.mark.parametrize("message", [None, "m", [], {}, {"content": 7}, {"content": ["m"]}])
@pytest.mark.parametrize("logprobs", [7, "x", [1], {"content": [7]}, {"content": [{"top_logprobs": [{"token": []}]}]}])
def test_whatever_a_server_sends_is_read_without_an_exception(message, logprobs):
    odd = {"choices": [{"message": message, "logprobs": logprobs}], "usage": [message]}
    for mode in ("logprob", "logprob_swap", "text", "score"):
        assert read(odd, mode).error is not None
    assert read_mark(odd)[2] is not None
    assert tokens_of(odd) == (0, 0)


def test_a_filtered_answer_is_an_error_in_every_mode():
    for mode in ("logprob", "text", "score"):
        assert (
            read(choice(None, "content_filter"), mode).error == "answer withheld: the server's content filter ended it"
        )
    assert read_mark(choice("Mark: 3", "content_filter"))[0] is None
