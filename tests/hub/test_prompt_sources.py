"""Prompts that others publish, fetched over loopback and verified."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import polars as pl
import pytest

import lidr
from lidr.errors import HubError, PlanError, RowError
from lidr.hub.pins import pin, unpinned
from lidr.hub.prompt_sources import download, fetch_prompts, read_published
from lidr.hub.snapshot import Entry
from lidr.resources import shared
from tests.scripted import write_world
from tests.steps.helpers import rows_of

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Site:
    """Files served on loopback, and what was asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked.append(self.path)
                body = site.files.get(self.path)
                self.send_response(404 if body is None else 200)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def site(monkeypatch) -> Iterator[Site]:
    monkeypatch.delenv("LIDR_DATA", raising=False)
    found = Site()
    yield found
    found.server.shutdown()
    found.server.server_close()


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def publish(folder: Path, site: Site, **changes: object) -> tuple[Path, dict[str, bytes]]:
    """The scripted world's prompts, each language in two files on the site, the first without a newline at its end."""
    recipe = write_world(folder)
    languages: dict[str, list[dict[str, str]]] = {}
    whole = {}
    for code in ("en", "es", "de"):
        lines = (folder / "prompts" / f"{code}.jsonl").read_bytes().splitlines()
        whole[code] = b"\n".join(lines) + b"\n"
        halves = {"first": b"\n".join(lines[:5]), "second": b"\n".join(lines[5:]) + b"\n"}
        for half, data in halves.items():
            site.files[f"/at/{half}/{code}.jsonl"] = data
            languages.setdefault(code, []).append({"path": f"{half}/{code}.jsonl", "sha256": sha(data)})
    content = {"schema": 1, "what": "bees", "license": "cc0-1.0", "local": "bees", "root": f"{site.url}/at"}
    (folder / "bees.json").write_text(json.dumps({**content, "languages": languages, **changes}))
    recipe.write_text(recipe.read_text().replace(f"{folder}/prompts", f"{folder}/bees.json"))
    return recipe, whole


def test_published_prompts_are_planned_without_the_network_fetched_once_and_are_what_a_folder_holds(tmp_path, site):
    recipe, whole = publish(tmp_path, site)
    planned = lidr.plan(lidr.load_recipe(recipe))
    assert all(step.fingerprint for step in planned.steps)
    assert site.asked == []
    rows = rows_of(recipe, "iter_1/prompts")
    assert rows["text"].to_list()[:2] == ["English: tell me about bees", "Spanish: tell me about bees"]
    assert len(site.asked) == 6
    (folder,) = (tmp_path / "runs" / ".downloads").glob("bees-*")
    assert {path.stem: path.read_bytes() for path in folder.glob("*.jsonl")} == whole
    lidr.run(lidr.load_recipe(recipe), until="prompts")
    assert len(site.asked) == 6


def test_a_file_with_another_sum_is_never_used(tmp_path, site):
    recipe, _ = publish(tmp_path, site)
    site.files["/at/second/de.jsonl"] = b'{"id": "p5", "instruction": "planted"}\n'
    with pytest.raises(HubError, match=r"its sha256 is .*: another file; nothing of it is used"):
        rows_of(recipe, "iter_1/prompts")
    downloads = tmp_path / "runs" / ".downloads"
    assert b"planted" not in b"".join(path.read_bytes() for path in downloads.rglob("*") if path.is_file())
    assert list(downloads.rglob("*.partial")) == []


def test_a_download_that_was_damaged_in_the_store_is_fetched_again(tmp_path, site):
    _, whole = publish(tmp_path, site)
    published = read_published(tmp_path / "bees.json")
    folder = fetch_prompts(published, ["en", "de"], {}, tmp_path / "d")
    for path in (folder / "de.jsonl", tmp_path / "d" / sha(site.files["/at/first/de.jsonl"])):
        path.write_text("{}")
    asked = len(site.asked)
    assert (fetch_prompts(published, ["en", "de"], {}, tmp_path / "d") / "de.jsonl").read_bytes() == whole["de"]
    assert site.asked[asked:] == ["/at/first/de.jsonl"]


