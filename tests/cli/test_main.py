"""The command line as its users meet it: what it prints, its exit codes, what it loads."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

from lidr.cli.main import COMMANDS, main
from lidr.hub.snapshot import Entry
from lidr.resources import shared
from tests.scripted import write_answers, write_world


def lidr(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lidr.cli.main", *arguments], capture_output=True, text=True, check=False
    )


def loaded_by(*arguments: str, path: str = "") -> set[str]:
    """Modules that a command loads; `path` is where Python looks first."""
    code = (
        "import sys, contextlib, io\nfrom lidr.cli.main import main\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        f"    main({list(arguments)!r})\n"
        "print(*sys.modules)"
    )
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([path, os.environ.get("PYTHONPATH", "")]).strip(os.pathsep),
    }
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    return set(done.stdout.split())


HEAVY = {"torch", "transformers", "datasets", "vllm", "trl", "peft", "lm_eval"}


def test_help_loads_nothing_but_the_parser():
    assert not loaded_by("--help") & (HEAVY | {"pydantic", "yaml", "pyarrow", "polars", "httpx", "lingua"})


SLOW_TO_LOAD = HEAVY | {
    "polars",
    "pyarrow",
    "numpy",
    "httpx",
    "lingua",
    "urllib.request",
    "http.client",
    "asyncio",
    "ssl",
}


@pytest.mark.parametrize("command", ["validate", "plan"])
def test_validate_and_plan_load_only_what_reads_a_recipe(tmp_path, command):
    paper = str(shared("recipes") / "llama3-8b" / "instruct.yaml")
    assert not loaded_by(command, str(write_world(tmp_path))) & SLOW_TO_LOAD
    assert not loaded_by(command, paper) & SLOW_TO_LOAD


def test_a_plugin_of_pydantic_that_is_installed_is_not_looked_for(tmp_path):
    """It could change what a recipe means; and looking for one reads a file of every distribution."""
    (tmp_path / "watching.py").write_text("plugin = None\n")
    (tmp_path / "watching-1.0.dist-info").mkdir()
    (tmp_path / "watching-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: watching\nVersion: 1.0\n"
    )
    (tmp_path / "watching-1.0.dist-info" / "entry_points.txt").write_text("[pydantic]\nwatching = watching:plugin\n")
    loaded = loaded_by("validate", str(write_world(tmp_path / "world")), path=str(tmp_path))
    assert "pydantic" in loaded
    assert "watching" not in loaded


def test_importing_lidr_loads_nothing_heavy():
    code = "import sys, lidr; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
    assert not loaded & (HEAVY | {"pyarrow", "polars"})


def test_help_lists_every_command(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert all(name in text for name in COMMANDS)


def test_every_command_has_its_own_help(capsys):
    for name in COMMANDS:
        with pytest.raises(SystemExit):
            main([name, "--help"])
        assert f"lidr {name}" in capsys.readouterr().out


def test_help_of_an_action_is_that_of_the_action(capsys):
    for words in (["pairs", "export"], ["eval", "run"], ["run"], []):
        with pytest.raises(SystemExit) as stop:
            main(["help", *words])
        assert stop.value.code == 0
        assert capsys.readouterr().out.startswith(f"usage: {' '.join(['lidr', *words])} ")
    with pytest.raises(SystemExit):
        main(["pairs", "exprot"])
    assert capsys.readouterr().err.endswith("See: lidr help pairs\n")


def test_a_users_error_is_plain_text_with_exit_code_2(tmp_path):
    recipe = write_world(tmp_path)
    recipe.write_text(recipe.read_text().replace("drop: joint", "drop: jont"))
    done = lidr("run", str(recipe))
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert 'chain[2].pair.drop: unknown value "jont"; did you mean "joint"?' in done.stderr


def test_a_bug_keeps_its_traceback_and_exits_with_1(tmp_path):
    code = (
        "import lidr.cli.recipe.ls as ls, sys\nls.shipped = lambda: 1 / 0\n"
        "import lidr.cli.main as m\nsys.exit(m.main(['ls']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr


def test_an_interrupt_exits_with_130(monkeypatch, capsys):
    import lidr.cli.recipe.ls

    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(lidr.cli.recipe.ls, "shipped", interrupted)
    assert main(["ls"]) == 130
    assert "the same command goes on from here" in capsys.readouterr().err


def test_windows_is_refused_with_a_message(monkeypatch, capsys):
    monkeypatch.setattr(sys, "platform", "win32")
    assert main(["ls"]) == 2
    assert "on Windows use WSL" in capsys.readouterr().err


def test_drift_exits_with_2_and_names_the_field(tmp_path):
    recipe = str(write_world(tmp_path))
    assert lidr("run", recipe, "--quiet").returncode == 0
    done = lidr("run", recipe, "--quiet", "--set", "chain.generate.max_tokens=32")
    assert done.returncode == 2
    assert "iter_1/generate was made by other settings: config.max_tokens: 64 -> 32" in done.stderr
    assert "To keep both, give the recipe a higher version (now 0.1.0); to make it again, run with --" in done.stderr
    assert " --rebuild iter_1/generate" in done.stderr


def test_plan_shows_each_step_its_work_and_then_that_nothing_is_left(tmp_path, capsys):
    recipe = str(write_world(tmp_path))
    assert main(["plan", recipe]) == 0
    text = capsys.readouterr().out
    assert re.search(r"iter_1/generate +new +12 requests +768 +no rate yet", text)
    assert "Still to do: 11 steps, 56 requests, at most 4,096 tokens. Time: no rate yet" in text
    assert main(["plan", recipe, "--set", "chain.translate.retry={times: 1}"]) == 0
    assert ", at most 4,096 tokens, without retries. Time: " in capsys.readouterr().out
    assert main(["run", recipe, "--quiet"]) == 0
    capsys.readouterr()
    main(["plan", recipe])
    assert "Everything is there: a run makes no request and writes nothing." in capsys.readouterr().out


def test_run_ends_with_the_account_and_says_where_everything_lies(tmp_path, capsys):
    recipe = write_world(tmp_path)
    write_answers(
        tmp_path / "answers.jsonl",
        first=({"match": "into Spanish.*bees in English", "text": "a", "finish_reason": "length"},),
    )
    assert main(["run", str(recipe), "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert re.search(r"pair: translation_truncated +1 +0 +0 +0\n", out)
    assert re.search(r"kept +6 +8 +8 +8\n", out)
    assert f"{tmp_path}/runs/scripted/0.1.0/iter_*/filter/data/*.parquet" in out
    assert "[11/11] iter_2/filter: done in" in err


@pytest.mark.parametrize("command", ["ls", "validate", "plan", "run", "status"])
def test_json_is_one_object_on_stdout_with_its_schema(tmp_path, command):
    recipe = [] if command == "ls" else [str(write_world(tmp_path))]
    done = lidr(command, *recipe, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["schema"] == f"lidr.{command}/1"


def test_status_shows_a_running_step_from_another_process(tmp_path):
    recipe = write_world(tmp_path)
    write_answers(tmp_path / "answers.jsonl", delay_s=10)  # the step outlasts the start of the other process
    with subprocess.Popen(
        [sys.executable, "-m", "lidr.cli.main", "run", str(recipe), "--quiet"], stderr=subprocess.PIPE, text=True
    ) as running:
        try:
            assert running.stderr is not None
            assert any("generate: running" in line for line in running.stderr)
            seen = {}
            while seen.get("state") != "running":
                assert running.poll() is None
                steps = json.loads(lidr("status", str(recipe), "--json").stdout)["steps"]
                seen = next(step for step in steps if step["place"] == "iter_1/generate")
        finally:
            running.kill()
    assert seen["progress"]["total"] == 12
    assert seen["progress"]["unit"] == "requests"


def test_ls_and_cp_give_a_start_that_validates(tmp_path, capsys):
    assert main(["ls"]) == 0
    assert "quickstart" in capsys.readouterr().out
    copy = tmp_path / "mine" / "my.yaml"
    assert main(["cp", "quickstart", str(copy)]) == 0
    assert main(["validate", str(copy)]) == 0
    assert main(["cp", "quickstart", str(copy)]) == 2
    assert "exists; give another name, or remove it first" in capsys.readouterr().err
    assert main(["cp", "quikstart", str(tmp_path / "x.yaml")]) == 2
    assert 'no shipped recipe "quikstart"; did you mean "quickstart"?' in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("croco", '"methods/croco"'),
        ("crocco", '"methods/croco"'),
        ("Croco.yaml", '"methods/croco"'),
        ("recipes/methods/croco.yaml", '"methods/croco"'),
        ("chat-asian", '"llama2-7b/chat-asian"'),
        ("sft", '"llama3-8b/sft" or "real_policy/sft"'),
    ],
)
def test_cp_names_a_recipe_of_a_folder_by_its_last_part(tmp_path, capsys, name, meant):
    assert main(["cp", name, str(tmp_path / "x.yaml")]) == 2
    assert f"did you mean {meant}?" in capsys.readouterr().err


def test_validate_prints_the_json_schema(capsys):
    assert main(["validate", "--json-schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert main(["validate"]) == 2
    assert "name a recipe file, or give --json-schema" in capsys.readouterr().err


UNPINNED = "policy={model: org/name, revision: unpinned}"


def test_an_unpinned_model_is_planned_and_refused_until_it_is_locked(tmp_path, capsys):
    recipe = str(write_world(tmp_path))
    assert main(["plan", recipe, "--set", UNPINNED]) == 0
    assert "org/name is unpinned: `lidr lock RECIPE` fills its commit" in capsys.readouterr().out
    assert main(["run", recipe, "--set", UNPINNED]) == 2
    assert "org/name is unpinned" in capsys.readouterr().err


def test_lock_writes_the_commit_that_the_hub_gives(tmp_path, capsys, monkeypatch):
    import huggingface_hub

    commit = "0123456789abcdef0123456789abcdef01234567"
    monkeypatch.setattr(
        huggingface_hub.HfApi,
        "model_info",
        lambda self, repo, revision=None: type("Info", (), {"sha": commit})(),
        raising=True,
    )
    monkeypatch.setattr("lidr.hub.pins.listing", lambda repo, sha, anew: (Entry("config.json", 2, None, "0" * 40),))
    recipe = str(write_world(tmp_path))
    assert main(["lock", recipe, "--set", UNPINNED]) == 0
    assert f"org/name: unpinned -> {commit}" in capsys.readouterr().out
    lock = json.loads((tmp_path / "runs" / "scripted" / "0.1.0" / "recipe.lock.json").read_text())
    assert lock["models"] == {"org/name": commit}
    assert lock["contents"][f"org/name@{commit}"]["files"] == 1
    main(["plan", recipe, "--set", UNPINNED, "--json"])
    steps = json.loads(capsys.readouterr().out)["steps"]
    assert steps[0]["state"] == "new"


def test_lock_says_when_the_hub_gives_nothing(tmp_path):
    import os

    recipe = str(write_world(tmp_path))
    environment = {**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [sys.executable, "-m", "lidr.cli.main", "lock", recipe, "--set", UNPINNED],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode == 2, done.stderr
    assert "org/name: the Hub did not give it (ConnectError)" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_damaged_lock_file_is_said(tmp_path, capsys):
    recipe = write_world(tmp_path)
    folder = tmp_path / "runs" / "scripted" / "0.1.0"
    folder.mkdir(parents=True)
    (folder / "recipe.lock.json").write_text("{")
    assert main(["plan", str(recipe)]) == 2
    assert "damaged, no lock as lidr writes it; remove it and run `lidr lock RECIPE` again" in capsys.readouterr().err


def test_a_store_that_cannot_be_written_is_the_users_error(tmp_path):
    recipe = write_world(tmp_path)
    (tmp_path / "file").write_text("")
    for command in ("run", "plan"):
        done = lidr(command, str(recipe), "--set", f"runtime.store={tmp_path}/file/below")
        assert done.returncode == 2, done.stderr
        assert "Traceback" not in done.stderr
        assert "Not a directory" in done.stderr


def test_a_run_goes_on_when_nobody_reads_its_progress(tmp_path):
    recipe = write_world(tmp_path)
    command = f"{sys.executable} -m lidr.cli.main run {recipe} --quiet 2>&1 >/dev/null | head -1"
    subprocess.run(["bash", "-c", command], check=True, capture_output=True)
    assert (tmp_path / "runs" / "scripted" / "0.1.0" / "run.json").exists()
