"""What is damaged on disk is found before it is used, and what is left of a failed try stands in nobody's way."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lidr
from lidr.cli.main import main
from lidr.errors import EngineError, LidrError, StoreError
from lidr.hub import Patience, Target
from lidr.release import Destinations, finished_run, release
from lidr.store import Store
from tests.scripted import write_answers, write_world

RUN = "run:scripted@0.1.0"
FILTERED = "iter_1/filter"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A finished run, in a folder of its own."""
    folder = tmp_path_factory.mktemp("made") / "w"
    write_world(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("LIDR_STORE", raising=False)
        lidr.run(lidr.load_recipe(folder / "recipe.yaml"))
    return folder


@pytest.fixture
def world(made, tmp_path, monkeypatch) -> Path:
    """A copy of it, whose store is the one of the commands."""
    shutil.copytree(made, folder := tmp_path / "w")
    recipe = folder / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace(str(made), str(folder)))
    monkeypatch.setenv("LIDR_STORE", str(folder / "runs"))
    lidr.run(lidr.load_recipe(recipe))
    return folder


def version(world: Path) -> Path:
    return world / "runs/scripted/0.1.0"


def keeping_times(path: Path, change: Callable[[bytes], bytes]) -> None:
    """Change the bytes of a file as a tool does that puts size and mtime back."""
    status = path.stat()
    path.write_bytes(change(path.read_bytes()))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def flipped(data: bytes, offset: int, bit: int = 0) -> bytes:
    return data[:offset] + bytes([data[offset] ^ (1 << bit)]) + data[offset + 1 :]


def shard_of(world: Path, place: str) -> Path:
    return version(world) / place / "data/00000.parquet"


