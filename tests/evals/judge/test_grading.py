"""Grading single answers."""

from __future__ import annotations

import pytest

from lidr.errors import EvaluationError
from lidr.evals.judge import Grading, grade, grades_needed
from tests.engines.server import Reply, Server
from tests.evals.judge.answers import QUICK, refused, settings, user_text, words

TALK = (
    {"role": "system", "content": "Be short."},
    {"role": "user", "content": "Wer macht Honig?"},
    {"role": "assistant", "content": "Bienen."},
    {"role": "user", "content": "Und woraus?"},
    {"role": "assistant", "content": "Aus Nektar {answer}."},
)


def test_the_last_answer_is_graded_in_its_conversation():
    with Server(lambda body, _: words("Right and short.\nMark: 9")) as server:
        (found,) = grade([Grading("81/2", TALK, reference="Aus {conversation} Nektar.")], settings(server))
    assert (found.key, found.score, found.explanation, found.error) == ("81/2", 9.0, "Right and short.\nMark: 9", None)
    text = user_text(server.bodies[0])
    talk = "System: Be short.\n\nUser: Wer macht Honig?\n\nAssistant: Bienen.\n\nUser: Und woraus?\n"
    assert talk in text
    assert text.count("Aus Nektar {answer}.") == text.count("Aus {conversation} Nektar.") == 1
    assert {name for name in server.bodies[0] if "logprob" in name} == set()


def test_without_a_reference_the_judge_is_told_that_there_is_none():
    with Server(lambda body, _: words("Mark: 4")) as server:
        grade([Grading("1", TALK)], settings(server))
    assert "(none is given)" in user_text(server.bodies[0])


def test_failures_are_counted_and_grades_cached(tmp_path):
    def reply(body: dict, number: int) -> Reply:
        text = user_text(body)
        return words("No.") if "No 1" in text else refused(500, "oops") if "No 2" in text else words("Mark: 6")

    gradings = [Grading(str(i), (TALK[1], {"role": "assistant", "content": f"No {i}"})) for i in range(4)]
    with Server(reply) as server:
        asked = settings(server, cache=tmp_path / "c", mode="logprob_swap")
        assert grades_needed(gradings, asked) == 4
        found = grade(gradings, asked, retry=QUICK)
        assert grades_needed(gradings, asked) == 1
    assert [one.score for one in found] == [6.0, None, None, 6.0]
    assert found[1].error == "no marks in the text: 'No.'"
    assert (found[2].error or "").startswith("no answer: 3 tries")


def test_a_conversation_without_an_answer_is_an_error():
    with Server(lambda body, _: words("Mark: 6")) as server:
        with pytest.raises(EvaluationError, match="81/1: a conversation to be graded must end with the assistant's"):
            grade([Grading("81/1", TALK[:2])], settings(server))
        recorded = grade([Grading("81/1", TALK[:2])], settings(server), on_fatal="record")
    assert (recorded[0].error or "").startswith("not asked: ")


def test_a_template_for_pairs_is_no_template_for_grades(tmp_path):
    (tmp_path / "t.txt").write_text("<|im_start|>user\n{instruction} {output_1} {output_2}<|im_end|>")
    missing = pytest.raises(EvaluationError, match=r"t.txt: has no place \{conversation\}")
    with Server(lambda body, _: words("Mark: 6")) as server, missing:
        grade([Grading("1", TALK)], settings(server, template=tmp_path / "t.txt"))
