"""Plan, run, resume, drift: the whole chain on scripted answers."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

import lidr
from lidr import pipeline
from lidr.cli.main import main
from lidr.cli.plan import totals
from lidr.costs import Machine
from lidr.errors import EngineError, PlanError, StoreError
from lidr.pipeline import costs_of, run_plan
from lidr.rows import Response
from lidr.steps import STEPS
from lidr.store import TICK_S, Store, known_records, record
from lidr.store.artifact import ArtifactWriter, open_artifact
from lidr.store.sealed_json import read_sealed, write_json
from lidr.version import __version__
from tests.rewritten import rewritten
from tests.scripted import RECIPE, write_answers, write_world


@pytest.fixture(autouse=True)
def _own_store(monkeypatch):
    monkeypatch.delenv("LIDR_STORE", raising=False)
    monkeypatch.delenv("LIDR_DATA", raising=False)


def run(recipe_file: Path, *overrides: str, **options):
    return lidr.run(lidr.load_recipe(recipe_file, overrides=overrides), **options)


def states(planned) -> dict[str, str]:
    return {step.place: step.state for step in planned.steps}


def tables(folder: Path) -> dict[str, bytes]:
    """Every Parquet file of the store, by path: its bytes."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*.parquet"))}


def test_a_run_builds_every_pair_in_two_iterations_and_a_second_run_writes_nothing(tmp_path):
    recipe = write_world(tmp_path)
    planned = run(recipe)
    assert set(states(planned).values()) == {"cached"}
    pairs = pl.DataFrame(open_artifact(planned.folder(planned.steps[-1])).read())
    assert pairs.height == 4 * 2 * 2  # prompts of iteration 2 x other languages x kinds
    row = pairs.filter(pl.col("pair_id") == "2/p4/es-en/non_dominant").row(0, named=True)
    assert row["prompt"] == [{"role": "user", "content": "Spanish: tell me about tea"}]
    assert row["chosen"] == [{"role": "assistant", "content": "tea from English into Spanish."}]
    assert row["rejected"] == [{"role": "assistant", "content": "tea in Spanish."}]
    steps = json.loads((planned.version_folder / "run.json").read_text(encoding="utf-8"))["steps"]
    policy = next(step for step in steps if step["place"] == "iter_0/policy")
    assert row["policy_in"] == f"iter_0/policy@{policy['fingerprint'][:12]}"
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    (tmp_path / "answers.jsonl").touch()
    run(recipe)
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    changed = {path.name for path in after if after[path] != before.get(path)}
    assert changed <= {"answers.jsonl", ".lock", ".holder.json"}  # the store's index was written by the first run


def test_iterations_take_fresh_prompts(tmp_path):
    planned = run(write_world(tmp_path))
    ids = [
        set(open_artifact(planned.folder(step)).read()["prompt_id"].to_pylist())
        for step in planned.steps
        if step.name == "prompts"
    ]
    assert ids == [{"p0", "p1", "p2", "p3"}, {"p4", "p5", "p6", "p7"}]


def test_the_account_of_slots_adds_up_over_all_steps(tmp_path):
    from lidr.report.summary import summarise

    recipe = write_world(tmp_path)
    write_answers(
        tmp_path / "answers.jsonl",
        first=(
            {"match": "into English.*rain in German", "text": "rain", "finish_reason": "length"},
            {"match": "Spanish: tell me about bread", "text": ""},
            {"match": "German: tell me about tea", "text": "tea " * 100},
            {"match": "into English.*tea tea", "text": "much tea\n</translated>"},
        ),
    )
    summary = summarise(run(recipe))
    rows = {row.label: row.counts for row in summary.account}
    assert [(c.iteration, c.language) for c in summary.columns] == [(1, "es"), (1, "de"), (2, "es"), (2, "de")]
    requested = rows.pop("slots (2 x prompts)")
    assert requested == (8, 8, 8, 8)
    assert rows["pair: translation_truncated"] == (0, 1, 0, 0)
    assert rows["pair: empty_response"] == (1, 0, 0, 0)
    assert rows["pair: other_direction_failed"] == (0, 1, 0, 0)
    assert rows["pair: translation_failed_upstream"] == (1, 0, 0, 0)  # the dominant pair: nothing to translate
    assert rows["filter: length_ratio"] == (0, 0, 0, 1)
    assert tuple(map(sum, zip(*rows.values(), strict=True))) == requested


def test_every_dropped_row_has_its_step_iteration_and_reason(tmp_path):
    recipe = write_world(tmp_path)
    write_answers(tmp_path / "answers.jsonl", first=({"match": "Spanish: tell me about bread", "text": ""},))
    planned = run(recipe)
    dropped = pl.read_parquet(planned.version_folder / "iter_1" / "pair" / "dropped" / "*.parquet")
    assert dropped.select("prompt_id", "iteration", "step").unique().rows() == [("p2", 1, "pair")]
    assert dropped["reason"].null_count() == 0
    assert dropped.height == 2


def test_changed_settings_are_drift_that_names_the_field_and_stops_the_run(tmp_path):
    recipe = write_world(tmp_path)
    run(recipe)
    planned = lidr.plan(lidr.load_recipe(recipe, overrides=["chain.pair.drop=independent"]))
    assert states(planned)["iter_1/translate"] == "cached"
    assert states(planned)["iter_1/pair"] == "drifted"
    assert planned.in_state("drifted")[0].why == ("config.drop: joint -> independent",)
    with pytest.raises(StoreError, match=r"iter_1/pair was made by other settings: config.drop: joint -> independent"):
        run(recipe, "chain.pair.drop=independent")


