import time
from pathlib import Path

import pytest

from lidr.engines.engine import ChatRequest, Completion, Failure
from lidr.engines.scripted import ScriptedEngine
from lidr.errors import EngineError
from tests.engines.helpers import ask

SCRIPT = """
{"match": "What is (a", "text": "Half a question."}
{"match": "into Spanish:.*honey", "text": "Miel y cera.</t> more"}
{"match": "^Tell me", "text": "Well, first", "finish_reason": "length"}
{"match": "Fail", "error": "the server is on fire"}
{"text": "I do not know."}
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "script.jsonl"
    path.write_text(SCRIPT)
    return path


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("What is (a", Completion("k", "Half a question.", "stop", 3, 3)),
        ("Translate into Spanish:\n\nhoney", Completion("k", "Miel y cera.", "stop", 4, 3)),
        ("Tell me more", Completion("k", "Well, first", "length", 3, 2)),
        ("Please Fail", Failure("k", "the server is on fire")),
        ("Do not Tell me", Completion("k", "I do not know.", "stop", 4, 4)),
    ],
)
def test_the_first_rule_that_fits_answers(script: Path, message: str, expected: Completion | Failure) -> None:
    engine = ScriptedEngine.from_file(script)
    assert list(engine.generate([ask("k", message, stop=("</t>",))])) == [expected]
    assert list(engine.generate([ask("k", message, stop=("</t>",))])) == [expected]


def test_rules_look_at_the_last_user_message_only(script: Path) -> None:
    request = ChatRequest(
        "k",
        (
            {"role": "user", "content": "Fail"},
            {"role": "assistant", "content": "Fail"},
            {"role": "user", "content": "Tell me"},
        ),
        ask("k").sampling,
    )
    (result,) = ScriptedEngine.from_file(script).generate([request])
    assert isinstance(result, Completion)
    assert result.text == "Well, first"


def test_a_request_that_no_rule_fits_fails_by_name(tmp_path: Path) -> None:
    path = tmp_path / "script.jsonl"
    path.write_text('{"match": "x", "text": "\u2028 is no line end"}')
    assert list(ScriptedEngine.from_file(path).generate([ask("k", "Hello?")])) == [
        Failure("k", f"{path}: no rule fits 'Hello?'")
    ]


def test_a_function_may_give_text_completions_and_failures() -> None:
    answers: dict[str, str | Completion | Failure] = {
        "a": "two words",
        "b": Completion("b", "cut", "length", 1, 1),
        "c": Failure("c", "no"),
    }
    with ScriptedEngine(lambda request: answers[request.key]) as engine:
        assert list(engine.generate(ask(key) for key in answers)) == [
            Completion("a", "two words", "stop", 4, 2),
            answers["b"],
            answers["c"],
        ]


def test_answers_can_take_time(tmp_path: Path) -> None:
    path = tmp_path / "script.jsonl"
    path.write_text('{"text": "slow", "delay_s": 0.1}')
    start = time.monotonic()
    list(ScriptedEngine.from_file(path, delay_s=0.1).generate([ask("a"), ask("b")]))
    assert time.monotonic() - start >= 0.4


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"script\.jsonl:2: not a rule: .*a JSON object with some of: match, text, finish_reason, error, delay_s"),
        ('{"txt": "a"}', r"script\.jsonl:2: not a rule: .*txt"),
        ("[1]", r"script\.jsonl:2: not a rule"),
        ('{"text": 5}', r"script\.jsonl:2: text, match and reasoning must be strings"),
        (
            '{"finish_reason": "end"}',
            r"unknown value 'end' \(stop, length, prompt_too_long, content_filter, ",
        ),
    ],
)
def test_a_line_that_is_no_rule_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "script.jsonl"
    path.write_text('{"text": "a"}\n' + line)
    with pytest.raises(EngineError, match=message):
        ScriptedEngine.from_file(path)


def test_a_missing_script_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"nowhere\.jsonl: the script of answers cannot be read"):
        ScriptedEngine.from_file(tmp_path / "nowhere.jsonl")


def test_a_pattern_that_takes_long_ends_in_an_error_that_names_it(tmp_path):
    (tmp_path / "s.jsonl").write_text('{"match": "(a|aa)+$", "text": "x"}\n')
    engine = ScriptedEngine.from_file(tmp_path / "s.jsonl")
    request = ask("k", "a" * 100 + "b")
    with pytest.raises(EngineError, match=r"a pattern that takes more than 2 s on one message: '\(a\|aa\)\+\$'"):
        list(engine.generate([request]))
