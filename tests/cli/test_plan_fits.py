"""What `lidr plan` says of models that do not fit, step by step, and of a local judge beside the policy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lidr.cli.main import main
from lidr.costs import Machine
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
    note = "evaluate.judge: it is asked nothing: of the benchmarks it judges x_alpacaeval alone. See tasks"
    assert [line for line in lines if "judge" in line] == [note]


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


ROW = {"prompt": "1?", "chosen": "a", "rejected": "b"}
FILES = {
    "jsonl": "".join(json.dumps(ROW) + "\n" for _ in range(6)) + "\n",
    "json": json.dumps([ROW] * 6),
    "csv": "prompt,chosen,rejected\n" + '1?,"a\nb",b\n' * 6,
}


def from_pairs(folder: Path, pairs: str) -> Path:
    """A recipe that trains on pairs that are there."""
    file = write_world(folder, TRAINS)
    head, _, rest = file.read_text().partition("prompts: ")
    train = next(line for line in rest.splitlines() if line.startswith("  - train"))
    runtime = rest.partition("runtime: ")[2]
    file.write_text(f"{head}chain:\n  - pairs: {pairs}\n{train}\nruntime: {runtime}")
    return file


@pytest.mark.parametrize("kind", FILES)
def test_training_on_pairs_that_lie_here_is_planned_by_their_rows(tmp_path, capsys, kind) -> None:
    """6 rows, chosen and rejected, of 400 tokens at most."""
    file = from_pairs(tmp_path / "w", f"{{dataset: ./others.{kind}, license: mit}}")
    (tmp_path / f"w/others.{kind}").write_text(FILES[kind])
    lines, plan = planned(capsys, file)
    (step,) = [one for one in plan["steps"] if one["place"] == "iter_1/train"]
    assert (step["expected"]["count"], step["expected"]["trained"]) == (6, 6 * 2 * 400)
    assert step["seconds"] > 0
    assert plan["gpu_hours"] > 0
    (line,) = starting(lines, "Memory, train: ")
    assert "of the 80 GB of one H100 (" in line
    capped = "chain.pairs={sets: [{dataset: ./others.KIND, license: mit, cap: 4}]}".replace("KIND", kind)
    _, plan = planned(capsys, file, capped)
    assert [one["expected"]["count"] for one in plan["steps"] if one["place"] == "iter_1/train"] == [4]


def test_training_on_pairs_that_nobody_has_counted_has_its_memory_and_no_time(tmp_path, capsys) -> None:
    file = from_pairs(tmp_path / "w", f"{{dataset: org/others, revision: {COMMIT}, license: mit}}")
    lines, plan = planned(capsys, file)
    assert starting(lines, "Memory, train: ")
    assert starting(lines, "Disk, policies: ")
    assert plan["does_not_fit"] == []
    assert plan["gpu_hours"] is None
    (train,) = starting(lines, "iter_1/train")
    assert train.endswith("no rate yet")
    large = "policy={model: org/some-70B, revision: unpinned, dtype: bfloat16}"
    lines, plan = planned(capsys, file, large)
    assert plan["does_not_fit"] == ["iter_1/train"]
    (hours,) = starting(lines, "GPU hours")
    assert hours == "GPU hours and price: unknown; train does not fit on one H100 as planned: see Memory"


@pytest.mark.parametrize(("epochs", "number"), [(1, 1), (8, 2), (60, 3)])
def test_disk_is_for_all_checkpoints_that_stand_at_once(tmp_path, capsys, epochs, number) -> None:
    """6 pairs by 4 are 2 steps an epoch, one checkpoint every 10 steps and one at the end; two stay while a third is
    written.
    """
    file = from_pairs(tmp_path / "w", "{dataset: ./others.jsonl, license: mit}")
    (tmp_path / "w/others.jsonl").write_text(FILES["jsonl"])
    settings = (f"chain.train.epochs={epochs}", "chain.train.lora=null", "runtime.save_steps=10")
    lines, plan = planned(capsys, file, *settings)
    (line,) = starting(lines, "Disk, checkpoints of training, while it runs: ")
    assert line.endswith(f": ~{number * 96:.1f} GB ({number} x 96.0 GB, weights and the optimiser's state)")
    assert [one["size"] for one in plan["disk"]][1] == number * 96 * 10**9


@pytest.mark.parametrize(
    ("optimiser", "said", "size"),
    [
        ("adamw_torch_fused", "AdamW 128.0 GB", 128),
        ("adafactor", "adafactor 64.0 GB", 64),
        ("paged_adamw_8bit", "paged_adamw_8bit 80.0 GB", 80),
        ("lion_32bit", "lion_32bit 96.0 GB", 96),
        ("galore_adamw", "galore_adamw, counted as AdamW, 128.0 GB", 128),
    ],
)
def test_memory_of_training_is_that_of_its_optimiser(tmp_path, capsys, optimiser, said, size) -> None:
    file = write_world(tmp_path / "w", TRAINS)
    settings = ("chain.train.lora=null", f"chain.train.trl={{optim: {optimiser}}}")
    lines, plan = planned(capsys, file, *settings)
    (line,) = starting(lines, "Memory, train: ")
    assert f"(trained parameters, their gradients and {said}, " in line
    (saved,) = [one["parts"] for one in plan["disk"] if one["what"].startswith("checkpoints")]
    assert f" x {size - 32:.1f} GB, weights and the optimiser's state" in saved


def test_a_plan_says_its_gpus_the_batch_that_is_small_and_whose_disk_is_free(tmp_path, capsys) -> None:
    file = write_world(tmp_path / "w", TRAINS)
    lines, plan = planned(capsys, file, "runtime.tensor_parallel=2", "runtime.replicas=4", "runtime.engine_batch=4")
    (hours,) = starting(lines, "GPU hours: ")
    assert ", on 8 GPUs at most; price: " in hours
    assert plan["gpus_at_once"] == 8
    hint = "  runtime.engine_batch is 4: vLLM on a GPU answers hundreds at once"
    assert len(starting(lines, hint)) == 1
    assert starting(lines, "Disk, free here, which is not the machine that is planned for: ")
    lines, plan = planned(capsys, file, "runtime.engine_batch=256")
    assert plan["gpus_at_once"] == 1
    assert "GPUs at most" not in "".join(lines)
    assert not starting(lines, "  runtime.engine_batch is ")


def test_memory_is_of_no_more_texts_than_are_asked(tmp_path, capsys) -> None:
    file = write_world(tmp_path / "w", TRAINS)
    for batch, texts in (("2", "2 texts"), ("256", "16 texts")):
        lines, _ = planned(capsys, file, f"runtime.engine_batch={batch}")
        (line,) = starting(lines, "Memory, generate: ", "Memory, translate: ")
        assert f"keys and values of {texts} of " in line


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
    assert " Time: none for what does not fit: generate, translate, train; unknown for " in todo
    assert "no rate yet" not in todo
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
        (("runtime.engine=transformers", "chain.translate.max_tokens=32000"), "translate", "runtime.engine_batch "),
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
            _, plan = planned(capsys, Path(tmp_path / "w/recipe.yaml"), *settings, f"runtime.engine_batch={batch}")
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


def test_a_batch_that_cannot_be_shared_is_told_with_the_numbers_nearest_to_it(tmp_path, capsys) -> None:
    file = str(write_world(tmp_path / "w", TRAINS.replace("batch: 4", "batch: 12")))
    model = ("policy={model: org/some-8B, revision: unpinned}", "runtime.engine=vllm", "runtime.gpu=H100")

    def said(*more: str) -> tuple[int, str]:
        code = main(["validate", file, *(word for one in (*model, *more) for word in ("--set", one))])
        return code, capsys.readouterr().err

    code, told = said("runtime.train_processes=4", "runtime.micro_batch=2")
    assert code == 2
    fits = "what fits: runtime.micro_batch 1 or 3; train.batch 8 or 16; runtime.train_processes 3 or 6"
    assert f"so an optimiser step cannot be shared evenly; {fits}" in told
    for one in ("micro_batch=1", "micro_batch=3", "train_processes=3", "train_processes=6"):
        assert said("runtime.train_processes=4", "runtime.micro_batch=2", f"runtime.{one}")[0] == 0
    for batch in (8, 16):
        assert said("runtime.train_processes=4", "runtime.micro_batch=2", f"chain.train.batch={batch}")[0] == 0
    code, told = said("runtime.micro_batch=5")
    assert "; what fits: runtime.micro_batch 4 or 6; train.batch 10 or 15" in told
    assert "train_processes" not in told
    code, told = said("runtime.train_processes=24", "runtime.micro_batch=2")
    assert "; what fits: train.batch 48; runtime.train_processes 6" in told


@pytest.mark.parametrize("gpus", [0, 8])
def test_all_replicas_are_counted_where_the_machine_is_known_and_else_nothing_is_made_up(
    tmp_path, capsys, monkeypatch, gpus
) -> None:
    here = Machine(cards=("NVIDIA H100 80GB HBM3",) * gpus, processor="x", cpus=8)
    for module in ("pipeline.estimates.plan_costs", "pipeline.room", "pipeline.rates", "steps.policy_files"):
        monkeypatch.setattr(f"lidr.{module}.this_machine", lambda: here)
    file = write_world(tmp_path / "w", TRAINS)
    more = ("runtime.train_processes=4", "runtime.micro_batch=1", "runtime.gpu=H100")
    named = planned(capsys, file, *more, "runtime.replicas=8")[1]
    lines, found = planned(capsys, file, *more, "runtime.replicas=all")
    seconds = [{step["place"]: step["seconds"] for step in plan["steps"]} for plan in (found, named)]
    if gpus:
        assert found["gpu_hours"] == named["gpu_hours"]
        assert seconds[0] == seconds[1]
        assert found["gpu_hours_reserved"] == named["gpu_hours_reserved"] > named["gpu_hours"]
        assert not starting(lines, "runtime.replicas all: ")
    else:
        assert seconds[0]["iter_1/generate"] > seconds[1]["iter_1/generate"]
        assert found["gpu_hours"] < named["gpu_hours"], "so few prompts fill the batches of one, and not those of eight"
        assert found["gpu_hours_reserved"] is None
        (said,) = starting(lines, "runtime.replicas all: times are of one replica")
        assert "what all GPUs cost while they are reserved is unknown" in said


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ((), "1 release to me/mine-pairs and me/mine, public if new, at the Hub on this machine"),
        (("chain.publish.private=true",), "1 release to me/mine-pairs and me/mine, private if new, at the Hub on"),
        (("runtime.hub=environment",), "1 release to me/mine-pairs and me/mine, public if new, at http://127.0.0.1:9"),
    ],
)
def test_the_row_of_publish_says_where_to(tmp_path, capsys, monkeypatch, more, said) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    chain = TRAINS.replace("iterations:", "  - publish: {{pairs: me/mine-pairs, policy: me/mine}}\niterations:")
    file = write_world(tmp_path / "w", chain)
    lines, _ = planned(capsys, file, "runtime.hub=embedded", "runtime.push=true", *more)
    (row,) = starting(lines, "iter_2/publish")
    assert said in row


def test_the_hub_is_told_without_asking_anybody_for_a_token(tmp_path, capsys, monkeypatch) -> None:
    for name in ("HF_ENDPOINT", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(
        "HF_OIDC_RESOURCE", "datasets/me/mine-pairs"
    )  # exchanged for a token, by a request, where wanted
    chain = TRAINS.replace("iterations:", "  - publish: {{pairs: me/mine-pairs}}\niterations:")
    lines, _ = planned(capsys, write_world(tmp_path / "w", chain), "runtime.push=true")
    (row,) = starting(lines, "iter_2/publish")
    assert "at https://huggingface.co" in row


def test_gpus_that_share_a_model_write_faster_and_few_prompts_fill_no_batches(tmp_path, capsys) -> None:
    file = write_world(tmp_path / "w")

    def seconds(size: str, *more: str) -> float:
        model = f"policy={{model: org/some-{size}, revision: unpinned, dtype: bfloat16}}"
        steps = planned(capsys, file, model, *more)[1]["steps"]
        return next(step["seconds"] for step in steps if step["place"] == "iter_1/generate")

    alone, at_once = (seconds("70B", "runtime.tensor_parallel=8", f"runtime.engine_batch={n}") for n in (1, 12))
    assert alone > 8 * at_once, "texts find a place beside the weights of which each GPU has an eighth"
    assert seconds("8B", "runtime.engine_batch=256") == seconds("8B", "runtime.engine_batch=12"), "twelve requests"


def test_what_vllm_is_told_of_stages_and_of_texts_at_once_counts(tmp_path, capsys) -> None:
    file = write_world(tmp_path / "w")

    def generate(*more: str) -> tuple[float, list[str], list[str]]:
        lines, found = planned(capsys, file, "runtime.engine_batch=12", *more)
        seconds = next(one["seconds"] for one in found["steps"] if one["place"] == "iter_1/generate")
        return seconds, starting(lines, "GPU hours"), starting(lines, "Memory, ")

    seconds, _, (memory,) = generate()
    assert "weights 16.0 GB" in memory
    assert generate("runtime.vllm.max_num_seqs=1")[0] > 8 * seconds
    assert generate("runtime.gpu_memory=0.201")[0] > 1.2 * seconds, "fewer texts find a place beside 16 GB"
    _, (said,), (memory,) = generate("runtime.vllm.pipeline_parallel_size=2", "runtime.replicas=2")
    assert "on 4 GPUs" in said
    assert "weights 8.0 GB" in memory


def test_numbers_in_8_bits_that_vllm_is_told_of_count_in_memory_and_time(tmp_path, capsys) -> None:
    file = write_world(tmp_path / "w")

    def generate(*more: str) -> tuple[float, str]:
        lines, found = planned(capsys, file, "runtime.engine_batch=12", *more)
        (memory,) = (line for line in starting(lines, "Memory, ") if "keys and values" in line)
        return next(one["seconds"] for one in found["steps"] if one["place"] == "iter_1/generate"), memory

    seconds, plain = generate()
    less, weights = generate("runtime.vllm.quantization=fp8")
    assert "weights 16.0 GB" in plain
    assert "weights 9.1 GB" in weights, "embeddings and head stay in 16 bits"
    assert less < 0.7 * seconds
    assert "weights 5.7 GB" in generate("runtime.vllm.quantization=bitsandbytes")[1], "4 bits, as vLLM packs them"
    texts = {kind: generate(f"runtime.vllm.kv_cache_dtype={kind}")[1] for kind in ("auto", "fp8_e5m2", "float32")}
    size = {kind: float(line.split(" tokens ")[1].split(" GB")[0]) for kind, line in texts.items()}
    assert size["fp8_e5m2"] == pytest.approx(size["auto"] / 2, rel=0.05)
    assert size["float32"] == pytest.approx(size["auto"] * 2, rel=0.05)
    transformers = planned(capsys, file, "runtime.engine=transformers", "runtime.vllm.quantization=fp8")[0]
    assert any("weights 16.0 GB" in line for line in transformers)


def test_what_gpus_say_to_each_other_is_told_as_not_counted_where_there_are_several(tmp_path, capsys) -> None:
    file = write_world(tmp_path / "w", TRAINS)

    def is_told(*more: str) -> bool:
        return any("say to each other" in line for line in planned(capsys, file, *more)[0])

    assert not is_told()
    assert is_told("runtime.tensor_parallel=2")
    assert is_told("runtime.train_processes=2")
