from __future__ import annotations

import pytest

from lidr.engines.process import engine_process
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
    asked, starts = watch_engine(monkeypatch)
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
    asked, starts = watch_engine(monkeypatch)
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
    assert record_of(recipe, "iter_1/translate", RETRY).counts["attempts"] == {"1": 15, "3": 1}


def test_the_prompt_ends_with_the_papers_prefill(tmp_path):
    recipe = write_world(tmp_path)
    rows_of(recipe, "iter_1/translate")
    import lidr

    around = lidr.load_recipe(recipe)
    run = type("Run", (), {"recipe": around, "config": around.chain[1].config})()
    (request,) = requests_of(run, PendingTranslation("p0", "en", "es", "Bees make honey.", None), 0)
    assert request.prefill == "<translated>\n"
    assert request.messages[-1]["content"].startswith("Please translate the following sentences into Spanish.")


def watch_engine(monkeypatch):
    """Record every request that reaches the engine, and every start of one."""
    asked, starts, real = [], [], engine_process.open_engine

    def opened(spec, *, log):
        starts.append(1)
        engine = real(spec, log=log)
        answer = engine.generate

        def generate(requests):
            requests = list(requests)
            asked.extend(requests)
            return answer(requests)

        engine.generate = generate
        return engine

    monkeypatch.setattr(engine_process, "open_engine", opened)
    return asked, starts
