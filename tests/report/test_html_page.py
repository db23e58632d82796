"""The report's page: what it says of a run, that it needs nothing but itself, and that text from data stays text."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

import lidr
from lidr.cli.main import main
from lidr.report.html.html_page import page
from lidr.report.report_text import as_json
from lidr.report.run_state import run_state_of
from tests.decided_runs import lay_down
from tests.report.test_before_after_tables import records as scored_records
from tests.report.test_finding_lines import FALLING, world
from tests.rewritten import rewritten
from tests.scripted import write_answers, write_world

EVIL = '</div><script>alert("1")</script><img src=x onerror=alert(2)>&amp;'


class Tags(HTMLParser):
    """Every tag with its attributes, and whether all that open are closed."""

    VOID = frozenset({"meta", "line", "circle", "rect", "br"})
    QUIET = frozenset({"script", "style"})

    def __init__(self, text):
        super().__init__()
        self.open, self.seen, self.text = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.QUIET & set(self.open):
            self.text.append(data)


def text_of(html):
    return re.sub(r"\s+", " ", " ".join(Tags(html).text))


def page_of(recipe_file, *overrides):
    return page(run_state_of(lidr.load_recipe(recipe_file, overrides=overrides)))


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A run that was trained, evaluated and stopped by its gate; its evaluations hold scores of two iterations."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("LIDR_STORE", raising=False)
        lay_down(patch, FALLING)
        folder = tmp_path_factory.mktemp("stopped")
        file = world(folder / "w", "stop")
        with pytest.raises(lidr.errors.NegativeVerdict):
            lidr.run(lidr.load_recipe(file))
    for found in scored_records(folder, ("en", "es", "de")):
        path = folder / f"w/runs/scripted/0.1.0/iter_{found.iteration}/evaluate/record.json"
        rewritten(path, counts=found.counts)
    return file


def test_a_stopped_run_says_so_and_shows_scores_gates_measures_account_and_policies(stopped):
    said = text_of(page_of(stopped))
    assert "Ended early: iter_2/gate stopped the run (dominant_worse: accuracy of mgsm, en, to iter_1: -0." in said
    assert "The best policy is that of iter_1." in said
    assert re.search(r"iter_2/train [0-9a-f]{12} .* given up by the gate", said)
    assert re.search(r"accuracy en 0\.700 \[0\.64\d, 0\.75\d\]", said)  # Wilson's interval of 175 of 250
    assert "iter_2 - iter_0" in said
    assert "reward accuracy by gold, dominant pairs" in said
    assert "0.72" in said  # the paper's figure beside it
    assert "iter_2/gate: all 2 numbers" in said
    assert "fired: stop" in said
    assert "By length of the answer that had to be translated" in said
    assert "No gate" not in said
    assert "judged by judge-1 (logprob_swap)" in said
    assert "maps from English into Spanish." in said.replace("  ", " ")  # a pair of the last iteration
    assert "Before translation, in English (en)" in said


def test_the_page_needs_no_network_runs_only_its_own_script_and_is_well_formed(stopped):
    html = page_of(stopped)
    tags = Tags(html)
    assert tags.open == []
    assert not {"link", "iframe", "img", "object", "base"} & {tag for tag, _ in tags.seen}
    assert sum(tag == "svg" for tag, _ in tags.seen) == 1 + 2 + 4  # headline, funnels, two benchmarks of two each
    for tag, attributes in tags.seen:
        assert not {name for name in attributes if name.startswith("on") or name in ("src", "action", "style")}
        assert attributes.get("href", "#").startswith("#"), (tag, attributes)
    (policy,) = {a["content"] for t, a in tags.seen if a.get("http-equiv")}
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    for name in ("script", "style"):
        (text,) = re.findall(f"<{name}>(.*?)</{name}>", html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in policy
    assert "url(" not in html
    assert "@import" not in html


def test_headline_and_picture_come_first_then_pairs_then_the_funnel(stopped):
    html = page_of(stopped)
    places = [html.index(f'id="{name}"') for name in ("headline", "pairs", "account", "scores", "gates", "steps")]
    assert places == sorted(places)
    said = text_of(html)
    assert re.search(
        r" \d+% of the gap to English closed, the mean gap of 2 languages: 1 − gap after / gap before", said
    )
    assert "No interval of a share: the scores of each question are not beside the records." in said
    assert re.search(r"German \(de\) \+\d+\.\d points", said)
    assert "asked for by the recipe" in said or "16 slots" in said


def test_the_same_records_give_the_same_page_without_a_folder_of_this_machine(stopped):
    html = page_of(stopped)
    assert html == page_of(stopped)
    assert str(stopped.parent) not in html


def test_text_from_data_is_never_markup(tmp_path):
    file = write_world(tmp_path)
    answers = tmp_path / "answers.jsonl"
    write_answers(answers, first=({"match": r"into Spanish\..*bees", "text": EVIL + "</translated>"},))
    lidr.run(lidr.load_recipe(file, overrides=["iterations=[{prompts: '0:1'}]", "chain.pair.drop=independent"]))
    html = page_of(file, "iterations=[{prompts: '0:1'}]", "chain.pair.drop=independent")
    assert EVIL not in html
    assert "<img" not in html
    assert html.count("<script") == 1
    assert 'alert("1")' not in html
    assert EVIL in "".join(Tags(html).text)


def test_a_section_without_content_is_not_there(tmp_path):
    file = write_world(tmp_path)
    lidr.run(lidr.load_recipe(file))
    html = page_of(file)
    said = text_of(html)
    assert "Finished: 11 steps in 2 iterations." in said
    assert {"account", "pairs", "steps"} <= set(re.findall(r'<section id="(\w+)"', html))
    for missing in ("scores", "gates", "measured", "bound", "policies"):
        assert f'id="{missing}"' not in html
        assert f'href="#{missing}"' not in html
    assert "slots (2 x prompts) 8 8 8 8" in said
    assert "best policy" not in said
    assert not re.search(r"<div>\s*</div>", html)


def test_dropped_slots_are_shown_with_their_reason_and_texts(tmp_path):
    file = write_world(tmp_path)
    fails = ({"match": r"into Spanish\..*bees in English", "text": "</translated>"},)
    write_answers(tmp_path / "answers.jsonl", first=fails)
    lidr.run(lidr.load_recipe(file))
    html = page_of(file)
    said = text_of(html)
    assert "dropped · pair: translation empty" in said
    assert '<option value="pair: translation_empty">dropped, pair: translation empty</option>' in html
    slot = re.search(r'<article[^>]*data-state="pair: translation_empty".*?</article>', html, re.DOTALL)[0]
    assert "bees in Spanish" in slot
    assert "bees in English at length." in slot  # what had to be translated


def test_a_failed_run_leaves_a_report_and_says_where(tmp_path, capsys):
    file = write_world(tmp_path)
    answers = tmp_path / "answers.jsonl"
    kept = [line for line in answers.read_text(encoding="utf-8").splitlines() if "into German" not in line]
    answers.write_text("\n".join(kept) + "\n", encoding="utf-8")
    assert main(["run", str(file), "--quiet"]) == 2
    path = tmp_path / "runs/scripted/0.1.0/report.html"
    assert f"report so far: {path}" in capsys.readouterr().err
    said = text_of(path.read_text(encoding="utf-8"))
    assert "The run stopped with an error:" in said
    assert "Not finished" in said


def test_a_run_that_starts_from_pairs_shows_the_sets_that_it_read(tmp_path):
    lidr.run(lidr.load_recipe(write_world(tmp_path / "w")))
    file = tmp_path / "mix.yaml"
    file.write_text(
        "schema: 1\nname: mix\nversion: 0.1.0\nlanguages: {dominant: en, others: [es, de]}\n"
        'policy: {model: "openai:canned@http://127.0.0.1:9"}\n'
        f"chain: [{{pairs: {{dataset: 'run:scripted@0.1.0', cap: 20}}}}]\n"
        f"runtime: {{engine: scripted, answers: {tmp_path}/w/answers.jsonl, store: {tmp_path}/w/runs}}\n"
    )
    lidr.run(lidr.load_recipe(file))
    said = text_of(page_of(file))
    assert "The run starts from pairs." in said
    assert "rows of the sets 16 16" in said
    assert "Sets of pairs, iter_1/pairs" in said
    assert "32 32 20" in said  # rows, usable, taken


def test_json_holds_the_numbers_as_the_records_have_them(stopped):
    run = run_state_of(lidr.load_recipe(stopped))
    found = json.loads(json.dumps(as_json(run)))
    assert (found["state"], found["is_negative"], found["result"], found["best"]) == ("ended", True, 1, 1)
    assert found["became"] == {"iter_0/policy": "", "iter_1/train": "the run's result, best",
                               "iter_2/train": "given up by the gate"}  # fmt: skip
    assert found["gates"]["iter_2/gate"]["fired"][0]["signature"] == "dominant_worse"
    assert found["selection"]["iter_1/pair"]["slots"] == 16
    assert {row["test"] for row in found["measured"]["iter_1/measure"]["numbers"]} >= {"off_target", "length_ratio"}
    assert found["scores"]["iter_2/evaluate"]["differences"]


def test_records_whose_files_are_gone_are_still_told(stopped, tmp_path):
    import shutil

    store = tmp_path / "copy"
    for path in (stopped.parent / "runs").rglob("record.json"):
        target = store / path.relative_to(stopped.parent / "runs")
        target.parent.mkdir(parents=True)
        shutil.copy(path, target)
    said = text_of(page_of(stopped, f"runtime.store={store}"))
    assert "Ended early" in said
    assert "Preference pairs" not in said