def test_without_the_network_the_message_says_what_to_do(tmp_path, site):
    recipe, _ = publish(tmp_path, site, root="http://127.0.0.1:9/at")
    with pytest.raises(HubError, match=r"cannot be downloaded \(ConnectError\).*set LIDR_DATA, or give --data DIR"):
        rows_of(recipe, "iter_1/prompts")
    del site.files["/at/first/en.jsonl"]
    publish(tmp_path / "again", site)
    del site.files["/at/first/en.jsonl"]
    with pytest.raises(HubError, match=r"first/en.jsonl: cannot be downloaded \(HTTP 404\)"):
        rows_of(tmp_path / "again" / "recipe.yaml", "iter_1/prompts")


def test_a_local_copy_is_preferred_and_counts_by_its_content(tmp_path, site, monkeypatch):
    recipe, _ = publish(tmp_path, site)
    (tmp_path / "data").mkdir()
    (tmp_path / "prompts").rename(tmp_path / "data" / "bees")
    monkeypatch.setenv("LIDR_DATA", str(tmp_path / "data"))
    assert rows_of(recipe, "iter_1/prompts").height == 12
    assert site.asked == []
    step = next(step for step in lidr.plan(lidr.load_recipe(recipe)).steps if step.place == "iter_1/prompts")
    assert step.identity["outside"]["files"]["en.jsonl"] == sha((tmp_path / "data/bees/en.jsonl").read_bytes())
    (tmp_path / "data" / "bees" / "de.jsonl").unlink()  # then it is not a copy of all that is needed
    rows_of(recipe, "iter_1/prompts", "version=0.2.0")
    assert len(site.asked) == 6


def test_a_clone_of_the_repository_is_used_if_it_is_the_same_and_refused_if_not(tmp_path, site, monkeypatch):
    recipe, _ = publish(tmp_path, site)
    for path, data in site.files.items():
        target = tmp_path / "clone" / path.removeprefix("/at/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    monkeypatch.setenv("LIDR_DATA", str(tmp_path / "clone"))
    assert rows_of(recipe, "iter_1/prompts").height == 12
    assert site.asked == []
    (tmp_path / "clone/first/en.jsonl").write_text("changed")
    with pytest.raises(HubError, match="another file than the recipe's"):
        rows_of(recipe, "iter_1/prompts", "version=0.2.0", "languages.others=[es]")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"languages": {}}, "has no prompts in en, es, de; it has"),
        ({"languages": {"en": [{"path": "x"}]}}, "a file has a sha256, or a dataset"),
        ({"languages": {"en": [{"path": "../x", "sha256": "0"}]}}, "path must stay below root"),
        ({"schema": 2}, "is no list of published files: schema_: Input should be 1"),
        ({"locale": "x"}, "locale: Extra inputs are not permitted"),
    ],
)
def test_a_faulty_list_is_said(tmp_path, site, changes, message):
    recipe, _ = publish(tmp_path, site, **changes)
    with pytest.raises(PlanError, match=message):
        lidr.plan(lidr.load_recipe(recipe))


def gsm8k(tmp_path: Path, site: Site, monkeypatch, golds: list[str]) -> Path:
    """English from a Hub data set without ids, German from the site with prefixed ones."""
    import huggingface_hub

    monkeypatch.setenv("LIDR_STORE", str(tmp_path / "runs"))
    questions = [f"How many bees are {i} and {i}?" for i in range(len(golds))]
    answers = [f"They are {2 * i}.\n#### {2 * i * 1000:,}" for i in range(len(golds))]
    table = tmp_path / "table.parquet"
    pl.DataFrame({"question": questions, "answer": answers}).write_parquet(table)
    there = tmp_path / "snapshot" / "main" / "train.parquet"
    there.parent.mkdir(parents=True)
    there.write_bytes(table.read_bytes())
    entry = Entry("main/train.parquet", there.stat().st_size, sha(there.read_bytes()), "0" * 40)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("lidr.hub.snapshot.listed", lambda repo, commit, target: [entry])
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *a, **k: str(tmp_path / "snapshot"))
    info = type("Info", (), {"sha": COMMIT})()
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", lambda self, repo, revision=None: info)
    rows = [{"id": f"degsm8k_{i}", "instruction": f"Bienen {i}?", "final_answer": g} for i, g in enumerate(golds)]
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    site.files["/at/de.jsonl"] = data
    english = {"dataset": "openai/gsm8k", "path": "main/train.parquet", "rows": "gsm8k"}
    languages = {"en": [english], "de": [{"path": "de.jsonl", "sha256": sha(data)}]}
    recipe, _ = publish(tmp_path, site, languages=languages, golds=True)
    recipe.write_text(
        recipe.read_text().replace("[es, de]", "[de]").replace("cc0-1.0}", "cc0-1.0, id_prefix: language}")
    )
    return recipe