def test_a_bumped_version_takes_over_what_has_not_changed(tmp_path):
    recipe = write_world(tmp_path)
    run(recipe)
    write_answers(tmp_path / "unused.jsonl")
    said: list[str] = []
    planned = run(recipe, "version=0.2.0", "chain.pair.drop=independent", say=said.append)
    assert sum("taken over" in line for line in said) == 7  # policy, and prompts, generate, translate of 2 iterations
    source = open_artifact(planned.version_folder / "iter_1" / "generate").record.reused_from
    assert source == "scripted/0.1.0/iter_1/generate"


def test_rebuild_makes_the_step_and_what_follows_again_and_nothing_else(tmp_path):
    recipe = write_world(tmp_path)
    run(recipe)
    said: list[str] = []
    run(recipe, "chain.pair.drop=independent", rebuild=["pair"], say=said.append)
    running = [line for line in said if line.endswith("running")]
    assert [line.split()[1].rstrip(":") for line in running] == [
        "iter_1/pair",
        "iter_1/filter",
        "iter_2/pair",
        "iter_2/filter",
    ]


def test_rebuild_makes_a_step_although_another_version_has_the_same(tmp_path):
    recipe = write_world(tmp_path)
    run(recipe)
    run(recipe, "version=0.2.0")
    said: list[str] = []
    run(recipe, "version=0.2.0", rebuild=["iter_2/pair"], say=said.append)
    assert [line for line in said if "running" in line] == [
        "[10/11] iter_2/pair: running",
        "[11/11] iter_2/filter: running",
    ]


def test_versions_of_packages_are_looked_up_once(monkeypatch):
    before = pipeline.package_versions()
    monkeypatch.setattr("importlib.metadata.version", None)
    pipeline.package_versions()["torch"] = "another"
    assert pipeline.package_versions() == before


def test_an_unknown_step_to_rebuild_or_stop_at_is_refused_with_the_steps_there_are(tmp_path):
    recipe = write_world(tmp_path)
    with pytest.raises(PlanError, match=r'--rebuild "pear": no such step; write one of policy, prompts, generate'):
        run(recipe, rebuild=["pear"])
    with pytest.raises(
        PlanError,
        match=r'--until "pear": no such step .* mean "pair"\? its steps: policy, prompts',
    ):
        run(recipe, until="pear")


