"""The measure step: what it reads off the scripted world, judged by a server that prefers what a test says."""

from __future__ import annotations

import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import polars as pl
import pytest

import lidr
from lidr.errors import EvaluationError, PlanError, RowError
from lidr.store.artifact import open_artifact
from tests.scripted import RECIPE, TOPICS, write_answers, write_world
from tests.tiny import tiny_model

NUMBERS = {topic: 3 + i for i, topic in enumerate(TOPICS)}


def with_measure(settings: str, recipe: str = RECIPE) -> str:
    head, tail = recipe.split("iterations:")
    return f"{head}  - measure: {settings}\niterations:{tail}"


def world(folder, settings):
    """English answers are right, German ones wrong, Spanish ones right where they come from English."""
    path = write_world(folder, with_measure(settings))
    answers, marks = [], {"English": 0, "Spanish": 1, "German": 1}
    for topic, number in NUMBERS.items():
        for name, off in marks.items():
            answers.append({"match": f"{name}: tell me about {topic}", "text": f"{topic} in {name}. {number + off}"})
            for other in marks:
                wrong = off or int(other == "German")
                text = f"{topic} from {name} into {other}. {number + wrong}\n</translated>"
                answers.append({"match": f"into {other}\\..*{topic} (in|from \\w+ into) {name}", "text": text})
    write_answers(folder / "answers.jsonl", first=tuple(answers))
    gold = "".join(json.dumps({"id": f"p{i}", "response": str(NUMBERS[t])}) + "\n" for i, t in enumerate(TOPICS))
    (folder / "gold").mkdir()
    (folder / "gold/en.jsonl").write_text(gold, encoding="utf-8")
    return path


def measured(path, **options):
    planned = lidr.run(lidr.load_recipe(path, **options))
    return open_artifact(planned.version_folder / "iter_1/measure")


def numbers(artifact, test):
    return {(n["language"], n["other"]): n for n in artifact.record.counts["numbers"] if n["test"] == test}


def test_gold_answers_say_which_pairs_point_the_right_way(tmp_path):
    artifact = measured(world(tmp_path / "w", "{{gold: {folder}/gold}}"))
    found = {(a["language"], a["kind"]): a for a in artifact.record.counts["reward_accuracy"]}
    spanish, german = found["es", "non_dominant"], found["de", "non_dominant"]
    assert (spanish["agree"], spanish["disagree"], spanish["ties"]) == (4, 0, 0)
    assert (german["agree"], german["disagree"], german["ties"]) == (0, 0, 4)  # both sides are wrong
    assert spanish["accuracy"]["low"] == pytest.approx(0.51, abs=0.01)  # 4 of 4, Wilson
    assert (spanish["is_certain"], german["is_certain"]) == (True, False)
    assert german["accuracy"]["value"] is None
    assert artifact.record.counts["uncertain"] == [{"language": "de", "kind": "non_dominant"}]
    assert found["es", "dominant"]["agree"] == 4


def test_its_rows_are_one_value_for_each_prompt_and_test_and_the_paper_stands_beside_them(tmp_path):
    artifact = measured(world(tmp_path / "w", "{{gold: {folder}/gold}}"))
    rows = pl.DataFrame(artifact.read())
    assert rows.select("test", "language", "other", "kind", "prompt_id").is_unique().all()
    ratio = numbers(artifact, "length_ratio")["es", "en"]
    assert ratio["n"] == 4
    assert ratio["value"] == pytest.approx(
        0.62, abs=0.1
    )  # ln("bees from English into Spanish. 3" / "bees in English. 3")
    paper = artifact.record.counts["paper"]["values"]
    assert paper["language_gap"] == {"en": 9.6, "es": 8.34, "de": 4.69}
    assert paper["reward_accuracy"]["es"] == 0.57


def test_off_target_answers_are_counted_and_undecidable_ones_apart(tmp_path):
    path = write_world(tmp_path / "w", with_measure("{{}}"))
    english = "The bees make honey and wax in the hive all summer long."
    write_answers(
        tmp_path / "w/answers.jsonl",
        first=(
            {"match": "German: tell me about bees", "text": english},
            {"match": "German: tell me about rain", "text": "Regen fällt im Winter oft auf die kalten Felder."},
            {"match": "German: tell me about", "text": "42"},
            {"match": "Please translate", "text": "tea\n</translated>"},
        ),
    )
    found = numbers(measured(path), "off_target")["de", ""]
    assert (found["value"], found["n"], found["not_scored"]) == (0.5, 2, 2)


