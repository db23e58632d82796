from __future__ import annotations

import re
from functools import partial

import pytest

from lidr.engines import Failure
from lidr.engines.arrivals import Arrivals
from lidr.engines.process import engine_process
from lidr.errors import EngineError
from lidr.steps.translate import attempt_stream
from lidr.steps.translate.attempts import PendingTranslation, requests_of
from tests.scripted import write_answers, write_world
from tests.steps.helpers import record_of, rows_of

RETRY = "chain.translate.retry={times: 3}"


def test_every_answer_goes_both_ways_and_nowhere_else(tmp_path):
    rows = rows_of(write_world(tmp_path), "iter_1/translate")
    assert rows.filter(prompt_id="p0").select("source", "target", "text", "status", "attempts").rows() == [
        ("en", "es", "bees from English into Spanish.", "ok", 1),
        ("en", "de", "bees from English into German.", "ok", 1),
        ("es", "en", "bees from Spanish into English.", "ok", 1),
        ("de", "en", "bees from German into English.", "ok", 1),
    ]
    assert rows["raw"][0] == "bees from English into Spanish.\n</translated>"


def test_an_empty_answer_is_not_sent_and_counts_as_failed_upstream(tmp_path):
    recipe = write_world(tmp_path)
    write_answers(tmp_path / "answers.jsonl", first=({"match": "Spanish: tell me about bees", "text": ""},))
    row = rows_of(recipe, "iter_1/translate").filter(prompt_id="p0", source="es").row(0, named=True)
    assert (row["status"], row["attempts"], row["text"]) == ("failed_upstream", 0, "")
    assert record_of(recipe, "iter_1/translate").counts["directions"]["es->en"]["failed_upstream"] == 1


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ({"text": "bees\n</translated>"}, "ok"),
        ({"text": "las abejas"}, "unclosed_at_end"),
        ({"text": "las abe", "finish_reason": "length"}, "truncated"),
        ({"text": "Lo siento, no puedo traducir esto.\n</translated>"}, "refused"),
        ({"text": "bees in English at length.\n</translated>"}, "copied_source"),
        ({"text": "\n</translated>"}, "empty"),
    ],
)
def test_each_status_is_told_apart_and_the_raw_text_kept(tmp_path, answer, status):
    recipe = write_world(tmp_path)
    write_answers(tmp_path / "answers.jsonl", first=({"match": "into Spanish.*bees in English", **answer},))
    row = rows_of(recipe, "iter_1/translate").filter(prompt_id="p0", target="es").row(0, named=True)
    assert (row["status"], row["raw"], row["attempts"]) == (status, answer["text"], 1)


def test_a_text_in_another_language_is_wrong_language_when_the_recipe_checks(tmp_path):
    recipe = write_world(tmp_path)
    english = "Bees live together in large groups and make honey from the flowers that they visit.\n</translated>"
    write_answers(tmp_path / "answers.jsonl", first=({"match": "into Spanish.*bees in English", "text": english},))
    rows = rows_of(recipe, "iter_1/translate", "chain.translate.check_language=true")
    assert rows.filter(prompt_id="p0", target="es")["status"].item() == "wrong_language"


def test_a_failed_translation_is_tried_again_and_a_good_one_is_not(tmp_path, monkeypatch):
    asked, starts, _ = watch_engine(monkeypatch)
    recipe = write_world(tmp_path)
    rows = rows_of(recipe, "iter_1/translate", RETRY)
    assert set(rows["attempts"]) == {1}
    assert len(asked) == 12 + 16
    assert starts == [1, 1]  # one engine start for generate, one for both directions of translate


def test_each_retry_differs_and_the_last_good_text_is_kept(tmp_path, monkeypatch):
    recipe = write_world(tmp_path)
    two = "bees in English at length.\n\nMore of bees in English."
    write_answers(
        tmp_path / "answers.jsonl",
        first=(
            {"match": "English: tell me about bees", "text": two},
            {"match": "into Spanish.*at length.*More of bees", "text": "cut", "finish_reason": "length"},
        ),
    )
    asked, starts, calls = watch_engine(monkeypatch)
    rows = rows_of(recipe, "iter_1/translate", RETRY)
    row = rows.filter(prompt_id="p0", source="en", target="es").row(0, named=True)
    assert (row["status"], row["attempts"]) == ("ok", 3)
    assert row["text"] == "bees from English into Spanish.\n\nbees from English into Spanish."
    mine = [request for request in asked if request.key.startswith("p0/en->es/")]
    assert [(r.key, r.sampling.max_tokens) for r in mine] == [
        ("p0/en->es/0.0", 80),
        ("p0/en->es/1.0", 160),
        ("p0/en->es/2.0", 160),
        ("p0/en->es/2.1", 160),
    ]
    assert starts == [1, 1]
    assert calls == [1, 1]  # retries too are asked while the engine is at work
    assert record_of(recipe, "iter_1/translate", RETRY).counts["attempts"] == {"1": 15, "3": 1}