def flip(world: Path) -> None:
    keeping_times(shard_of(world, FILTERED), lambda data: flipped(data, len(data) // 3))


def cut(world: Path) -> None:
    keeping_times(shard_of(world, FILTERED), lambda data: data[:-7])


def append(world: Path) -> None:
    keeping_times(shard_of(world, FILTERED), lambda data: data + b"\0")


def exchange(world: Path) -> None:
    """With the shard of another iteration, which is whole."""
    shutil.copy(shard_of(world, "iter_2/filter"), shard_of(world, FILTERED))


def add_shard(world: Path) -> None:
    shutil.copy(shard_of(world, "iter_2/filter"), shard_of(world, FILTERED).with_name("00001.parquet"))


def lose(world: Path) -> None:
    shard_of(world, FILTERED).unlink()


def flip_dropped(world: Path) -> None:
    path = version(world) / FILTERED / "dropped/00000.parquet"
    keeping_times(path, lambda data: flipped(data, len(data) // 3))


def alter(world: Path, change: Callable[[dict[str, Any]], None], *, of_older_lidr: bool = False) -> None:
    path = version(world) / FILTERED / "record.json"
    record = json.loads(path.read_text())
    if of_older_lidr:
        record.pop("checksum", None)
    change(record)
    path.write_text(json.dumps(record))


def alter_counts(world: Path) -> None:
    alter(world, lambda record: record["counts"].update(kept=99))


def alter_fingerprint(world: Path) -> None:
    alter(world, lambda record: record.update(fingerprint="0" * 64), of_older_lidr=True)


def alter_digest(world: Path) -> None:
    alter(world, lambda record: record.update(digest="0" * 64), of_older_lidr=True)


def alter_entry(world: Path) -> None:
    alter(world, lambda record: record["files"][0].update(sha256="0" * 64), of_older_lidr=True)


def flip_record(world: Path) -> None:
    keeping_times(version(world) / FILTERED / "record.json", lambda d: flipped(d, d.index(b'"elapsed_s": ') + 13))


DAMAGES = (flip, cut, append, exchange, add_shard, lose, flip_dropped, alter_counts, alter_fingerprint, alter_digest,
           alter_entry, flip_record)  # fmt: skip


def told(capsys, *words: str) -> tuple[int, str]:
    capsys.readouterr()
    code = main([*words])
    said = capsys.readouterr()
    return code, said.out + said.err


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_whatever_was_damaged_is_named_and_refused_by_whoever_would_use_it(world, capsys, damage):
    damage(world)
    where = str(version(world) / FILTERED)
    planned = json.loads(_json(capsys, "plan", str(world / "recipe.yaml")))["steps"]
    assert [step["place"] for step in planned if step["state"] == "damaged"] == [FILTERED]
    uses = (
        ("run", str(world / "recipe.yaml"), "--quiet"),
        ("pairs", "show", f"{RUN}/{FILTERED}"),
        ("pairs", "show", RUN),
        ("pairs", "export", RUN, str(world / "out"), "--to", "trl"),
        ("publish", str(world / "recipe.yaml"), "--pairs", "a/b", "--dry-run"),
    )
    for words in uses:
        if damage is flip_dropped and words[0] == "pairs":  # these read no dropped rows
            continue
        code, said = told(capsys, *words)
        assert code == 2, words
        assert "Traceback" not in said
        assert where in said, words
        assert f"--rebuild {FILTERED}" in said, words
    code, _ = told(capsys, "run", str(world / "recipe.yaml"), "--quiet", "--rebuild", FILTERED)
    assert code == 0
    assert told(capsys, "pairs", "show", RUN)[0] == 0


def _json(capsys, *words: str) -> str:
    capsys.readouterr()
    assert main([*words, "--json"]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("seed", range(3))
def test_no_flipped_bit_of_a_shard_gives_other_rows(world, capsys, seed):
    path, rng = shard_of(world, FILTERED), random.Random(seed)
    whole = path.read_bytes()
    shown = told(capsys, "pairs", "show", f"{RUN}/{FILTERED}")
    for _ in range(40):
        keeping_times(path, lambda data: flipped(whole, rng.randrange(len(whole)), rng.randrange(8)))
        code, said = told(capsys, "pairs", "show", f"{RUN}/{FILTERED}")
        assert (code, "00000.parquet: damaged" in said) == (2, True)
    path.write_bytes(whole)
    assert told(capsys, "pairs", "show", f"{RUN}/{FILTERED}") == shown
    assert told(capsys, "run", str(world / "recipe.yaml"), "--quiet")[0] == 0


def test_a_damaged_output_is_not_taken_over_by_another_version_but_made(world):
    keeping_times(shard_of(world, "iter_1/translate"), lambda data: flipped(data, len(data) // 3))
    said: list[str] = []
    again = lidr.load_recipe(world / "recipe.yaml", overrides=["version=0.2.0"])
    planned = {step.place: step.state for step in lidr.plan(again).steps}
    assert (planned["iter_1/translate"], planned["iter_1/generate"]) == ("new", "taken over")
    lidr.run(again, say=said.append)
    assert any(line.endswith("iter_1/translate: running") for line in said)


def test_the_lineage_of_a_pair_is_not_told_from_damaged_rows(world, capsys):
    keeping_times(shard_of(world, "iter_1/generate"), lambda data: flipped(data, len(data) // 3))
    code, said = told(capsys, "lineage", f"{RUN}/1/p0/es-en/non_dominant")
    assert (code, "iter_1/generate/data/00000.parquet: damaged" in said) == (2, True)


def test_a_damaged_run_json_is_named_and_written_again(world, capsys):
    path = version(world) / "run.json"
    was = path.read_text()
    path.write_text(was.replace('"license": "cc0-1.0"', '"license": "mit-0.0"'))
    for words in (("lineage", RUN), ("pairs", "show", RUN)):
        code, said = told(capsys, *words)
        assert (code, f"{path}: damaged" in said) == (2, True)
    assert told(capsys, "run", str(world / "recipe.yaml"), "--quiet")[0] == 0
    assert path.read_text() == was


def prompts_with(world: Path, column: str) -> None:
    for path in (world / "prompts").iterdir():
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        path.write_text("".join(json.dumps({"id": r["id"], column: list(r.values())[1]}) + "\n" for r in rows))


def test_prompts_that_were_mended_after_a_failed_first_try_are_no_drift(tmp_path, monkeypatch):
    monkeypatch.delenv("LIDR_STORE", raising=False)
    recipe = write_world(tmp_path)
    prompts_with(tmp_path, "instuction")
    with pytest.raises(LidrError, match="instuction"):
        lidr.run(lidr.load_recipe(recipe))
    prompts_with(tmp_path, "instruction")
    states = {step.place: step.state for step in lidr.plan(lidr.load_recipe(recipe)).steps}
    assert states["iter_1/prompts"] == "new"
    assert {step.state for step in lidr.run(lidr.load_recipe(recipe)).steps} == {"cached"}


def test_a_try_that_got_no_answer_made_nothing_and_one_that_got_some_is_kept(tmp_path, monkeypatch):
    monkeypatch.delenv("LIDR_STORE", raising=False)
    recipe, other = write_world(tmp_path), ["chain.generate.max_tokens=65"]
    partial = tmp_path / "runs/scripted/0.1.0/iter_1/generate.partial"
    write_answers(tmp_path / "answers.jsonl", first=({"match": ".", "error": "away"},))
    with pytest.raises(EngineError):
        lidr.run(lidr.load_recipe(recipe))
    states = {step.place: step.state for step in lidr.plan(lidr.load_recipe(recipe, overrides=other)).steps}
    assert states["iter_1/generate"] == "new"
    write_answers(tmp_path / "answers.jsonl", first=({"match": "Spanish: tell me about rain", "error": "away"},))
    with pytest.raises(EngineError):
        lidr.run(lidr.load_recipe(recipe))
    with pytest.raises(StoreError, match=r"iter_1/generate was begun by other settings: .*max_tokens"):
        lidr.run(lidr.load_recipe(recipe, overrides=other))
    assert len((partial / "work/answers.jsonl").read_bytes().splitlines()) == 11


@pytest.mark.parametrize(
    "damage", [lambda d: b"{", lambda d: d.replace(b'"max_tokens": 64', b'"max_tokens": 65'), None]
)
def test_what_a_try_began_is_known_or_the_run_stops(tmp_path, monkeypatch, damage):
    monkeypatch.delenv("LIDR_STORE", raising=False)
    recipe = write_world(tmp_path)
    write_answers(tmp_path / "answers.jsonl", first=({"match": "Spanish: tell me about rain", "error": "away"},))
    with pytest.raises(EngineError):
        lidr.run(lidr.load_recipe(recipe))
    path = tmp_path / "runs/scripted/0.1.0/iter_1/generate.partial/identity.json"
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(StoreError, match=r"identity\.json: (damaged|missing).*--rebuild iter_1/generate"):
        lidr.run(lidr.load_recipe(recipe))


FROZEN = Path(__file__).parent / "frozen"


@pytest.fixture
def frozen(tmp_path, monkeypatch) -> Path:
    """A copy of what commit cf61f58 wrote, as the folder and the store of the commands."""
    shutil.copytree(FROZEN, folder := tmp_path / "frozen", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(folder)
    monkeypatch.setenv("LIDR_STORE", "store")
    return folder


@pytest.mark.parametrize(
    "path",
    [
        "iter_2/train/model/model.safetensors",
        "iter_1/train/model/config.json",
        "iter_1/translate/data/00000.parquet",
        "iter_1/filter/dropped/00000.parquet",
        "iter_2/evaluate/results/samples.parquet",
        "iter_2/measure/data/00000.parquet",
    ],
)
def test_nothing_of_a_run_is_published_if_any_of_it_was_damaged(frozen, path):
    run = finished_run(lidr.load_recipe("frozen.yaml"), Store(Path("store")))
    keeping_times(run.folder / path, lambda data: flipped(data, len(data) // 2))
    away = Target("http://127.0.0.1:9", "x")  # whoever asks it is told HubError
    with pytest.raises(StoreError, match=rf"{path}: damaged"):
        release(run, Destinations("a/pairs", "a/policy"), target=away, patience=Patience(tries=1))


def test_damaged_weights_are_neither_evaluated_nor_taken_as_a_policy(frozen, capsys):
    weights = frozen / "store/frozen/0.1.0/iter_2/train/model/model.safetensors"
    keeping_times(weights, lambda data: flipped(data, len(data) // 2))
    words = ("--tasks", "mgsm", "--langs", "en", "--limit", "1", "--data", "rows", "--out", "out")
    code, said = told(capsys, "eval", "run", "--model", "run:frozen@0.1.0/iter_2/train", *words)
    assert (code, "model.safetensors: damaged" in said, Path("out").exists()) == (2, True, False)


def test_a_steps_results_are_judged_again_in_a_copy(frozen, capsys):
    step = frozen / "store/frozen/0.1.0/iter_1/evaluate"
    before = {path: path.read_bytes() for path in step.rglob("*") if path.is_file()}
    words = ("--judge", "openai:judge-1@http://127.0.0.1:18765/v1", "--data", "rows", "--judge-retries", "0")
    code, said = told(capsys, "eval", "judge", "run:frozen@0.1.0/iter_1/evaluate", *words)
    assert code in (0, 3), said
    assert {path: path.read_bytes() for path in step.rglob("*") if path.is_file()} == before
    assert (frozen / "store/evals/frozen-0.1.0-iter_1-evaluate-judged/results.json").is_file()