def test_a_sample_is_drawn_by_hash_and_is_the_same_each_time(tmp_path):
    rows = [
        set(measured(world(tmp_path / name, "{{gold: {folder}/gold, sample: 2}}")).read()["prompt_id"].to_pylist())
        for name in ("a", "b")
    ]
    assert rows[0] == rows[1]
    assert len(rows[0]) == 2


def test_a_round_trip_is_asked_of_the_policy_and_scored_with_chrf(tmp_path):
    found = numbers(measured(world(tmp_path / "w", "{{round_trip: {{max_tokens: 80}}}}")), "round_trip_chrf")
    assert set(found) == {("es", "en"), ("de", "en")}
    assert all(0 < one["value"] < 100 and one["n"] == 4 for one in found.values())


_SAID = re.compile(rf"(?:{'|'.join(TOPICS)}) (?:in|from) [^\n]*?\.")


class _Judge(BaseHTTPRequestHandler):
    """Prefers what came from English; marks of 9 for what mentions English, 3 for the rest."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        asked = body["messages"][-1]["content"]
        self.server.asked.append(asked)
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "m"}}
        if body.get("logprobs"):
            shown = ["English" in text for text in _SAID.findall(asked)][-2:]
            first = -0.1 if shown[0] and not shown[1] else -2.3
            top = [{"token": "m", "logprob": first}, {"token": "M", "logprob": -2.4 - first}]
            if shown[0] == shown[1]:
                top = [{"token": t, "logprob": -0.7} for t in ("m", "M")]
            top = [{**one, "bytes": list(one["token"].encode())} for one in sorted(top, key=lambda t: -t["logprob"])]
            choice["logprobs"] = {"content": [{**top[0], "top_logprobs": top}]}
        else:
            answer = _SAID.findall(asked)[-1]
            choice["message"]["content"] = f"Mark: {9 if 'English' in answer else 3}"
        sent = json.dumps({"id": "1", "object": "chat.completion", "model": "j", "choices": [choice]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, *_):
        """Say nothing."""


@contextmanager
def judge_server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Judge)
    server.daemon_threads, server.asked = True, []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_judge_gives_the_gap_the_ranking_and_the_reward_accuracy(tmp_path):
    path = world(tmp_path / "w", "{{judge: {{model: URL}}}}")
    with judge_server() as server:
        url = f"openai:j@http://127.0.0.1:{server.server_address[1]}/v1"
        path.write_text(path.read_text(encoding="utf-8").replace("URL", f'"{url}"'), encoding="utf-8")
        artifact = measured(path)
        calls = len(server.asked)
        lidr.run(lidr.load_recipe(path, overrides=["iterations=[{prompts: '0:4'}]"]), rebuild=["measure"])
        assert len(server.asked) == calls  # every answer stands in the store's cache
    own, translated = numbers(artifact, "own_mark"), numbers(artifact, "translated_mark")
    assert {code: own[code, ""]["value"] for code in ("en", "es", "de")} == {"en": 9, "es": 3, "de": 3}
    assert translated["es", "en"]["value"] == 9
    assert numbers(artifact, "mark_difference")["es", "en"]["value"] == 6
    assert numbers(artifact, "preferred")["es", "en"]["value"] > 0.9
    spanish = next(
        a for a in artifact.record.counts["reward_accuracy"] if (a["language"], a["kind"]) == ("es", "non_dominant")
    )
    assert (spanish["referee"], spanish["agree"], spanish["accuracy"]["n"]) == ("judge", 4, 4)
    assert artifact.record.counts["judge"]["model"].startswith("openai:j@")


def test_a_judge_that_cannot_be_asked_ends_the_step(tmp_path):
    path = world(tmp_path / "w", '{{judge: {{model: "openai:j@http://127.0.0.1:9/v1", max_calls: 3}}}}')
    with pytest.raises(EvaluationError, match="max_calls allows 3; nothing was asked"):
        lidr.run(lidr.load_recipe(path))


def test_who_judges_and_the_gold_answers_are_identity_and_how_many_are_asked_at_once_is_not(tmp_path):
    path = world(tmp_path / "w", '{{gold: {folder}/gold, judge: {{model: "openai:j@http://127.0.0.1:9/v1"}}}}')

    def fingerprint(*overrides):
        steps = lidr.plan(lidr.load_recipe(path, overrides=list(overrides))).steps
        return next(step.fingerprint for step in steps if step.place == "iter_1/measure")

    plain = fingerprint()
    assert fingerprint("chain.measure.judge.concurrency=2") == plain
    assert fingerprint("chain.measure.judge.mode=text") != plain
    assert fingerprint("chain.measure.judge.model=openai:k@http://127.0.0.1:9/v1") != plain
    gold = tmp_path / "w/gold/en.jsonl"
    gold.write_text(gold.read_text(encoding="utf-8").replace('"3"', '"4"'), encoding="utf-8")
    assert fingerprint() != plain


def test_gold_answers_that_are_not_there_or_no_numbers_are_named(tmp_path):
    path = world(tmp_path / "w", "{{gold: {folder}/gold}}")
    with pytest.raises(PlanError, match=r"measure\.gold: no file .*nowhere/en\.jsonl; give a folder with LANG\.jsonl"):
        lidr.plan(lidr.load_recipe(path, overrides=[f"chain.measure.gold={tmp_path}/nowhere"]))
    gold = tmp_path / "w/gold/en.jsonl"
    gold.write_text('{"id": "p0", "response": "many"}\n', encoding="utf-8")
    with pytest.raises(RowError, match=r"en\.jsonl:1: no gold answer: no number: 'many'; write \{id, response\}"):
        lidr.run(lidr.load_recipe(path))
    gold.write_text('{"id": "p0", "text": "3"}\n', encoding="utf-8")
    with pytest.raises(RowError, match="it has none of final_answer, answer, response"):
        lidr.run(lidr.load_recipe(path), rebuild=["measure"])


def test_gold_answers_of_other_prompts_are_an_error_and_not_a_measurement_of_nothing(tmp_path):
    path = world(tmp_path / "w", "{{gold: {folder}/gold}}")
    gold = tmp_path / "w/gold/en.jsonl"
    gold.write_text(gold.read_text(encoding="utf-8").replace('"p', '"gsm8k_'), encoding="utf-8")
    says = (
        r"en\.jsonl answers none of the 4 prompts .*ids are gsm8k_0, gsm8k_1, gsm8k_2, the prompts' p0, p1, p2: write"
    )
    with pytest.raises(RowError, match=says):
        lidr.run(lidr.load_recipe(path))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"response": "3"}', "it has no id, so nobody knows which prompt it answers; write"),
        ('{"id": "p0", "response": "999"}', "p0 has another gold answer already: 3"),
    ],
)
def test_a_gold_answer_without_an_id_or_against_another_is_named_with_its_line(tmp_path, line, says):
    path = world(tmp_path / "w", "{{gold: {folder}/gold}}")
    gold = tmp_path / "w/gold/en.jsonl"
    gold.write_text(gold.read_text(encoding="utf-8") + line + "\n", encoding="utf-8")
    with pytest.raises(RowError, match=rf"en\.jsonl:9: .*{says}"):
        lidr.run(lidr.load_recipe(path))


def test_a_gold_file_may_begin_with_a_mark_and_hold_line_separators_inside_an_answer(tmp_path):
    path = world(tmp_path / "w", "{{gold: {folder}/gold}}")
    gold = tmp_path / "w/gold/en.jsonl"
    worked = json.dumps({"id": "p0", "answer": "two and one\u2028 #### 3"}, ensure_ascii=False) + "\n"
    gold.write_text("\ufeff" + worked + gold.read_text(encoding="utf-8"), encoding="utf-8")
    assert measured(path).record.counts["reward_accuracy"][0]["agree"] == 4


def test_a_server_gives_no_log_probabilities(tmp_path):
    path = world(tmp_path / "w", "{{margin: {{}}}}")
    with pytest.raises(PlanError, match=r"measure\.margin: a policy behind a server .* gives no log-probabilities"):
        lidr.plan(lidr.load_recipe(path))


def test_the_policys_own_margins_are_measured_before_training(tmp_path):
    text = with_measure("{{margin: {{max_length: 400}}}}").replace(
        '"openai:canned@http://127.0.0.1:9"', "{folder}/model"
    )
    path = write_world(tmp_path / "w", text)
    tiny_model(tmp_path / "w/model", "smollm2", seed=1)
    artifact = measured(path, overrides=["iterations=[{prompts: '0:2'}]"])
    found = [n for n in artifact.record.counts["numbers"] if n["test"] == "logp_margin"]
    assert {(n["language"], n["kind"], n["n"]) for n in found} >= {("en", "dominant", 2), ("es", "non_dominant", 2)}
    assert all(abs(n["value"]) < 20 for n in found)