def test_english_from_a_hub_data_set_is_unpinned_until_locked_and_joined_by_position(tmp_path, site, monkeypatch):
    path = gsm8k(tmp_path, site, monkeypatch, [str(2 * i * 1000) for i in range(8)])
    recipe = lidr.load_recipe(path)
    (first, *_) = [step for step in lidr.plan(recipe).steps if step.name == "prompts"]
    assert first.state == "unresolved"
    assert "the data set openai/gsm8k is unpinned: `lidr lock RECIPE` fills its commit" in first.why[0]
    assert [reference.repo for reference in unpinned(recipe)] == ["datasets/openai/gsm8k"]
    assert pin(recipe, tmp_path / "runs/scripted/0.1.0") == {"datasets/openai/gsm8k": COMMIT}
    copy = tmp_path / "data" / "bees"
    copy.mkdir(parents=True)
    for code in ("en", "de"):
        (copy / f"{code}.jsonl").write_text("{}")
    monkeypatch.setenv("LIDR_DATA", str(tmp_path / "data"))
    assert unpinned(recipe) == []
    monkeypatch.delenv("LIDR_DATA")
    rows = rows_of(path, "iter_1/prompts")
    assert rows.filter(prompt_id="gsm8k_1")["text"].to_list() == ["How many bees are 1 and 1?", "Bienen 1?"]


def test_rows_whose_golds_disagree_are_not_joined_by_position(tmp_path, site, monkeypatch):
    path = gsm8k(tmp_path, site, monkeypatch, [str(2 * i * 1000) for i in (1, 0, *range(2, 8))])
    pin(lidr.load_recipe(path), tmp_path / "runs/scripted/0.1.0")
    with pytest.raises(RowError, match="2 of 8 items have another gold answer in de than in en: gsm8k_0, gsm8k_1; "):
        rows_of(path, "iter_1/prompts")


def test_the_shipped_lists_name_the_files_that_upstream_has(data_folder):
    upstream = dict(line.split()[::-1] for line in (data_folder / "SHA256SUMS.upstream").read_text().splitlines())
    data = shared("recipes") / "data"
    for name, files in (("alpagasus", 22), ("gsm8k", 4)):
        published = read_published(data / f"{name}.json")
        pinned = {part.path: part.sha256 for _, part in published.parts(list(published.languages)) if part.sha256}
        assert len(pinned) == files
        assert pinned.items() <= upstream.items()
        assert published.license == "cc-by-nc-4.0"
    theirs = (data_folder / "alpagasus" / "translation_type_ids.txt").read_text().split()
    ours = (data / "authors_translation_ids.txt").read_text().splitlines()
    assert {line for line in ours if not line.startswith("#")} == set(theirs)


def test_a_download_that_does_not_end_is_given_up(tmp_path, site, monkeypatch):
    site.files["/huge"] = b"x" * ((1 << 20) + 1)
    monkeypatch.setattr("lidr.hub.prompt_sources._LARGEST", 1 << 20)
    with pytest.raises(HubError, match=r"/huge: larger than 1 MiB; this is not the file that is wanted$"):
        download(f"{site.url}/huge", "0" * 64, tmp_path / "d" / "huge")
    assert list((tmp_path / "d").iterdir()) == []


def test_a_file_that_is_no_table_of_question_and_answer_is_named(tmp_path, site):
    site.files["/at/en.parquet"] = b"bees"
    part = {"path": "en.parquet", "sha256": sha(b"bees"), "rows": "gsm8k"}
    publish(tmp_path, site, languages={"en": [part]})
    said = r"no table of question and answer, as GSM8K is: .*[Pp]arquet"
    with pytest.raises(RowError, match=said):
        fetch_prompts(read_published(tmp_path / "bees.json"), ["en"], {}, tmp_path / "d")