def test_status_says_what_a_run_has_lost_and_why_its_last_try_ended(tmp_path, capsys):
    recipe = write_world(tmp_path / "w")
    assert main(["run", str(recipe), "--quiet"]) == 0
    assert main(["report", str(recipe)]) == 0
    (said,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Pairs: ")]
    assert main(["status", str(recipe)]) == 0
    assert said in capsys.readouterr().out.splitlines()
    for language in ("en", "es", "de"):
        file = tmp_path / "w/prompts" / f"{language}.jsonl"
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        text = "".join(json.dumps({**row, "instruction": " "}) + "\n" for row in rows)
        file.write_text(text)
    empty = ["--set", "version=0.2.0", "--set", "seed=7"]  # with the seed of 0.1.0 all would be taken over
    words = [sys.executable, "-m", "lidr.cli.main", "run", str(recipe), *empty, "--quiet"]
    assert subprocess.run(words, capture_output=True, check=False).returncode == 2  # of a process that is gone
    capsys.readouterr()
    assert main(["status", str(recipe), *empty]) == 0
    out = capsys.readouterr().out
    assert "The last try ended: prompts 0:4: none can be used (" in out
    write_world(tmp_path / "x")
    shutil.copytree(tmp_path / "x/prompts", tmp_path / "w/prompts", dirs_exist_ok=True)
    assert main(["run", str(recipe), *empty, "--until", "prompts", "--quiet"]) == 0
    capsys.readouterr()
    assert main(["status", str(recipe), *empty]) == 0
    out = capsys.readouterr().out
    assert re.search(r"iter_1/generate +new", out)
    assert "The last try ended" not in out


def test_status_says_why_a_run_ended_that_was_made_from_python_or_interrupted(tmp_path, capsys, monkeypatch):
    recipe = write_world(tmp_path / "w")
    answers = tmp_path / "w/answers.jsonl"
    kept = answers.read_text()
    answers.write_text("")
    code = f"import lidr; lidr.run({str(recipe)!r})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 1
    assert main(["status", str(recipe)]) == 0
    out = capsys.readouterr().out
    assert "iter_1/generate" in out
    (said,) = [line for line in out.splitlines() if line.startswith("The last try ended: ")]
    assert "answers.jsonl" in said
    answers.write_text(kept)

    def interrupted(run):
        raise KeyboardInterrupt

    monkeypatch.setitem(STEPS, "translate", replace(STEPS["translate"], run=interrupted))
    with pytest.raises(KeyboardInterrupt):
        lidr.run(recipe)
    assert main(["status", str(recipe)]) == 0
    assert "The last try ended: interrupted\n" in capsys.readouterr().out
    monkeypatch.undo()
    for until in ("translate", None):
        lidr.run(recipe, until=until)
        assert main(["status", str(recipe)]) == 0
        assert "The last try ended" not in capsys.readouterr().out


def killed(recipe, until: Callable[[], bool], by: signal.Signals = signal.SIGKILL) -> tuple[int, int, str]:
    """Start a run and end it by a signal as soon as something is there; its process id, exit code, and what it said."""
    command = [sys.executable, "-m", "lidr.cli.main", "run", str(recipe), "--quiet"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not until():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(by)
    said = process.communicate()[1]
    return process.pid, process.returncode, said


@pytest.mark.parametrize(
    ("by", "code", "said"), [(signal.SIGTERM, 143, "stopped by SIGTERM"), (signal.SIGINT, 130, "interrupted")]
)
def test_kill_ends_a_run_as_an_interrupt_does_and_status_says_so(tmp_path, capsys, by, code, said):
    recipe = write_world(tmp_path)
    write_answers(tmp_path / "answers.jsonl", delay_s=0.2)
    progress = tmp_path / "runs/scripted/0.1.0/iter_1/generate.partial/progress.json"
    _, ended, told = killed(recipe, lambda: progress.exists() and json.loads(progress.read_text())["done"] > 0, by)
    assert ended == code
    assert f"{said}; the same command goes on from here" in told
    assert last_line(capsys, recipe) == f"The last try ended: {said}"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_process_that_a_library_forks_ends_by_the_signal_itself(number):
    code = f"""
import os, signal
from lidr.cli.main import _Stop
signal.signal({number:d}, _Stop(os.getpid()))
if (child := os.fork()) == 0:
    os.kill(os.getpid(), {number:d})
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == (str(-number), "")


def last_line(capsys, recipe) -> str:
    assert main(["status", str(recipe)]) == 0
    return capsys.readouterr().out.splitlines()[-1]


GONE = r"The last try ended without a word: process {} is gone; last it wrote at 20\d\d-.*\. Something killed it: .*"


def test_status_says_that_a_run_was_killed_and_no_more_where_its_process_is_of_another_machine(tmp_path, capsys):
    recipe = write_world(tmp_path)
    answers = tmp_path / "answers.jsonl"
    answers.write_text("")
    assert main(["run", str(recipe), "--quiet"]) != 0
    capsys.readouterr()
    assert last_line(capsys, recipe).startswith("The last try ended: ")
    write_answers(answers, delay_s=0.2)
    progress = tmp_path / "runs/scripted/0.1.0/iter_1/generate.partial/progress.json"
    progress.unlink(missing_ok=True)
    pid, *_ = killed(recipe, lambda: progress.exists() and json.loads(progress.read_text())["done"] > 0)
    assert re.fullmatch(GONE.format(pid), last_line(capsys, recipe))
    holder = tmp_path / "runs/.holder.json"
    kept, there = holder.read_text(), progress.read_text()
    for host, said in (
        (
            {"host": "far", "space": "x"},
            f"The last try was made by process {pid} on far, which cannot be seen from here; ",
        ),
        ({"pid": os.getpid()}, "iter_2/filter"),
    ):
        for file, text in ((holder, kept), (progress, there)):
            file.write_text(json.dumps(json.loads(text) | host))
        assert last_line(capsys, recipe).startswith(said)
    progress.write_text(there)
    with Store(tmp_path / "runs").lock("rm", print):
        pass
    assert not holder.exists()
    os.utime(progress)
    assert re.fullmatch(GONE.format(pid), last_line(capsys, recipe)), "another command had the store meanwhile"
    write_answers(answers)
    lidr.run(recipe, until="generate", rebuild=["iter_1/generate"])
    assert last_line(capsys, recipe).startswith("iter_2/filter"), "a try that went well has nothing to say"


def test_status_says_that_a_run_was_killed_before_its_first_step_wrote_anything(tmp_path, capsys):
    recipe = write_world(tmp_path)
    write_answers(tmp_path / "answers.jsonl", delay_s=0.2)
    pid, *_ = killed(recipe, (tmp_path / "runs/.holder.json").exists)
    assert last_line(capsys, recipe).startswith(f"The last try ended without a word: process {pid} is gone")


def test_what_a_run_that_ends_early_has_not_made_has_no_place_in_its_account(tmp_path, capsys):
    recipe = write_world(tmp_path)
    assert main(["run", str(recipe), "--until", "prompts", "--quiet"]) == 0
    out = capsys.readouterr().out
    assert "scripted 0.1.0: 2 iterations until prompts in " in out
    assert "loss" not in out
    assert [line.split() for line in out.splitlines() if line.startswith("policy ")] == [["policy", "weights"]]
    assert main(["run", str(recipe), "--quiet"]) == 0
    assert "scripted 0.1.0: 2 iterations in " in capsys.readouterr().out


def test_until_stops_each_iteration_after_that_step(tmp_path):
    planned = run(write_world(tmp_path), until="generate")
    assert [step.place for step in planned.steps][-1] == "iter_2/generate"


def test_a_step_whose_input_nobody_makes_is_refused_before_anything_runs(tmp_path):
    recipe = write_world(tmp_path, RECIPE.replace("  - pair: {{drop: joint}}\n", ""))
    with pytest.raises(PlanError, match='"filter" needs pairs, and no step before it makes them; put pair'):
        lidr.plan(lidr.load_recipe(recipe))


def test_requests_without_an_answer_are_asked_again_and_the_others_not(tmp_path):
    recipe = write_world(tmp_path)
    failing = {"match": "Spanish: tell me about rain", "error": "the server is away"}
    write_answers(tmp_path / "answers.jsonl", first=(failing,))
    with pytest.raises(EngineError, match=r"1 of 12 requests got no answer; the first, p1/es: the server is away"):
        run(recipe)
    partial = tmp_path / "runs" / "scripted" / "0.1.0" / "iter_1" / "generate.partial"
    journal = (partial / "work" / "answers.jsonl").read_text().splitlines()
    assert len(journal) == 11
    assert not any('"p1/es"' in line for line in journal)


def test_unfinished_work_of_other_settings_is_drift_too(tmp_path):
    recipe = write_world(tmp_path)
    write_answers(tmp_path / "answers.jsonl", first=({"match": "Spanish: tell me about rain", "error": "away"},))
    with pytest.raises(EngineError):
        run(recipe)
    planned = lidr.plan(lidr.load_recipe(recipe, overrides=["chain.generate.max_tokens=65"]))
    assert states(planned)["iter_1/generate"] == "drifted"


@pytest.mark.parametrize("moment", [0.05, 0.5, 0.95])
def test_a_run_killed_at_any_moment_ends_with_the_same_bytes(tmp_path, moment):
    whole, killed = write_world(tmp_path / "whole"), write_world(tmp_path / "killed")
    run(whole)
    slow = tmp_path / "killed" / "answers.jsonl"
    write_answers(slow, delay_s=0.02)
    answers_of_both = slow.read_bytes()
    (tmp_path / "whole" / "answers.jsonl").write_bytes(answers_of_both)
    run(whole, rebuild=["policy"])  # the same answers file, so the same identity
    command = [sys.executable, "-m", "lidr.cli.main", "run", str(killed), "--quiet"]
    requests = 24 + 32
    kills = 0
    for _ in range(3):
        process = subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True)
        deadline = time.monotonic() + 2.0 + moment * requests * 0.02
        while process.poll() is None and time.monotonic() < deadline + random.random() * 0.2:
            time.sleep(0.01)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            kills += 1
        process.communicate()
    run(killed)
    assert tables(tmp_path / "killed" / "runs") == tables(tmp_path / "whole" / "runs")


def test_two_processes_on_one_store_take_turns(tmp_path):
    recipe = write_world(tmp_path)
    write_answers(tmp_path / "answers.jsonl", delay_s=0.03)
    command = [sys.executable, "-m", "lidr.cli.main", "run", str(recipe), "--quiet"]
    both = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=120)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum("waiting for it to finish" in text for text in said) == 1
    assert sum("iter_2/filter: running" in text for text in said) == 1


def test_the_lock_of_a_dead_process_is_taken_over(tmp_path):
    recipe = write_world(tmp_path)
    write_answers(tmp_path / "answers.jsonl", delay_s=0.2)
    command = [sys.executable, "-m", "lidr.cli.main", "run", str(recipe), "--quiet"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    holder = tmp_path / "runs" / ".holder.json"
    while not holder.exists():
        time.sleep(0.02)
    process.kill()
    process.wait()
    write_answers(tmp_path / "answers.jsonl")
    said: list[str] = []
    run(recipe, rebuild=["policy"], say=said.append)
    assert not any("waiting" in line for line in said)


def test_a_truncated_shard_is_named_before_anything_is_made_from_it(tmp_path):
    recipe = write_world(tmp_path)
    planned = run(recipe)
    shard = planned.version_folder / "iter_1" / "translate" / "data" / "00000.parquet"
    shard.write_bytes(shard.read_bytes()[:-10])
    with pytest.raises(
        StoreError, match=r"00000.parquet: [\d,]+ bytes, its record says [\d,]+ bytes.*--rebuild iter_1"
    ):
        run(recipe)


def test_a_record_of_a_newer_schema_is_refused_with_advice(tmp_path):
    recipe = write_world(tmp_path)
    planned = run(recipe)
    path = planned.version_folder / "iter_1" / "pair" / "record.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": 2}))
    assert states(lidr.plan(lidr.load_recipe(recipe)))["iter_1/pair"] == "another lidr's"
    with pytest.raises(StoreError, match=r"record schema 2, this lidr reads 1.*Update lidr, or use another store"):
        run(recipe)


def test_a_damaged_record_is_refused_with_the_step_to_rebuild(tmp_path):
    recipe = write_world(tmp_path)
    planned = run(recipe)
    (planned.version_folder / "iter_1" / "pair" / "record.json").write_text("{")
    with pytest.raises(StoreError, match=r"damaged, no JSON object. Make the step again with --rebuild iter_1/pair"):
        run(recipe)
    assert set(states(run(recipe, rebuild=["iter_1/pair"])).values()) == {"cached"}
    (planned.version_folder / "iter_1" / "pair" / "record.json").write_text("{")
    run(recipe, "name=other")  # a damaged record of one recipe does not stand in the way of another


def test_a_full_disk_is_said_and_nothing_finished_is_lost(tmp_path, monkeypatch):
    import errno

    from lidr.store.artifact import TableWriter

    recipe = write_world(tmp_path)

    def full(self, table):
        raise OSError(errno.ENOSPC, "No space left on device", "data/00000.parquet")

    with monkeypatch.context() as patch:
        patch.setattr(TableWriter, "write", full)
        with pytest.raises(StoreError, match=r"no space left while writing data/00000.parquet: finished rows are kept"):
            run(recipe, until="generate")
    assert states(run(recipe))["iter_2/filter"] == "cached"


def test_a_commit_interrupted_before_its_rename_is_finished_by_the_next_run(tmp_path):
    recipe = write_world(tmp_path)
    planned = run(recipe)
    folder = planned.version_folder / "iter_2" / "filter"
    folder.rename(folder.with_name("filter.partial"))
    said: list[str] = []
    run(recipe, say=said.append)
    assert all("running" not in line for line in said)


def test_a_record_says_when_its_step_was_finished_and_not_when_it_began(tmp_path, monkeypatch):
    recipe = write_world(tmp_path)
    written = lambda: str(len(list(tmp_path.rglob("prompts*/data/*.parquet"))))  # noqa: E731
    monkeypatch.setattr("lidr.pipeline.run_plan._now", written)
    run(recipe)
    found = record.read_record(next(tmp_path.rglob("iter_1/prompts")))
    assert found is not None
    assert found.finished == "1"


def test_the_plan_of_a_finished_run_gives_times_from_its_rates(tmp_path):
    recipe = write_world(tmp_path)
    assert all(step.seconds is None for step in lidr.plan(lidr.load_recipe(recipe)).steps)
    run(recipe)
    planned = lidr.plan(lidr.load_recipe(recipe, overrides=["version=0.2.0", "seed=43"]))
    assert all(step.seconds is not None for step in planned.steps)


@pytest.mark.parametrize(
    "other",
    [
        ["policy.model=openai:another@http://127.0.0.1:9"],
        ["policy.model=org/other-8B", "runtime.engine=vllm", "policy.revision=unpinned"],
        ["chain.generate.max_tokens=2048", "chain.translate.max_tokens=4096"],
    ],
)
def test_a_plan_lends_no_rate_of_another_model_engine_or_length(tmp_path, other):
    recipe = write_world(tmp_path)
    run(recipe)
    planned = lidr.plan(lidr.load_recipe(recipe, overrides=["version=0.2.0", "seed=43", *other]))
    seconds = {step.place: step.seconds for step in planned.steps}
    assert seconds["iter_1/generate"] is None
    assert seconds["iter_1/translate"] is None
    assert seconds["iter_1/pair"] is not None  # it runs no model


def test_a_plan_lends_no_rate_of_another_machine_nor_of_a_record_that_does_not_say(tmp_path, monkeypatch):
    recipe = write_world(tmp_path)
    run(recipe)
    changed = lidr.load_recipe(recipe, overrides=["version=0.2.0", "seed=43"])
    monkeypatch.setattr("lidr.pipeline.rates.this_machine", lambda: Machine(("NVIDIA H100",), "a processor", 2))
    assert all(step.seconds is None for step in lidr.plan(changed).steps)


def test_a_plan_for_a_card_that_this_machine_has_not_takes_no_rate_of_this_one(tmp_path):
    recipe = write_world(tmp_path)
    run(recipe)
    words = ["version=0.2.0", "seed=43"]
    here, there = (
        costs_of(lidr.plan(lidr.load_recipe(recipe, overrides=[*words, *more]))) for more in ([], ["runtime.gpu=H100"])
    )
    assert here.measured_s > 0
    assert there.measured_s == 0
    assert "iter_1/pair" in there.unknown


def test_a_card_is_asked_for_only_where_it_would_give_an_estimate(tmp_path):
    recipe = write_world(tmp_path)
    model = ["policy.model=org/other-8B", "policy.revision=unpinned", "runtime.engine=transformers"]
    for more, helps in ((model, True), ([*model, "runtime.gpu=H100"], False), ([], False)):
        planned = lidr.plan(lidr.load_recipe(recipe, overrides=more))
        assert costs_of(planned).card_helps is helps
        assert ("name a card" in totals(planned, costs_of(planned))) is helps


def test_an_estimate_follows_from_the_card_and_is_never_called_measured(tmp_path):
    recipe = write_world(tmp_path)
    run(recipe)
    model = ["version=0.2.0", "policy.model=org/other-8B", "policy.revision=unpinned", "runtime.engine=vllm"]
    of = {}
    for card in ("A100", "H100"):
        more = [*model, f"runtime.gpu={card}", "runtime.gpu_price=2"]
        of[card] = costs_of(lidr.plan(lidr.load_recipe(recipe, overrides=more)))
        assert of[card].times["iter_1/generate"].is_measured is False
        assert of[card].price == of[card].gpu_hours * 2
        assert "8.00 billion parameters" in of[card].sources[0]
    assert of["A100"].gpu_hours > of["H100"].gpu_hours > 0
    with pytest.raises(PlanError, match=r'runtime.gpu: "Voodoo": no figures of this card are known; name one of T4'):
        costs_of(lidr.plan(lidr.load_recipe(recipe, overrides=[*model, "runtime.gpu=Voodoo"])))


def test_devices_batches_and_folders_do_not_change_a_fingerprint(tmp_path):
    recipe = write_world(tmp_path)
    changes = ["runtime.engine_batch=3", "runtime.threads=1", "runtime.tensor_parallel=2", "runtime.push=true"]
    plain = lidr.plan(lidr.load_recipe(recipe))
    other = lidr.plan(lidr.load_recipe(recipe, overrides=[*changes, f"runtime.store={tmp_path}/elsewhere"]))
    assert [s.fingerprint for s in plain.steps] == [s.fingerprint for s in other.steps]


@pytest.mark.parametrize(
    ("change", "first"),
    [
        ("seed=7", "iter_1/generate"),
        ("system_prompt=Be brief.", "iter_1/generate"),
        ("chain.translate.max_tokens=81", "iter_1/translate"),
        ("languages.others=[de, es]", "iter_1/prompts"),
        ("iterations[1].prompts=4:7", "iter_2/prompts"),
        ("policy.dtype=bfloat16", "iter_0/policy"),
    ],
)
def test_what_changes_a_result_changes_the_fingerprint_from_that_step_on(tmp_path, change, first):
    recipe = write_world(tmp_path)
    plain = lidr.plan(lidr.load_recipe(recipe)).steps
    changed = lidr.plan(lidr.load_recipe(recipe, overrides=[change])).steps
    different = [a.place for a, b in zip(plain, changed, strict=True) if a.fingerprint != b.fingerprint]
    assert different[0] == first


def test_the_content_of_the_prompts_is_identity(tmp_path):
    recipe = write_world(tmp_path)
    before = lidr.plan(lidr.load_recipe(recipe)).steps[1].fingerprint
    file = tmp_path / "prompts" / "de.jsonl"
    file.write_text(file.read_text().replace("wool", "silk"))
    assert lidr.plan(lidr.load_recipe(recipe)).steps[1].fingerprint != before


def test_missing_data_is_unresolved_in_a_plan_and_refused_by_a_run(tmp_path):
    recipe = write_world(tmp_path, RECIPE.replace("{folder}/prompts", "$LIDR_DATA/nowhere"))
    planned = lidr.plan(lidr.load_recipe(recipe))
    assert states(planned)["iter_1/prompts"] == "unresolved"
    assert planned.steps[2].state == "unresolved"
    with pytest.raises(
        PlanError, match=r"iter_1/prompts: prompts.source: \$LIDR_DATA/nowhere: set LIDR_DATA .* or give --data FOLDER"
    ):
        run(recipe)


def test_the_pipeline_knows_no_step_by_name():
    folder = Path(pipeline.__file__).parent
    source = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.py"))
    from lidr.steps import STEPS

    assert [name for name in STEPS if f'"{name}"' in source] == []


TRAINED = RECIPE.replace("iterations:", "  - train: {{learning_rate: 1e-5, batch: 8}}\niterations:").replace(
    '"openai:canned@http://127.0.0.1:9"', "{folder}/model"
)


def write_trained_world(folder: Path) -> Path:
    recipe = write_world(folder, TRAINED)
    (folder / "model").mkdir()
    for name in ("config.json", "model.safetensors"):
        (folder / "model" / name).write_text("{}")
    (folder / "model/chat_template.jinja").write_text("{% for turn in messages %}{{ turn.content }}{% endfor %}")
    return recipe


def test_until_a_place_carries_out_everything_before_it(tmp_path, capsys):
    recipe = write_world(tmp_path)
    whole = [step.place for step in lidr.plan(lidr.load_recipe(recipe)).steps]
    assert main(["run", str(recipe), "--until", "iter_2/translate", "--quiet"]) == 0
    assert "until iter_2/translate in " in capsys.readouterr().out
    states = {step.place: step.state for step in lidr.plan(lidr.load_recipe(recipe)).steps}
    made = whole[: whole.index("iter_2/translate") + 1]
    assert [place for place in whole if states[place] == "cached"] == made
    assert [step.place for step in lidr.plan(lidr.load_recipe(recipe), until="iter_1/generate").steps] == whole[
        : whole.index("iter_1/generate") + 1
    ]
    with pytest.raises(PlanError, match=r"iter_9/pair.*its steps: policy, .* or of one iteration iter_2/"):
        lidr.plan(lidr.load_recipe(recipe), until="iter_9/pair")


def test_until_leaves_out_a_later_iteration_whose_policy_would_not_be_made(tmp_path):
    recipe = lidr.load_recipe(write_trained_world(tmp_path))
    assert [step.place for step in lidr.plan(recipe, until="generate").steps] == [
        "iter_0/policy",
        "iter_1/prompts",
        "iter_2/prompts",
        "iter_1/generate",
    ]
    assert [step.place for step in lidr.plan(recipe, until="policy").steps] == ["iter_0/policy"]
    whole = {step.place: step.fingerprint for step in lidr.plan(recipe).steps}
    for until in ("policy", "generate", "pair", "train"):
        part = {step.place: step.fingerprint for step in lidr.plan(recipe, until=until).steps}
        assert part.items() <= whole.items()


def test_a_step_that_comes_after_its_rows_were_used_is_refused(tmp_path):
    recipe = write_trained_world(tmp_path)
    text = recipe.read_text()
    lines = [line for line in text.splitlines(keepends=True) if "- filter" not in line]
    at = next(i for i, line in enumerate(lines) if "- train" in line)
    recipe.write_text("".join([*lines[: at + 1], "  - filter\n", *lines[at + 1 :]]))
    with pytest.raises(PlanError, match=r'"filter" comes after "train", which has used the pairs; put it before'):
        lidr.plan(lidr.load_recipe(recipe))


def test_rebuild_touches_nothing_when_the_run_cannot_start(tmp_path):
    recipe = write_world(tmp_path)
    planned = run(recipe)
    with pytest.raises(PlanError, match="set LIDR_DATA"):
        run(recipe, "prompts.source=$LIDR_DATA/x", rebuild=["filter"])
    with pytest.raises(StoreError, match=r"iter_2/generate was made by other settings"):
        run(recipe, "chain.generate.max_tokens=32", rebuild=["iter_1/generate"])
    assert all(planned.folder(step).exists() for step in planned.steps)


def test_the_advice_of_drift_names_every_root_and_following_it_works(tmp_path):
    recipe = write_world(tmp_path)
    run(recipe)
    with pytest.raises(StoreError) as caught:
        run(recipe, "chain.generate.max_tokens=32")
    assert "--rebuild iter_1/generate --rebuild iter_2/generate" in str(caught.value)
    planned = run(recipe, "chain.generate.max_tokens=32", rebuild=["iter_1/generate", "iter_2/generate"])
    assert set(states(planned).values()) == {"cached"}


def test_what_was_made_from_content_that_is_gone_is_not_cached(tmp_path):
    recipe = write_world(tmp_path)
    planned = run(recipe)
    answers = planned.version_folder / "iter_1" / "generate"
    pq.write_table(open_artifact(answers).read().slice(1), answers / "data/00000.parquet")  # as if answered otherwise
    files, digest = ArtifactWriter(answers, Response).finish()
    rewritten(answers / "record.json", files=[asdict(entry) for entry in files], digest=digest)
    again = lidr.plan(lidr.load_recipe(recipe))
    step = next(step for step in again.steps if step.place == "iter_1/translate")
    assert step.state == "drifted"
    assert step.why == ("its input responses (iter_1/generate) was made again and has other content",)


def test_run_json_holds_every_step_of_the_version_also_after_a_shorter_run(tmp_path):
    recipe = write_world(tmp_path)
    planned = run(recipe)
    run(recipe, until="generate")
    content = json.loads((planned.version_folder / "run.json").read_text())
    assert len(content["steps"]) == 11
    assert content["recipe"]["prompts"]["license"] == "cc0-1.0"
    assert (planned.version_folder / "recipe.yaml").read_text() == recipe.read_text()


def test_a_step_that_keeps_no_row_has_its_tables_all_the_same(tmp_path):
    recipe = write_world(tmp_path, RECIPE.replace("pair: {{drop: joint}}", "pair: {{drop: joint, min_kept: 0}}"))
    write_answers(tmp_path / "answers.jsonl", first=({"match": "Please translate", "text": "no tag"},))
    planned = run(recipe)
    for step in planned.steps[-2:]:
        assert open_artifact(planned.folder(step)).read().num_rows == 0


def test_input_files_that_change_during_a_run_are_found(tmp_path):
    recipe = write_world(tmp_path)
    prompts = tmp_path / "prompts" / "en.jsonl"

    def edit(text: str) -> None:
        if "iter_1/prompts: done" in text:
            prompts.write_text(prompts.read_text().replace("wool", "silk"))

    with pytest.raises(StoreError, match=r"iter_2/prompts: its input files have changed since this run began"):
        run(recipe, say=edit)


def test_a_slice_beyond_the_prompts_is_found_before_anything_is_generated(tmp_path):
    recipe = write_world(tmp_path)
    with pytest.raises(lidr.RowError, match="4:99"):
        run(recipe, "iterations[1].prompts=4:99")
    assert not (tmp_path / "runs" / "scripted" / "0.1.0" / "iter_1" / "generate").exists()


def test_a_damaged_line_of_a_journal_is_named(tmp_path):
    recipe = write_world(tmp_path)
    write_answers(tmp_path / "answers.jsonl", first=({"match": "Spanish: tell me about rain", "error": "away"},))
    with pytest.raises(EngineError):
        run(recipe)
    journal = tmp_path / "runs" / "scripted" / "0.1.0" / "iter_1" / "generate.partial" / "work" / "answers.jsonl"
    journal.write_text("{\n" + journal.read_text())
    with pytest.raises(StoreError, match=r"answers.jsonl:1: damaged line.*--rebuild iter_1/generate"):
        run(recipe)


def test_a_damaged_artifact_of_another_version_is_not_taken_over_but_made(tmp_path):
    recipe = write_world(tmp_path)
    planned = run(recipe)
    shard = planned.version_folder / "iter_1" / "translate" / "data" / "00000.parquet"
    shard.write_bytes(shard.read_bytes()[:-10])
    said: list[str] = []
    run(recipe, "version=0.2.0", say=said.append)
    assert any(line.endswith("iter_1/translate: running") for line in said)


def raise_rules(monkeypatch, name: str, **changes) -> tuple[int, int]:
    """Give a step other rules, as a later lidr has them; the rules before and after."""
    kind = STEPS[name]
    monkeypatch.setitem(STEPS, name, replace(kind, version=kind.version + 1, **changes))
    return kind.version, kind.version + 1


def test_what_older_rules_made_is_kept_and_named_and_is_no_drift(tmp_path, monkeypatch):
    recipe = write_world(tmp_path)
    run(recipe)
    before = tables(tmp_path)
    was, now = raise_rules(monkeypatch, "pair")
    planned = lidr.plan(lidr.load_recipe(recipe))
    other = {"iter_1/pair", "iter_2/pair"}
    assert {place for place, state in states(planned).items() if state == "other rules"} == other
    assert {state for place, state in states(planned).items() if place not in other} == {"cached"}
    step = planned.in_state("other rules")[0]
    assert step.said == f"rules {was} -> {now}"
    assert step.why == (
        f"made by rules {was}, this lidr has {now}; it is kept and used as it is. A new version of the recipe makes it "
        "by the new rules, and so does --rebuild iter_1/pair",
    )
    said: list[str] = []
    assert states(run(recipe, say=said.append)) == states(planned)
    assert [line.split("] ")[1] for line in said if "/pair" in line] == [
        f"iter_{k}/pair: cached, made by rules {was}, this lidr has {now}" for k in (1, 2)
    ]
    assert tables(tmp_path) == before


def test_plan_prints_the_rules_as_a_state_and_as_json(tmp_path, monkeypatch, capsys):
    recipe = write_world(tmp_path)
    run(recipe)
    was, now = raise_rules(monkeypatch, "pair")
    assert main(["plan", str(recipe)]) == 0
    said = capsys.readouterr().out
    assert f"rules {was} -> {now}" in next(line for line in said.splitlines() if line.strip().startswith("iter_1/pair"))
    assert "Everything is there" in said
    assert main(["plan", str(recipe), "--json"]) == 0
    steps = {step["place"]: step for step in json.loads(capsys.readouterr().out)["steps"]}
    assert steps["iter_1/pair"]["state"] == "other rules"
    assert steps["iter_1/pair"]["rules"] == {"pair": {"made_by": was, "now": now}}
    assert steps["iter_1/filter"]["rules"] == {}
    assert main(["status", str(recipe)]) == 0
    assert f"rules {was} -> {now}" in capsys.readouterr().out


def test_rebuild_and_a_new_version_make_it_by_the_new_rules_with_all_that_follows(tmp_path, monkeypatch):
    recipe = write_world(tmp_path)
    run(recipe)
    _, now = raise_rules(monkeypatch, "pair")
    planned = lidr.plan(lidr.load_recipe(recipe, overrides=["version=0.2.0"]))
    assert {step.name for step in planned.steps if step.state == "new"} == {"pair", "filter"}
    planned = run(recipe, rebuild=["iter_1/pair"])
    found = states(planned)
    assert (found["iter_1/pair"], found["iter_1/filter"], found["iter_2/pair"]) == ("cached", "cached", "other rules")
    records = {step.place: open_artifact(planned.folder(step)).record for step in planned.steps}
    assert records["iter_1/pair"].identity["version"] == now
    assert records["iter_1/filter"].identity["inputs"]["pairs"] == records["iter_1/pair"].fingerprint


def test_a_setting_that_changed_is_drift_whatever_the_rules(tmp_path, monkeypatch):
    recipe = write_world(tmp_path)
    run(recipe)
    raise_rules(monkeypatch, "pair")
    planned = lidr.plan(lidr.load_recipe(recipe, overrides=["chain.pair.drop=independent"]))
    step = planned.in_state("drifted")[0]
    assert (step.place, step.why) == ("iter_1/pair", ("config.drop: joint -> independent",))


def test_what_older_rules_began_goes_on_only_where_the_step_says_that_its_questions_are_the_same(tmp_path, monkeypatch):
    recipe = write_world(tmp_path)
    write_answers(tmp_path / "answers.jsonl", first=({"match": "Spanish: tell me about rain", "error": "away"},))
    with pytest.raises(EngineError):
        run(recipe)
    journal = tmp_path / "runs/scripted/0.1.0/iter_1/generate.partial/work/answers.jsonl"
    begun = journal.read_bytes()
    was, now = raise_rules(monkeypatch, "generate")
    monkeypatch.setitem(STEPS, "generate", replace(STEPS["generate"], resumes_since=None))
    assert states(lidr.plan(lidr.load_recipe(recipe)))["iter_1/generate"] == "begun by other rules"
    with pytest.raises(StoreError, match=rf"^iter_1/generate was begun by rules {was}, this lidr has {now}.*--rebuild"):
        run(recipe)
    assert journal.read_bytes() == begun
    monkeypatch.setitem(STEPS, "generate", replace(STEPS["generate"], resumes_since=was))
    assert states(lidr.plan(lidr.load_recipe(recipe)))["iter_1/generate"] == "resumes"
    with pytest.raises(EngineError, match=r"1 of 12 requests got no answer"):
        run(recipe)


def test_a_rerun_of_what_is_finished_looks_at_no_other_version_and_plans_once(tmp_path, monkeypatch):
    recipe = write_world(tmp_path)
    run(recipe)
    run(recipe, "version=0.2.0", "seed=7")
    time.sleep(2 * TICK_S)
    planned, read = [], []
    whole_plan, whole_read = run_plan.plan, record._read
    monkeypatch.setattr(run_plan, "plan", lambda *a, **k: planned.append(1) or whole_plan(*a, **k))
    monkeypatch.setattr(record, "_read", lambda path: read.append(path) or whole_read(path))
    monkeypatch.setattr(known_records, "_stamps", lambda root: pytest.fail("the store was looked through"))
    record._known.clear()
    assert set(states(run(recipe)).values()) == {"cached"}
    assert len(planned) == 1
    assert len(read) == len(set(read))
    assert {path.parents[2].name for path in read} == {"0.1.0"}


def test_what_another_version_had_finished_before_it_was_killed_is_taken_over(tmp_path):
    recipe = write_world(tmp_path)
    folder = run(recipe).version_folder / "iter_2" / "filter"
    folder.rename(folder.with_name("filter.partial"))
    said: list[str] = []
    run(recipe, "version=0.2.0", say=said.append)
    assert [line for line in said if "running" in line] == []
    assert folder.is_dir()


def test_a_record_with_fields_of_a_newer_lidr_is_not_called_damaged(tmp_path):
    recipe = write_world(tmp_path)
    folder = run(recipe).version_folder / "iter_1" / "pair"
    content = read_sealed(folder / "record.json")
    for change, named in (
        ({"energy_kwh": 2.5}, "'energy_kwh'"),
        ({"rate": {**content["rate"], "tokens": 7}}, r"'rate\.tokens'"),
        ({"files": [{**file, "blake3": "00"} for file in content["files"]]}, r"'files\.blake3'"),
    ):
        newer = {**content, **change, "versions": {**content["versions"], "lidr": "9.9.0"}}
        write_json(folder / "record.json", newer, sealed=True)
        said = rf"written by lidr 9\.9\.0; this lidr, {__version__}, does not read it \(unknown fields {named}\)"
        with pytest.raises(StoreError, match=said) as caught:
            run(recipe)
        assert "damaged" not in str(caught.value)
        assert "--rebuild iter_1/pair" in str(caught.value)
        (planned,) = [s for s in lidr.plan(lidr.load_recipe(recipe)).steps if s.place == "iter_1/pair"]
        assert planned.state == "another lidr's"
        assert "damaged" not in planned.why[0]
