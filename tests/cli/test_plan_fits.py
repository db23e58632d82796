"""What `lidr plan` says of models that do not fit, step by step, and of a local judge beside the policy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lidr.cli.main import main
from tests.scripted import RECIPE, write_world

COMMIT = "0123456789" * 4
TRAINS = RECIPE.replace(
    "  - filter: {{length_ratio: {{min: 0.2, max: 5.0}}}}\n",
    "  - train: {{learning_rate: 1e-5, batch: 4, lora: {{rank: 8}}, max_length: 400}}\n",
)
JUDGED = RECIPE.replace(
    "  - filter: {{length_ratio: {{min: 0.2, max: 5.0}}}}\n",
    f"  - evaluate: {{{{judge: {{{{model: org/judge-70B@{COMMIT}}}}}}}}}\n",
)


def planned(capsys: pytest.CaptureFixture[str], file: Path, *overrides: str) -> tuple[list[str], dict]:
    """What `lidr plan` prints, and says as JSON, of a policy of 8 billion parameters in 16 bits on H100s."""
    policy = ("policy={model: org/some-8B, revision: unpinned, dtype: bfloat16}", "runtime.gpu=H100")
    given = (*policy, "runtime.engine=vllm", "runtime.gpu_price=2", *overrides)
    words = ["plan", str(file), *(word for one in given for word in ("--set", one))]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert main(words) == 0
    return capsys.readouterr().out.splitlines(), found


def starting(lines: list[str], *heads: str) -> list[str]:
    return [line for line in lines if line.startswith(heads)]


def write_rows(folder: Path) -> None:
    """3 problems and 5 instructions in each language."""
    for kind, number in (("word_problems", 3), ("open_instructions", 5)):
        (folder / kind).mkdir(parents=True)
        for code in ("en", "es", "de"):
            rows = [
                {"id": f"q{i}", "query": "1 and 2?", "response": "3", "instruction": f"Say {i}.", "output": "x"}
                for i in range(number)
            ]
            text = "".join(json.dumps(row) + "\n" for row in rows)
            (folder / kind / f"{code}.jsonl").write_text(text, encoding="utf-8")


@pytest.mark.parametrize(("mode", "calls"), [("logprob_swap", 2), ("text", 1)])
def test_questions_to_a_local_judge_are_those_on_open_instructions_alone(tmp_path, capsys, monkeypatch, mode, calls):
    """5 instructions in 3 languages, for the first policy and for those of 2 iterations."""
    monkeypatch.delenv("LIDR_DATA", raising=False)
    file = write_world(tmp_path / "w", JUDGED)
    write_rows(tmp_path / "w/rows")
    lines, plan = planned(capsys, file, f"chain.evaluate.data=[{tmp_path}/w/rows]", f"chain.evaluate.judge.mode={mode}")
    assert plan["steps"][0]["place"] == "iter_0/policy"
    evaluated = [step["expected"] for step in plan["steps"] if step["place"].endswith("/evaluate")]
    assert [(one["count"], one["calls"]) for one in evaluated] == [(3 * 8, calls * 3 * 5)] * len(evaluated)
    assert plan["not_estimated"] == [
        {"what": "evaluate: judge", "number": calls * 3 * 5 * len(evaluated), "unit": "calls"}
    ]
    lines, _ = planned(capsys, file, "chain.evaluate.tasks=[mgsm]", f"chain.evaluate.data=[{tmp_path}/w/rows]")
    assert "judge" not in "".join(lines)


@pytest.mark.parametrize(
    ("chain", "what"),
    [
        (JUDGED, "evaluate"),
        (JUDGED.replace("evaluate: {{", "measure: {{"), "measure"),
        (
            RECIPE.replace(
                "  - translate:", f"  - score: {{{{judge: {{{{model: org/judge-70B@{COMMIT}}}}}}}}}\n  - translate:"
            ),
            "score",
        ),
    ],
)
def test_a_local_judge_s_memory_and_download_are_counted(tmp_path, capsys, monkeypatch, chain, what) -> None:
    monkeypatch.delenv("LIDR_DATA", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    file = write_world(tmp_path / "w", chain)
    lines, plan = planned(capsys, file)
    (line,) = starting(lines, f"Memory, the judge of {what}: ")
    assert line.startswith(
        f"Memory, the judge of {what}: ~140.0 GB of the 80 GB of one H100, more than the 0.92 of it that vLLM takes; a "
        "local judge has one GPU: serve it on several with vLLM and name it as openai:MODEL@URL, or take a smaller one"
    )
    (disk,) = starting(lines, "Disk, downloads into the Hub's cache")
    assert disk.startswith("Disk, downloads into the Hub's cache (HF_HOME): ~140.0 GB")
    assert disk.endswith(" (org/judge-70B 140.0 GB; weights in 16 bits)")
    assert {place.partition("/")[2] for place in plan["does_not_fit"]} == {what}
    small = f"chain.{what}.judge.model=org/judge-8B@{COMMIT}"
    lines, plan = planned(capsys, file, small, "runtime.engine=transformers")
    (line,) = starting(lines, f"Memory, the judge of {what}: ")
    assert line.endswith(": ~16.0 GB of the 80 GB of one H100 (weights 16.0 GB; questions come on top)")
    assert plan["does_not_fit"] == []
    assert any(one["what"] == f"{what}: judge" and one["unit"] == "calls" for one in plan["not_estimated"])
    lines, _ = planned(capsys, file, f"chain.{what}.judge.model=openai:judge-70B@http://127.0.0.1:9")
    assert "judge-70B" not in "".join(starting(lines, "Memory", "Disk"))
    lines, _ = planned(capsys, file, f"chain.{what}.judge.model=org/judge@{COMMIT}")
    assert starting(lines, "Memory and disk of org/judge: unknown")


def test_a_step_that_does_not_fit_has_no_hours_and_advice_of_its_own(tmp_path, capsys) -> None:
    file = write_world(tmp_path / "w", TRAINS)
    large = "policy={model: org/some-70B, revision: unpinned, dtype: bfloat16}"
    lines, plan = planned(capsys, file, large)
    (writes,) = starting(lines, "Memory, translate: ", "Memory, generate: ")
    assert ", more than the 0.9 of it that vLLM takes; runtime.tensor_parallel 4 shares it among 4 GPUs (" not in writes
    assert ", more than the 0.9 of it that vLLM takes; runtime.tensor_parallel 2 shares it among 2 GPUs (" in writes
    (trains,) = starting(lines, "Memory, train: ")
    assert ", more than it has; see runtime.sharding with train_processes, and train.load.quantization (" in trains
    rows = {line.split()[0]: line for line in starting(lines, "iter_")}
    unfit = ("generate", "translate", "train")
    assert all(row.endswith("  does not fit") == (place.partition("/")[2] in unfit) for place, row in rows.items())
    (todo,) = starting(lines, "Still to do: ")
    assert "does not fit: generate, translate, train" in todo.replace("do not fit", "does not fit")
    (hours,) = starting(lines, "GPU hours")
    assert (
        hours
        == "GPU hours and price: unknown; generate, translate, train do not fit on one H100 as planned: see Memory"
    )
    assert (plan["gpu_hours"], plan["price"], plan["gpu_hours_reserved"]) == (None, None, None)
    assert plan["does_not_fit"] == [step["place"] for step in plan["steps"] if step["place"].partition("/")[2] in unfit]
    assert all(step["seconds"] is None for step in plan["steps"] if step["place"] in plan["does_not_fit"])
    shared = ("runtime.tensor_parallel=2", "chain.train.load.quantization=nf4", "runtime.gradient_checkpointing=true")
    lines, plan = planned(capsys, file, large, *shared)
    assert plan["does_not_fit"] == []
    assert plan["gpu_hours"] > 0


@pytest.mark.parametrize(
    ("settings", "step", "advice"),
    [
        (
            ("runtime.engine=transformers", "runtime.gpu=T4"),
            "translate",
            "runtime.engine vllm and runtime.tensor_parallel 2 share",
        ),
        (("runtime.engine=transformers", "runtime.engine_batch=900000"), "translate", "runtime.engine_batch "),
        (("runtime.gpu=T4",), "translate", "runtime.tensor_parallel 2 shares it among 2 GPUs"),
    ],
)
def test_advice_for_an_answer_names_what_helps_an_answer(tmp_path, capsys, settings, step, advice) -> None:
    lines, plan = planned(capsys, write_world(tmp_path / "w"), *settings)
    (line,) = starting(lines, f"Memory, {step}: ")
    assert advice in line
    assert "micro_batch" not in line
    assert plan["does_not_fit"]
    if "engine_batch" in advice:
        most = int(line.partition(advice)[2].partition(" is the most (")[0])
        for batch, fits in ((most, True), (most + 1, False)):
            _, plan = planned(capsys, Path(tmp_path / "w/recipe.yaml"), *settings[:1], f"runtime.engine_batch={batch}")
            assert (plan["does_not_fit"] == []) is fits


def test_advice_on_a_scorer_names_its_own_engine(tmp_path, capsys) -> None:
    chain = RECIPE.replace(
        "  - translate:",
        "  - score: {{reward_model: {{model: org/reward-70B, revision: unpinned}}}}\n  - translate:",
    )
    file = write_world(tmp_path / "w", chain)
    lines, plan = planned(capsys, file, "policy.dtype=bfloat16")
    (line,) = starting(lines, "Memory, score: ")
    vllm = "score.reward_model.engine vllm and runtime.tensor_parallel 2"
    assert f", more than it has; {vllm} share it among 2 GPUs (" in line
    assert {place.partition("/")[2] for place in plan["does_not_fit"]} == {"score"}
    assert starting(lines, "Disk, downloads into the Hub's cache")
    helped = ("chain.score.reward_model.engine=vllm", "runtime.tensor_parallel=2")
    lines, plan = planned(capsys, file, *helped)
    assert plan["does_not_fit"] == []
