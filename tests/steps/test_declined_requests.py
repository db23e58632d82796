"""A server that will not answer some questions: rows with a reason, shown, and a run that comes to its end."""

from __future__ import annotations

import json
import re

import pytest

from lidr.cli.main import main
from lidr.errors import EngineError
from tests.engines.server import Reply, Server, completion
from tests.scripted import RECIPE, write_world
from tests.steps.helpers import record_of, rows_of

FILTERED = completion("", "content_filter")
REFUSED = Reply(400, '{"error": {"message": "we do not speak of rain", "code": "invalid_prompt"}}')


def served(tmp_path, server, name="w"):
    """The scripted recipe, asked of a server."""
    recipe = write_world(
        tmp_path / name,
        RECIPE.replace("canned@http://127.0.0.1:9", f"canned@{server.url}")
        .replace("engine: scripted, answers: {folder}/answers.jsonl", "engine: openai, engine_batch: 1")
        .replace("max_tokens: 80", "max_tokens: 80, retry: {{times: 1}}"),
    )
    rules = [json.loads(line) for line in (recipe.parent / "answers.jsonl").read_text(encoding="utf-8").splitlines()]
    return recipe, rules


def answer(body, rules):
    asked = next(message["content"] for message in body["messages"] if message["role"] == "user")
    if "about bees" in asked:
        return FILTERED
    if "about rain" in asked and asked.startswith("German"):
        return REFUSED
    if "bread in English" in asked and "into Spanish" in asked:
        return FILTERED
    return completion(next((rule["text"] for rule in rules if re.search(rule["match"], asked, re.DOTALL)), "Hi."))


@pytest.fixture
def world(tmp_path):
    rules: list[dict] = []
    with Server(lambda body, number: answer(body, rules)) as server:
        recipe, found = served(tmp_path, server)
        rules += found
        yield recipe, server


def test_what_a_server_does_not_answer_is_a_row_with_its_reason_and_asked_once(world):
    recipe, server = world
    rows = rows_of(recipe, "iter_1/generate")
    assert dict(rows.group_by("finish_reason").len().rows()) == {"stop": 8, "content_filter": 3, "refused": 1}
    assert rows.filter(finish_reason="refused").select("prompt_id", "language").rows() == [("p1", "de")]
    assert record_of(recipe, "iter_1/generate").counts["unanswered"] == [
        {
            "finish_reason": "content_filter",
            "said": "finish_reason: content_filter",
            "count": 3,
            "first": "p0/en",
        },
        {
            "finish_reason": "refused",
            "said": 'HTTP 400: {"error": {"message": "we do not speak of rain", "code": "invalid_prompt"}}',
            "count": 1,
            "first": "p1/de",
        },
    ]
    asked = len(server.bodies)
    rows_of(recipe, "iter_1/generate")
    assert len(server.bodies) == asked


def test_their_slots_are_dropped_with_that_reason_and_the_run_goes_on(world, capsys):
    recipe, _ = world
    dropped = rows_of(recipe, "iter_1/pair", part="dropped")
    reasons = {
        (row["prompt_id"], row["kind"], row["language"], row["other_language"]): row["reason"]
        for row in dropped.iter_rows(named=True)
    }
    assert reasons["p0", "dominant", "en", "es"] == "content_filter"
    assert reasons["p0", "non_dominant", "es", "en"] == "content_filter"
    assert reasons["p1", "non_dominant", "de", "en"] in ("refused", "translation_failed_upstream")
    assert reasons["p1", "dominant", "en", "de"] == "translation_failed_upstream"
    assert ("p1", "dominant", "en", "es") not in reasons
    assert reasons["p2", "non_dominant", "es", "en"] == "translation_refused"
    assert len(dropped) + len(rows_of(recipe, "iter_1/pair")) == 2 * 4 * 2
    assert main(["run", str(recipe), "--set", "iterations=[{prompts: '0:4'}]", "--until", "pair", "--quiet"]) == 0
    said = capsys.readouterr().out
    assert "iter_1/generate: 3 without an answer (content_filter), the first of them p0/en" in said
    assert "we do not speak of rain" in said
    assert "pair: content_filter" in said


def test_numbers_that_no_table_holds_in_an_old_journal_are_asked_again(world):
    recipe, server = world
    answers = server._reply
    server._reply = lambda body, number: answers(body, number) if number < 5 else Reply(401)
    with pytest.raises(EngineError, match="HTTP 401"):
        rows_of(recipe, "iter_1/generate")
    server._reply = answers
    (journal,) = recipe.parent.glob("runs/*/*/iter_1/generate.partial/work/answers.jsonl")
    rows = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    names = ("key", "text", "finish_reason", "prompt_tokens", "completion_tokens")
    old = [{name: row[name] for name in names} | {"prompt_tokens": 10**23} for row in rows]
    journal.write_text("".join(json.dumps(row) + "\n" for row in old), encoding="utf-8")
    assert len(old) == 5
    assert set(rows_of(recipe, "iter_1/generate")["prompt_tokens"]) <= {0, 11}
