"""Rows of the benchmarks: from folders of both shapes, and everything that can be wrong with them."""

from __future__ import annotations

import json
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from lidr.errors import EvaluationError, HubError
from lidr.evals.benchmark_rows import MGSM_ROWS, check_parallel, load_rows, place_of
from lidr.evals.published_rows import _published


def write(path: Path, rows: list[dict[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    is_lines = path.suffix == ".jsonl"
    text = "".join(json.dumps(row) + "\n" for row in rows) if is_lines else json.dumps(rows)
    path.write_text(text, encoding="utf-8")


def problems(count: int, **more: object) -> list[dict[str, object]]:
    return [{"query": f"What is {i} + 1?", "response": str(i + 1), **more} for i in range(count)]


def test_a_folder_that_is_not_there_is_said_before_what_a_hub_says(monkeypatch, tmp_path):
    def away(repo, revision):
        raise HubError(f"data set {repo}: the Hub did not give it")

    monkeypatch.setattr("lidr.evals.benchmark_rows.commit_of", away)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my/rows").mkdir(parents=True)
    expected = r"^--data my/row: there is no such folder here; did you mean my/rows\?, and data set my/row: the Hub"
    with pytest.raises(HubError, match=expected):
        load_rows("mgsm", "de", "my/row")


def test_without_rows_and_without_the_hub_the_way_to_give_rows_is_said(monkeypatch):
    def away(repo, revision):
        raise HubError(f"data set {repo}: the Hub did not give it")

    monkeypatch.setattr("lidr.evals.benchmark_rows.commit_of", away)
    monkeypatch.delenv("LIDR_DATA", raising=False)
    with pytest.raises(HubError, match=r"no rows of mgsm named, and data set juletxara/mgsm: .*Or give --data DIR"):
        load_rows("mgsm", "de")


def test_real_mgsm_has_250_parallel_items_in_eight_languages(data_folder):
    codes = ("en", "de", "es", "fr", "ja", "ru", "th", "zh")
    loaded = {code: load_rows("mgsm", code, str(data_folder)) for code in codes}
    check_parallel(loaded)
    assert {found.facts.rows for found in loaded.values()} == {MGSM_ROWS}
    assert loaded["de"].rows[0]["gold"] == "18"
    assert loaded["de"].facts.source == "mgsm/de.jsonl"


def test_real_x_alpacaeval_joins_each_instruction_with_the_reference_answer_to_it(data_folder):
    loaded = {code: load_rows("x_alpacaeval", code, str(data_folder)) for code in ("en", "de", "es", "fr", "ru")}
    check_parallel(loaded)
    assert {found.facts.rows for found in loaded.values()} == {805}
    assert loaded["en"].facts.reference == "gpt-4-turbo-2024-04-09"
    assert loaded["en"].rows[0]["item"] == loaded["de"].rows[0]["item"] == "1"


def test_the_projects_own_problems_and_instructions_have_the_same_shape():
    mgsm, open_ones = (load_rows(name, "fr", "recipes/prompts") for name in ("mgsm", "x_alpacaeval"))
    assert mgsm.facts.source == "word_problems/fr.jsonl"
    assert set(mgsm.rows[0]) == {"item", "question", "gold"}
    assert set(open_ones.rows[0]) == {"item", "instruction", "reference", "generator", "dataset"}


def test_lidr_data_is_read_when_nothing_is_given(tmp_path, monkeypatch):
    write(tmp_path / "word_problems/de.jsonl", problems(2))
    monkeypatch.setenv("LIDR_DATA", str(tmp_path))
    assert len(load_rows("mgsm", "de").rows) == 2


def test_the_digest_is_of_the_rows_and_not_of_the_file(tmp_path):
    write(tmp_path / "a/word_problems/de.jsonl", problems(2))
    write(tmp_path / "b/word_problems/de.jsonl", problems(2, note="ignored"))
    write(tmp_path / "c/word_problems/de.jsonl", problems(3))
    digests = [load_rows("mgsm", "de", str(tmp_path / name)).facts.sha256 for name in "abc"]
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize(
    ("files", "benchmark", "message"),
    [
        (
            {},
            "mgsm",
            'no mgsm rows for "de" (looked for mgsm/de.jsonl or word_problems/de.jsonl); languages there: none. '
            "Leave de out (--langs, or evaluate.languages), or put its rows into such a file and name the folder "
            "(--data, or evaluate.data)",
        ),
        ({"mgsm/en.jsonl": problems(250)}, "mgsm", "languages there: en"),
        ({"mgsm/de.jsonl": problems(249)}, "mgsm", "249 rows; MGSM has 250 in every language"),
        ({"word_problems/de.jsonl": []}, "mgsm", "no rows"),
        ({"word_problems/de.jsonl": [{"query": "1 + 1?"}]}, "mgsm", "row 0: needs a question (query) and a number"),
        ({"word_problems/de.jsonl": problems(2, id="x")}, "mgsm", "ids that stand more than once: x"),
        (
            {"open_instructions/de.jsonl": [{"instruction": "Hallo"}]},
            "x_alpacaeval",
            "row 0: needs `instruction` and `output`",
        ),
        (
            {
                "x_alpacaeval/prompts/de.json": [{"id": 1, "instruction": "Hallo"}],
                "x_alpacaeval/reference/de.json": [{"instruction": "Tag", "output": "Ja"}],
            },
            "x_alpacaeval",
            "answers another instruction than",
        ),
        (
            {
                "x_alpacaeval/prompts/de.json": [{"id": 1, "instruction": "Hallo"}],
                "x_alpacaeval/reference/de.json": [],
            },
            "x_alpacaeval",
            "has 1 rows",
        ),
    ],
)
def test_rows_that_are_not_what_the_benchmark_has_are_refused(tmp_path, files, benchmark, message):
    for name, rows in files.items():
        write(tmp_path / name, rows)
    with pytest.raises(EvaluationError) as error:
        load_rows(benchmark, "de", str(tmp_path))
    assert message in str(error.value)


def test_a_damaged_file_and_a_file_of_another_form_are_named(tmp_path):
    path = tmp_path / "word_problems/de.jsonl"
    path.parent.mkdir()
    path.write_text("{", encoding="utf-8")
    with pytest.raises(EvaluationError, match=r"de\.jsonl: cannot be read"):
        load_rows("mgsm", "de", str(tmp_path))
    path.write_text("[1]\n", encoding="utf-8")
    with pytest.raises(EvaluationError, match="must be a list of objects"):
        load_rows("mgsm", "de", str(tmp_path))


def test_an_unknown_language_and_a_place_that_is_none_are_refused(tmp_path, monkeypatch):
    monkeypatch.delenv("LIDR_DATA", raising=False)
    with pytest.raises(EvaluationError, match='unknown language code "german"; did you mean "de"'):
        load_rows("mgsm", "german", str(tmp_path))
    with pytest.raises(EvaluationError, match=r"--data \./nowhere: no such folder"):
        load_rows("mgsm", "de", "./nowhere")
    with pytest.raises(EvaluationError, match=r'in "it"; it has de, en, es, fr, ru, th, zh\. Leave'):
        load_rows("x_alpacaeval", "it")


@pytest.fixture
def authors(tmp_path, data_folder, monkeypatch):
    """The authors' repository behind a server on this machine; the requests that it had."""
    served, asked = tmp_path / "ORG/REPO/COMMIT", []
    for what in ("prompts", "reference"):
        for code in ("de", "fr"):
            file = served / _published()["languages"][code][what]["path"]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes((data_folder / "x_alpacaeval" / what / f"{code}.json").read_bytes())

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(tmp_path))

        def log_message(self, *args):
            asked.append(self.path)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    published = {**_published(), "root": f"http://127.0.0.1:{server.server_port}/ORG/REPO/COMMIT"}
    monkeypatch.setattr("lidr.evals.published_rows._published", lambda: published)
    monkeypatch.setattr("huggingface_hub.constants.HF_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("LIDR_DATA", raising=False)
    yield served, asked
    server.shutdown()
    server.server_close()
    thread.join()


def test_x_alpacaeval_comes_from_its_authors_on_first_use_and_is_verified(authors, data_folder, capsys):
    served, asked = authors
    found = load_rows("x_alpacaeval", "de")
    assert found.rows == load_rows("x_alpacaeval", "de", str(data_folder)).rows
    assert found.facts.source == "ORG/REPO@COMMIT/prompts/de.json"
    assert "X-AlpacaEval (de, prompts, cc-by-nc-4.0): fetching from ORG/REPO@COMMIT" in capsys.readouterr().err
    assert load_rows("x_alpacaeval", "de").facts.sha256 == found.facts.sha256
    assert len(asked) == 2
    assert place_of(None, [found]) is None
    (served / "data/x-alpacaeval/data/fr.json").write_text("[]")
    with pytest.raises(HubError, match=r"its sha256 is .*: another file; nothing of it is used"):
        load_rows("x_alpacaeval", "fr")


def test_rows_whose_host_cannot_be_reached_are_said_with_the_address_and_what_to_do(tmp_path, monkeypatch):
    published = {**_published(), "root": "http://127.0.0.1:9/ORG/REPO/COMMIT"}
    monkeypatch.setattr("lidr.evals.published_rows._published", lambda: published)
    monkeypatch.setattr("huggingface_hub.constants.HF_HOME", str(tmp_path))
    monkeypatch.delenv("LIDR_DATA", raising=False)
    said = r"no rows of X-AlpacaEval in de: http://127\.0\.0\.1:9/.*cannot be downloaded \(ConnectError\).*--data DIR"
    with pytest.raises(HubError, match=said):
        load_rows("x_alpacaeval", "de")


def test_languages_with_different_items_are_refused(tmp_path):
    write(tmp_path / "word_problems/de.jsonl", problems(3))
    write(tmp_path / "word_problems/en.jsonl", problems(2))
    loaded = {code: load_rows("mgsm", code, str(tmp_path)) for code in ("en", "de")}
    with pytest.raises(EvaluationError, match=r"items that are not in both: 2\. Give the same items"):
        check_parallel(loaded)
