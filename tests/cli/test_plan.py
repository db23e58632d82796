"""What `lidr plan` says of memory: the weights of the policy against those of a card, or of this machine."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

import lidr
from lidr.cli.main import main
from lidr.costs import ARITHMETIC, BANDWIDTH
from tests.engines.dialects import answer, text_for
from tests.engines.server import Server
from tests.scripted import RECIPE, write_world

TOO_LARGE = "more than it has; "
TRAINS = RECIPE.replace(
    "  - filter: {{length_ratio: {{min: 0.2, max: 5.0}}}}\n",
    "  - train: {{learning_rate: 1e-5, batch: 4, lora: {{rank: 8}}, max_length: 400}}\n",
)


def memory_lines(folder: Path, capsys: pytest.CaptureFixture[str], *overrides: str) -> list[str]:
    """What `plan` says of the memory for an 8B model in 16 bits: of the steps that write, and of training."""
    model = ("policy.model=org/some-8B", "policy.dtype=bfloat16", "runtime.engine=transformers")
    words = [word for one in (*model, "runtime.engine_batch=1", *overrides) for word in ("--set", one)]
    assert main(["plan", str(write_world(folder / "w", TRAINS)), *words]) == 0
    return [line for line in capsys.readouterr().out.splitlines() if line.startswith("Memory, ")]


@pytest.mark.parametrize(
    ("card", "expected"),
    [
        ("T4", "of the 16 GB of one T4, " + TOO_LARGE),
        ("H200", "of the 141 GB of one H200 ("),
    ],
)
def test_weights_that_no_card_of_the_name_holds_are_told(tmp_path, capsys, card, expected) -> None:
    lines = memory_lines(tmp_path, capsys, f"runtime.gpu={card}")
    assert len(lines) == 2
    assert all(f" {expected}" in line and "weights 16.0 GB" in line for line in lines)
    assert [TOO_LARGE in line for line in lines] == [card == "T4"] * 2


@pytest.mark.parametrize(("memory", "is_told"), [(12_000_000_000, True), (512_000_000_000, False)])
def test_weights_that_this_machine_does_not_hold_are_told(tmp_path, capsys, monkeypatch, memory, is_told) -> None:
    monkeypatch.setattr("lidr.costs.main_memory", lambda: memory)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    lines = memory_lines(tmp_path, capsys)
    assert len(lines) == 2
    assert all((f"of the 12.0 GB of this machine, {TOO_LARGE}" in line) == is_told for line in lines)


def test_logits_of_a_training_are_counted_as_a_cpu_holds_them_where_there_is_no_card(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    here = memory_lines(tmp_path / "here", capsys)[1]
    card = memory_lines(tmp_path / "card", capsys, "runtime.gpu=H200")[1]
    logits = [float(re.search(r"logits, in tiles ([\d.]+) GB", line)[1]) for line in (here, card)]
    assert logits[0] == pytest.approx(18 * logits[1], rel=0.1)  # 9 tiles, and of float32 in place of bfloat16


def test_an_estimate_says_for_which_engine_it_holds(tmp_path, capsys) -> None:
    words = [word for one in ("policy.model=org/some-8B", "runtime.gpu=H100") for word in ("--set", one)]
    file = str(write_world(tmp_path / "w", TRAINS))
    for engine, is_said in (("transformers", True), ("vllm", False)):
        assert main(["plan", file, *words, "--set", f"runtime.engine={engine}"]) == 0
        assert ("on a GPU take --set runtime.engine=vllm" in capsys.readouterr().out) is is_said


def test_a_plan_ends_with_the_command_that_carries_it_out_where_it_would_run(tmp_path, capsys) -> None:
    file, store = str(write_world(tmp_path / "w")), str(tmp_path / "my store")
    words = ["plan", file, "--set", "seed=3", "--until", "pair", "--store", store]
    assert main(words) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == f"Next: lidr run {file} --set seed=3 --store '{store}' --until pair"
    assert main([*shlex.split(last)[2:], "--quiet"]) == 0
    capsys.readouterr()
    for changed in ([], ["--set", "seed=4"]):  # all is there; then it was made by other settings
        assert main([*words, *changed]) == 0
        assert "Next:" not in capsys.readouterr().out


def test_a_time_that_is_not_known_is_never_counted_as_none(tmp_path, capsys) -> None:
    """Rates of the steps that were made count for those alone, and what has no size has no time."""
    file = write_world(tmp_path / "w")
    lidr.run(lidr.load_recipe(file))
    words = ["plan", str(file), "--fresh", "--set", "version=0.2.0", "--set", "policy.model=openai:other@http://x"]
    assert main(words) == 0
    said = capsys.readouterr().out
    rows = {line.split()[0]: line for line in said.splitlines() if line.startswith("iter_")}
    assert re.search(r"(under 1|[1-9]\d*) s$", rows["iter_1/pair"])
    assert rows["iter_1/generate"].endswith("no rate yet")
    assert " 0 s" not in said
    assert re.search(r"Time: unknown for \d steps \(a first run measures it", said)
    assert re.search(r"; for the others (under 1|[1-9]\d*) s by rates measured for the same model", said)


def test_of_pairs_that_nobody_has_counted_no_time_is_known(tmp_path, capsys) -> None:
    file = write_world(tmp_path / "w")
    lidr.run(lidr.load_recipe(file))
    head, _, rest = file.read_text().partition("prompts: ")
    runtime = rest.partition("runtime: ")[2]
    pairs = f"{{dataset: org/others, revision: {'a' * 40}, license: mit}}"
    chain = f"chain:\n  - pairs: {pairs}\n  - filter: {{length_ratio: {{min: 0.1, max: 9}}}}\n"
    file.write_text(f"{head}{chain}runtime: {runtime}")
    assert main(["plan", str(file), "--set", "version=0.2.0"]) == 0
    said = capsys.readouterr().out
    rows = {line.split()[0]: line for line in said.splitlines() if line.startswith("iter_1/")}
    assert all(row.endswith("no rate yet") for row in rows.values())
    assert ", no requests. Time: no rate yet" in said


def plan_of(capsys: pytest.CaptureFixture[str], recipe: Path, *overrides: str) -> str:
    assert main(["plan", str(recipe), "--json", *(word for one in overrides for word in ("--set", one))]) == 0
    return capsys.readouterr().out


def test_what_replicas_do_not_share_is_said(tmp_path, capsys) -> None:
    chain = TRAINS.replace(
        "  - pair:",
        "  - score: {{latent: {{}}, judge: {{model: 'openai:j@http://127.0.0.1:9'}}}}\n  - pair:",
    ).replace("  - train:", "  - measure: {{margin: {{}}}}\n  - train:")
    recipe = write_world(tmp_path / "w", chain)
    model = ("policy.model=org/some-8B", "policy.dtype=bfloat16", "runtime.engine=transformers")
    words = [word for one in (*model, "runtime.replicas=all") for word in ("--set", one)]
    assert main(["plan", str(recipe), *words]) == 0
    (line,) = [one for one in capsys.readouterr().out.splitlines() if one.startswith("runtime.replicas: all does not ")]
    assert line == (
        "runtime.replicas: all does not speed up score.latent (replicas give texts alone); score.judge (a server is "
        "asked, which has its own); measure.margin (replicas give texts alone); train (runtime.train_processes does)"
    )
    assert json.loads(plan_of(capsys, recipe, *model))["not_by_replicas"] == {}
    shared = ("runtime.replicas=all", "runtime.train_processes=2")
    assert "train" not in json.loads(plan_of(capsys, recipe, *model, *shared))["not_by_replicas"]


def test_a_policy_behind_a_server_is_said_to_need_no_replicas(tmp_path, capsys) -> None:
    recipe = write_world(tmp_path / "w")
    found = plan_of(capsys, recipe, "runtime.engine=openai", "runtime.answers=null", "runtime.replicas=2")
    its_own = "a server is asked, which has its own"
    assert json.loads(found)["not_by_replicas"] == {"generate": its_own, "translate": its_own}


def expected_of(plan_json: str) -> dict[str, dict[str, object]]:
    """Place -> how much there is to do, by `lidr plan --json`."""
    return {step["place"]: step["expected"] for step in json.loads(plan_json)["steps"]}


@pytest.mark.parametrize(
    ("pair", "pairs"),
    [("drop: joint", 16), ("dominant_pairs: none", 8), ("dominant_pairs: one", 12), ("from: scores, pool: all", 4)],
)
def test_what_follows_the_pairs_has_no_more_to_do_than_there_can_be_pairs(tmp_path, capsys, pair, pairs) -> None:
    """4 prompts, 2 other languages; a pair has two sides of at most 400 tokens."""
    chain = (
        "chain=[{generate: {n: 2, temperature: 1.0, max_tokens: 8}}, {score: {language: {}}}, "
        f"{{translate: {{best_by: language, max_tokens: 8}}}}, {{pair: {{{pair}}}}}, "
        "{filter: {length_ratio: {min: 0.2, max: 5.0}}}, "
        "{train: {learning_rate: 1.0e-5, batch: 4, max_length: 400, lora: {rank: 8}}}]"
    )
    recipe = write_world(tmp_path / "w", TRAINS)
    model = ("policy={model: org/some-8B, revision: unpinned}", "runtime.engine=transformers", chain)
    found = expected_of(plan_of(capsys, recipe, *model))
    assert [found[f"iter_1/{step}"]["count"] for step in ("pair", "filter", "train")] == [pairs] * 3
    assert found["iter_1/train"]["trained"] == pairs * 2 * 400


@pytest.mark.parametrize(
    ("pair", "only", "pairs"),
    [
        ("drop: joint", "languages: [es]", 8),
        ("drop: joint", "kinds: [non_dominant]", 8),
        ("drop: joint", "languages: [es], kinds: [dominant]", 4),
        ("dominant_pairs: none", "kinds: [dominant, non_dominant]", 8),
        ("from: scores", "languages: [de]", 4),
        ("from: scores", "kinds: [sampled]", 12),
    ],
)
def test_a_filter_for_some_languages_or_kinds_lowers_the_bound_of_what_follows(tmp_path, capsys, pair, only, pairs):
    """4 prompts in a dominant and 2 other languages."""
    made = "{generate: {n: 2, temperature: 1.0, max_tokens: 8}}, {score: {language: {}}}"
    translated = "" if "scores" in pair else "{translate: {best_by: language, max_tokens: 8}}, "
    rest = f"{{pair: {{{pair}}}}}, {{filter: {{only: {{{only}}}}}}}, {{clean: {{exact: true}}}}"
    chain = f"chain=[{made}, {translated}{rest}]"
    found = expected_of(plan_of(capsys, write_world(tmp_path / "w"), chain))
    assert [found[f"iter_1/{step}"]["count"] for step in ("filter", "clean")] == [pairs] * 2


EVALUATED = "chain=[{generate: {max_tokens: 8}}, {evaluate: {tasks: [mgsm], data: [FOLDER], max_tokens: 8}}]"


def test_rows_that_lie_here_are_counted_and_others_are_told_by_which_number(tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.delenv("LIDR_DATA", raising=False)
    recipe = write_world(tmp_path / "w")
    rows = tmp_path / "rows/word_problems"
    rows.mkdir(parents=True)
    problems = [{"id": f"q{number}", "query": "One bee and two bees?", "response": "3"} for number in range(7)]
    for code in ("en", "es", "de"):
        (rows / f"{code}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in problems), encoding="utf-8")
    here, away = (EVALUATED.replace("FOLDER", place) for place in (str(tmp_path / "rows"), "$LIDR_DATA"))
    found = expected_of(plan_of(capsys, recipe, here))["iter_0/evaluate"]
    assert (found["count"], found["note"]) == (3 * 7, "")
    assert expected_of(plan_of(capsys, recipe, here, "chain.evaluate.limit=5"))["iter_0/evaluate"]["count"] == 3 * 5
    found = expected_of(plan_of(capsys, recipe, away))["iter_0/evaluate"]
    assert (found["count"], found["note"]) == (3 * 250, "by the usual 250 of mgsm a language: its rows are not here")


@pytest.mark.parametrize(
    ("scorer", "beside"),
    [
        ("reward_model: {model: org/judge, revision: unpinned}", "score: reward_model, 48 passes"),
        (
            "reward_model: {model: org/judge, revision: unpinned, engine: vllm}",
            "score: reward_model by vllm, 48 passes",
        ),
        ("implicit: {reference: org/base, revision: unpinned}", "score: implicit, 96 passes"),
        ("mt_quality: {max_tokens: 40}", "score: mt_quality, 96 translations"),
        (
            "mt_quality: {max_tokens: 40, estimator: {model: org/judge-2B, revision: unpinned}}",
            "score: mt_quality, 48 passes; score: mt_quality, 48 translations",
        ),
    ],
)
def test_what_no_estimate_counts_is_named_beside_the_hours_and_the_time(tmp_path, capsys, scorer, beside) -> None:
    """4 prompts in 3 languages, 2 answers to each, in 2 iterations: 48 answers."""
    chain = TRAINS.replace("max_tokens: 64", "max_tokens: 64, n: 2, temperature: 1.0").replace(
        "  - translate: {{max_tokens: 80, check_language: false}}\n  - pair: {{drop: joint}}\n",
        f"  - score: {{{{{scorer.replace('{', '{{').replace('}', '}}')}, language: {{{{}}}}}}}}\n"
        f"  - pair: {{{{from: scores, by: {scorer.partition(':')[0]}}}}}\n",
    )
    file = str(write_world(tmp_path / "w", chain))
    words = ["policy={model: org/some-8B, revision: unpinned}", "runtime.engine=vllm", "runtime.gpu=H100"]
    assert main(["plan", file, *(word for one in words for word in ("--set", one))]) == 0
    said = capsys.readouterr().out
    (hours,) = [line for line in said.splitlines() if line.startswith("GPU hours: ")]
    assert hours.endswith(f"; without {beside}")
    memory = [line for line in said.splitlines() if line.startswith("Memory, score: ")]
    assert [line[:22] for line in memory] == ["Memory, score: ~8.0 GB"] * ("judge-2B" in scorer)  # float32
    (disk,) = [line for line in said.splitlines() if line.startswith("Disk, policies: ")]
    assert "; the first is a download into the Hub's cache (HF_HOME), which takes as much again on another disk" in disk
    assert "unknown for 7 steps (a first run measures it): policy, prompts, score, pair; for the others ~" in said


@pytest.mark.parametrize(
    ("more", "settings", "seconds", "memory"),
    [
        # 24 answers an iteration, 128 tokens each with its prompt, by 2 billion parameters in 16 bits
        ("", (), 24 * 4e9 / (3350e9 * BANDWIDTH), "4.0 GB"),
        (", max_length: 64", (), 24 * 4e9 / (3350e9 * BANDWIDTH), "4.0 GB"),
        (", engine: vllm", (), 24 * 128 * 2 * 2e9 / (989e12 * ARITHMETIC), "72.0 GB"),
        (", engine: vllm, max_length: 64", (), 24 * 64 * 2 * 2e9 / (989e12 * ARITHMETIC), "72.0 GB"),
        (", engine: vllm", ("runtime.tensor_parallel=2",), 24 * 128 * 2e9 / (989e12 * ARITHMETIC), "72.0 GB"),
    ],
)
def test_a_reward_model_of_known_size_is_estimated_by_what_it_reads(
    tmp_path, capsys, more, settings, seconds, memory
) -> None:
    chain = TRAINS.replace("max_tokens: 64", "max_tokens: 64, n: 2, temperature: 1.0").replace(
        "  - translate: {{max_tokens: 80, check_language: false}}\n  - pair: {{drop: joint}}\n",
        f"  - score: {{{{reward_model: {{{{model: org/judge-2B, revision: unpinned{more}}}}}, language: {{{{}}}}}}}}\n"
        "  - pair: {{from: scores, by: reward_model}}\n",
    )
    file = str(write_world(tmp_path / "w", chain))
    policy = "policy={model: org/some-8B, revision: unpinned, dtype: bfloat16}"
    given = (policy, "runtime.engine=vllm", "runtime.gpu=H100", *settings)
    words = ["plan", file, *(word for one in given for word in ("--set", one))]
    assert main([*words, "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    found = {step["place"]: (step["seconds"], step["is_measured"]) for step in plan["steps"]}
    assert found["iter_1/score"] == found["iter_2/score"] == (pytest.approx(seconds, rel=0.01), False)
    assert plan["not_estimated"] == []
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "a reward model reads each answer once, after a prompt as long as an answer may be" in said
    assert "org/judge-2B: 2.00 billion parameters (by its name" in said
    (line,) = [line for line in said.splitlines() if line.startswith("Memory, score: ")]
    assert line.startswith(f"Memory, score: ~{memory} of the 80 GB of one H100 (weights ")  # vLLM takes its share
    assert ("vLLM takes runtime.gpu_memory 0.9 of a card whatever they are" in line) == ("vllm" in more)


@pytest.mark.parametrize(("processes", "held"), [(8, 0), (1, 8)])
def test_gpus_that_are_reserved_while_one_works_are_paid_for(tmp_path, capsys, processes, held) -> None:
    settings = ("policy.model=org/some-8B", "runtime.engine=vllm", "runtime.gpu=H100", "runtime.gpu_price=2",
                "runtime.replicas=8", f"runtime.train_processes={processes}", "chain.train.batch=16")  # fmt: skip
    words = [str(write_world(tmp_path / "w", TRAINS)), *(word for one in settings for word in ("--set", one))]
    assert main(["plan", *words, "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    whole_s = sum(step["seconds"] or 0 for step in plan["steps"])
    assert plan["gpu_hours_reserved"] == (pytest.approx(8 * whole_s / 3600) if held else None)
    assert main(["plan", *words]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "GPUs are reserved" in line]
    assert len(lines) == (1 if held else 0)
    for line in lines:
        assert plan["gpu_hours_reserved"] > 1.5 * plan["gpu_hours"]
        assert line.startswith("GPU hours, where all 8 GPUs are reserved from the first step to the last: ~0.")
        assert line.endswith(f"; price: {2 * plan['gpu_hours_reserved']:.2f}")


@pytest.mark.parametrize(
    ("scorer", "without"),
    [
        ("reward_model: {{model: org/judge, revision: unpinned}}", "reward_model, 48 passes"),
        ("reward_model: {{model: org/judge-2B, revision: unpinned}}", ""),
        ("mt_quality: {{max_tokens: 40}}", None),  # replicas share its translations
    ],
)
def test_gpus_are_reserved_too_while_a_scorer_s_model_takes_one(tmp_path, capsys, scorer, without) -> None:
    chain = TRAINS.replace("max_tokens: 64", "max_tokens: 64, n: 2, temperature: 1.0").replace(
        "  - translate: {{max_tokens: 80, check_language: false}}\n  - pair: {{drop: joint}}\n",
        f"  - score: {{{{{scorer}}}}}\n  - pair: {{{{from: scores}}}}\n",
    )
    settings = ("policy={model: org/some-8B, revision: unpinned}", "runtime.engine=vllm", "runtime.gpu=H100",
                "runtime.replicas=8", "runtime.train_processes=8", "chain.train.batch=16")  # fmt: skip
    words = [str(write_world(tmp_path / "w", chain)), *(word for one in settings for word in ("--set", one))]
    assert main(["plan", *words]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "GPUs are reserved" in line]
    assert [line.partition("; without score: ")[2] for line in lines] == ([] if without is None else [without])


SERVER = "openai:other@http://127.0.0.1:9"
JUDGED = TRAINS.replace(
    "max_length: 400}}\n",
    "max_length: 400}}\n  - evaluate: {{tasks: [x_alpacaeval], max_tokens: 8, judge: {{model: JUDGE}}}}\n",
)


@pytest.mark.parametrize(
    ("chain", "names"),
    [
        (TRAINS, ()),
        (TRAINS.replace("check_language: false", f"by: {{{{model: '{SERVER}', engine: openai}}}}"), ("translate",)),
        (JUDGED.replace("JUDGE", f"'{SERVER}'"), ("evaluate",)),
        (JUDGED.replace("JUDGE", f"org/judge-2B@{'a' * 40}"), ()),
    ],
)
def test_gpus_that_wait_for_a_server_are_said_to_be_in_no_hours(tmp_path, capsys, chain, names) -> None:
    settings = ("policy={model: org/some-8B, revision: unpinned}", "runtime.engine=vllm", "runtime.gpu=H100",
                "runtime.replicas=8", "runtime.gpu_price=2", "chain.train.batch=16")  # fmt: skip
    file = write_world(tmp_path / "w", chain)
    words = [str(file), *(word for one in settings for word in ("--set", one))]
    assert main(["plan", *words]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("GPU hours")]
    assert len(lines) == 2  # at work; reserved
    said = f"; without GPUs that wait for servers in {', '.join(names)}, for a time that is unknown"
    assert [line.endswith(said) for line in lines] == [bool(names)] * 2
    assert main(["plan", *words, "--json"]) == 0
    waits = json.loads(capsys.readouterr().out)["waits_for_servers"]
    assert [place for place in waits if place != "iter_0/evaluate"] == [f"iter_{i}/{n}" for i in (1, 2) for n in names]


def test_a_server_that_was_measured_is_not_waited_for_an_unknown_time(tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server(lambda body, number: answer({"content": text_for(body)})) as server:
        by = f"by: {{{{model: 'openai:mt@{server.url}', engine: openai}}}}"
        file = write_world(tmp_path / "w", RECIPE.replace("check_language: false", f"check_language: false, {by}"))
        before = json.loads(plan_of(capsys, file))["waits_for_servers"]
        lidr.run(lidr.load_recipe(file), until="translate")
        capsys.readouterr()
        after = json.loads(plan_of(capsys, file, "version=0.2.0", "seed=7"))["waits_for_servers"]
    assert (before, after) == (["iter_1/translate", "iter_2/translate"], [])


def test_of_all_replicas_it_is_said_that_their_number_is_unknown(tmp_path, capsys) -> None:
    file = str(write_world(tmp_path / "w", TRAINS))
    for replicas, is_said in (("all", True), ("2", False)):
        settings = (
            "policy.model=org/some-8B",
            "runtime.engine=vllm",
            "runtime.gpu=H100",
            f"runtime.replicas={replicas}",
        )
        assert main(["plan", file, *(word for one in settings for word in ("--set", one))]) == 0
        said = "runtime.replicas all: times are of one replica, since nobody knows yet how many find a place"
        assert (said in capsys.readouterr().out) is is_said