def test_a_failed_translation_is_asked_again_before_the_last_was_asked_once(tmp_path, monkeypatch):
    monkeypatch.setattr(attempt_stream, "READ_AT_ONCE", 4)
    recipe = write_world(tmp_path)
    cut = {"match": "into Spanish.*bees in English", "text": "las", "finish_reason": "length"}
    write_answers(tmp_path / "answers.jsonl", first=(cut,))
    asked, _, calls = watch_engine(monkeypatch)
    rows_of(recipe, "iter_1/translate", RETRY)
    keys = [request.key for request in asked]
    again = [keys.index(f"p0/en->es/{attempt}.0") for attempt in range(4)]
    assert again == sorted(again)
    assert again[-1] < keys.index("p3/de->en/0.0")
    assert calls == [1, 1]


@pytest.mark.parametrize("ended_after", [1, 5, 9, 17, 18])
def test_a_run_that_ended_between_attempts_asks_what_is_missing_and_gives_the_same(tmp_path, monkeypatch, ended_after):
    cut = {"match": "into Spanish.*in English", "text": "las", "finish_reason": "length"}
    wanted = {}
    for name in ("whole", "ended"):
        recipe = write_world(tmp_path / name)
        write_answers(tmp_path / name / "answers.jsonl", first=(cut,))
        wanted[name] = recipe
    whole = rows_of(wanted["whole"], "iter_1/translate", RETRY)
    with monkeypatch.context() as patched:
        asked, _, _ = watch_engine(patched, ends_after=12 + ended_after)
        with pytest.raises(KeyboardInterrupt):
            rows_of(wanted["ended"], "iter_1/translate", RETRY)
    first = [request.key for request in asked]
    asked, _, _ = watch_engine(monkeypatch)
    assert rows_of(wanted["ended"], "iter_1/translate", RETRY).equals(whole)
    second = [request.key for request in asked]
    assert len({*first[:-1], *second}) == len(first) - 1 + len(second)  # nothing is asked twice
    counts = [record_of(wanted[name], "iter_1/translate", RETRY).counts for name in ("whole", "ended")]
    assert counts[0] == counts[1]


def test_an_engine_that_has_many_at_once_gets_the_failed_ones_before_it_is_through(tmp_path, monkeypatch):
    monkeypatch.setattr(attempt_stream, "READ_AT_LAST", 4)
    recipe = write_world(tmp_path)
    cut = {"match": "into Spanish.*bees in English", "text": "las", "finish_reason": "length"}
    write_answers(tmp_path / "answers.jsonl", first=(cut,))
    answered_before, answered = {}, 0

    def many(generate, requests):
        nonlocal answered
        pending, held = Arrivals(requests), []
        while some := held + (new := pending.take(100, waits=not held)):
            answered_before.update((request.key, answered) for request in new)
            held = some[1:]
            answered += 1
            yield from generate(some[:1])

    wrap_engine(monkeypatch, many)
    rows_of(recipe, "iter_1/translate", RETRY)
    assert answered_before["p3/de->en/0.0"] == 12  # the 12 of generate
    assert answered_before["p0/en->es/1.0"] == 12 + 4


def test_a_request_without_an_answer_is_told_and_asked_again_and_all_others_are_kept(tmp_path, monkeypatch):
    recipe = write_world(tmp_path)
    asked, _, _ = watch_engine(monkeypatch)
    away = iter(["the server is away"])

    def failing(generate, requests):
        for answer in generate(requests):
            error = next(away, None) if answer.key == "p1/es->en/0.0" else None
            yield Failure(answer.key, error) if error else answer

    wrap_engine(monkeypatch, failing)
    said = re.escape("1 of 16 requests got no answer; the first, p1/es->en/0.0: the server is away")
    with pytest.raises(EngineError, match=said):
        rows_of(recipe, "iter_1/translate", RETRY)
    asked.clear()
    rows = rows_of(recipe, "iter_1/translate", RETRY)
    assert [request.key for request in asked] == ["p1/es->en/0.0"]
    assert set(rows["status"]) == {"ok"}


def test_the_prompt_ends_with_the_papers_prefill(tmp_path):
    recipe = write_world(tmp_path)
    rows_of(recipe, "iter_1/translate")
    import lidr

    around = lidr.load_recipe(recipe)
    run = type("Run", (), {"recipe": around, "config": around.chain[1].config})()
    (request,) = requests_of(run, PendingTranslation("p0", "en", "es", "Bees make honey.", None), 0)
    assert request.prefill == "<translated>\n"
    assert request.messages[-1]["content"].startswith("Please translate the following sentences into Spanish.")


def wrap_engine(monkeypatch, wrapper):
    """Answer by `wrapper`, which gets the engine's own `generate` and the requests."""
    real = engine_process.open_engine

    def opened(spec, *, log):
        engine = real(spec, log=log)
        engine.generate = partial(wrapper, engine.generate)
        return engine

    monkeypatch.setattr(engine_process, "open_engine", opened)


def watch_engine(monkeypatch, ends_after=None):
    """Record every request that reaches the engine, every start of one, and every call of it."""
    asked, starts, calls = [], [], []

    def seen(requests):
        for request in requests:
            asked.extend([request] if request is not None else [])
            if len(asked) == ends_after:
                raise KeyboardInterrupt
            yield request

    def watched(generate, requests):
        calls.append(1)
        return generate(seen(requests))

    wrap_engine(monkeypatch, watched)
    real = engine_process.open_engine
    monkeypatch.setattr(engine_process, "open_engine", lambda *spec, **log: starts.append(1) or real(*spec, **log))
    return asked, starts, calls
