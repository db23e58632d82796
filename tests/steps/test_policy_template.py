"""policy.chat_template: one place, and the same prompts in every step, in lm-eval, and in others' training."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

import lidr
from lidr.cli.main import main
from lidr.engines.chat import ChatTokenizer
from lidr.engines.templates import fix, set_switches, without_fixing
from lidr.engines.templates.fixed_template import environment
from lidr.errors import PlanError, RecipeError
from lidr.preferences import PairQuery, export_pairs, open_pairs
from lidr.preferences.export_switches import how_switched
from lidr.release.dataset_release import stage_dataset
from lidr.release.finished import Finished, finished_run
from lidr.release.model_release import stage_model
from lidr.store.artifact import open_artifact
from lidr.store.store import Store
from tests.engines.templates.shapes import DATED, HYBRID, NO_PREFILL, NO_SYSTEM, OPEN_THOUGHT, REWRITES, shaped
from tests.engines.templates.test_fixed_template import move_clock
from tests.publishing import ONE_ITERATION
from tests.scripted import RECIPE, write_world
from tests.thinking import STYLES

THINKS_NOT = "policy.chat_template={kwargs: {enable_thinking: false}}"


def world(folder: Path, template: str, recipe: str = ONE_ITERATION, *, ends: bool = True) -> Path:
    """The tiny world over a policy with this template; its recipe."""
    file = write_world(folder, recipe)
    shaped(folder / "model", template, ends=ends)
    return file


def loaded(file: Path, *overrides: str) -> Any:
    return lidr.load_recipe(file, overrides=list(overrides))


def policy_fingerprint(file: Path, *overrides: str) -> str | None:
    return lidr.plan(loaded(file, *overrides)).steps[0].fingerprint


@pytest.fixture(scope="module")
def hybrid(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A run without thoughts, from answers to the next policy."""
    file = world(tmp_path_factory.mktemp("hybrid") / "w", HYBRID)
    recipe = loaded(file, THINKS_NOT)
    planned = lidr.run(recipe)
    return finished_run(recipe, Store(planned.version_folder.parent.parent), policy_licence="apache-2.0")


def test_prompts_of_the_run_are_those_of_the_switch(hybrid: Finished) -> None:
    from transformers import AutoTokenizer

    own = AutoTokenizer.from_pretrained(hybrid.recipe.policy.model, local_files_only=True)
    places = ("iter_0/policy", "iter_1/train")
    folders = [hybrid.folder / place / "model" for place in places]
    assert [(folder / "chat_template.jinja").read_text() for folder in folders] == [
        (folders[0] / "chat_template.jinja").read_text()
    ] * 2
    prompts = open_artifact(hybrid.folder / "iter_1/prompts").read().to_pylist()
    lengths = {}
    for row in prompts:
        talk = [{"role": "user", "content": row["text"]}]
        given = own.apply_chat_template(talk, add_generation_prompt=True, enable_thinking=False)["input_ids"]
        assert ChatTokenizer.load(str(folders[1])).prompt_ids(talk) == list(given)
        lengths[row["prompt_id"], row["language"]] = len(given)
    responses = open_artifact(hybrid.folder / "iter_1/generate").read().to_pylist()
    assert {(row["prompt_id"], row["language"]): row["prompt_tokens"] for row in responses} == lengths
    record = open_artifact(hybrid.folder / "iter_0/policy").record
    assert record.counts["chat_template"]["kwargs"] == {"enable_thinking": False}
    assert record.counts["chat_template"]["date"] is None
    assert record.identity["config"]["chat_template"] == {"kwargs": {"enable_thinking": False}}


def test_pushed_pairs_carry_the_switch_so_that_trl_trains_on_the_same_prompts(hybrid: Finished, tmp_path: Path) -> None:
    from datasets import load_dataset
    from transformers import AutoTokenizer

    from lidr.train.tokens import tokenise
    from tests.train.test_tokens import trl_tokens_of

    stage_dataset(hybrid, tmp_path, "lidr/hybrid")
    files = sorted((tmp_path / "all").glob("*.parquet"))
    assert pq.read_schema(files[0]).metadata[b"lidr.schema"] == b"2"
    rows = load_dataset("parquet", data_files=[str(f) for f in files], split="train", cache_dir=tmp_path / "c")
    assert {json.dumps(row) for row in rows["chat_template_kwargs"]} == {'{"enable_thinking": false}'}
    own = AutoTokenizer.from_pretrained(hybrid.recipe.policy.model, local_files_only=True)
    run = AutoTokenizer.from_pretrained(hybrid.folder / "iter_1/train/model", local_files_only=True)
    theirs = trl_tokens_of(own, rows.select_columns(["prompt", "chosen", "rejected", "chat_template_kwargs"]))
    ours, dropped = tokenise(rows.to_list(), run, max_length=400, over_long="drop")
    kept = [row for row, one in zip(theirs, rows, strict=True) if one["pair_id"] in {pair.pair_id for pair in ours}]
    assert len(ours) + len(dropped) == len(theirs)
    assert [pair.prompt_ids for pair in ours] == [row["prompt_ids"] for row in kept]
    tail = own("\n", add_special_tokens=False)["input_ids"]
    assert [pair.chosen_ids + tail for pair in ours] == [row["chosen_ids"] for row in kept]


def test_a_published_policy_has_its_models_template_and_the_cards_say_the_switch(
    hybrid: Finished, tmp_path: Path
) -> None:
    staged = stage_model(hybrid, tmp_path / "m", "lidr/hybrid")
    assert (tmp_path / "m/chat_template.jinja").read_text() == HYBRID
    assert "`enable_thinking: false`" in staged.card(None)
    pairs = stage_dataset(hybrid, tmp_path / "d", "lidr/hybrid-prefs")
    assert "each row's `chat_template_kwargs`" in pairs.card(None)


def test_a_recipe_without_it_keeps_its_fingerprint_and_its_files(tmp_path: Path) -> None:
    file = world(tmp_path, HYBRID)
    plain = policy_fingerprint(file)
    assert "chat_template" not in loaded(file).model_dump(mode="json")["policy"]
    assert policy_fingerprint(file, "policy.chat_template={}") == plain
    assert policy_fingerprint(file, "policy.chat_template={training: auto}") == plain
    assert policy_fingerprint(file, THINKS_NOT) != plain
    planned = lidr.run(loaded(file), until="policy")
    made = planned.version_folder / "iter_0/policy"
    assert (made / "model/chat_template.jinja").read_text() == HYBRID
    assert "chat_template" not in open_artifact(made).record.counts


def test_the_content_of_a_template_file_is_identity_and_its_place_is_not(tmp_path: Path) -> None:
    file = world(tmp_path, HYBRID)
    for name, text in (("a.jinja", NO_SYSTEM), ("b.jinja", NO_SYSTEM), ("c.jinja", NO_SYSTEM + "{# x #}")):
        (tmp_path / name).write_text(text)
    a, b, c = (policy_fingerprint(file, f"policy.chat_template.file={tmp_path}/{name}.jinja") for name in "abc")
    assert a == b != c
    assert a != policy_fingerprint(file)
    planned = lidr.run(loaded(file, f"policy.chat_template.file={tmp_path}/a.jinja"), until="policy")
    assert (planned.version_folder / "iter_0/policy/model/chat_template.jinja").read_text() == NO_SYSTEM
    with pytest.raises(PlanError, match=r"policy.chat_template.file: no file d.jinja"):
        lidr.plan(loaded(file, "policy.chat_template.file=d.jinja"))


def test_the_same_ids_on_another_day_in_generation_training_and_lm_eval(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoTokenizer

    from lidr.evals.harness.backends import open_lm
    from lidr.evals.spec import Decoding
    from lidr.train.tokens import tokenise
    from tests.evals.asked import scripted_spec
    from tests.train.runs import rows

    file = world(tmp_path / "w", DATED)
    move_clock(monkeypatch, datetime.date(2026, 3, 1))
    planned = lidr.run(loaded(file, "policy.chat_template.kwargs.effort=low"), until="policy")
    folder = planned.version_folder / "iter_0/policy/model"
    record = open_artifact(folder.parent).record
    assert record.counts["chat_template"]["date"] == "2026-01-01"
    assert record.identity["outside"]["template_date"] == "2026-01-01"
    talk = [{"role": "user", "content": "What do bees make?"}]
    (tmp_path / "e").mkdir()
    spec = scripted_spec(tmp_path / "e", backend="hf", model=str(folder), decoding=Decoding(max_tokens=6), threads=1)
    seen = []
    for day in (datetime.date(2026, 3, 1), datetime.date(2030, 12, 31)):
        move_clock(monkeypatch, day)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        asked = ChatTokenizer.load(str(folder)).prompt_ids(talk)  # type: ignore[arg-type]
        pairs, _ = tokenise(rows(1), tokenizer, max_length=400, over_long="drop")
        with open_lm(spec) as lm:
            evaluated = lm.tok_encode(lm.apply_chat_template(talk))
        assert asked == evaluated == pairs[0].prompt_ids
        seen.append((asked, pairs[0].chosen_ids))
    assert seen[0] == seen[1]
    text = tokenizer.decode(seen[0][0])
    assert "Today: 01 January 2026. Effort: low" in text
    assert lidr.plan(loaded(file, "policy.chat_template.kwargs.effort=low")).steps[0].state == "cached"
    other = policy_fingerprint(file, "policy.chat_template={kwargs: {effort: low}, date: 2026-02-01}")
    assert other != record.fingerprint


@pytest.mark.parametrize(
    ("template", "overrides", "message"),
    [
        (
            HYBRID,
            ("policy.chat_template.kwargs.enable_thinkin=false",),
            r"reads no such switch; it reads enable_thinking",
        ),
        (
            NO_SYSTEM,
            ("policy.chat_template.kwargs.x=1",),
            r"kwargs\.x: the chat template reads no such switch; it reads no",
        ),
        (HYBRID, ("policy.chat_template.date=2026-01-01",), r"writes no date of today; take it out"),
        (
            NO_SYSTEM,
            ("system_prompt=Be brief.",),
            r"system_prompt: .* takes none: no system turn; set system_prompt: null",
        ),
        (OPEN_THOUGHT, (), r"ends with .*<think>.*`training: auto` trains them after an empty thought"),
        (REWRITES, (), r"give `training` a Jinja file that writes both, or `file` another template"),
        (REWRITES, ("policy.chat_template.training=auto",), r"no answer could be trained on the prompt"),
    ],
)
def test_what_a_template_cannot_is_refused_by_plan(
    tmp_path: Path, template: str, overrides: tuple[str, ...], message: str
) -> None:
    file = world(tmp_path, template)
    with pytest.raises(PlanError, match=message):
        lidr.plan(loaded(file, *overrides))


def test_without_a_step_that_trains_such_a_template_only_answers(tmp_path: Path) -> None:
    no_train = "".join(line for line in ONE_ITERATION.splitlines(keepends=True) if "- train" not in line)
    assert lidr.plan(loaded(world(tmp_path, OPEN_THOUGHT, no_train))).steps[0].state == "new"


def test_an_open_thought_is_closed_in_training_and_the_run_ends(tmp_path: Path, capsys: Any) -> None:
    file = world(tmp_path, OPEN_THOUGHT)
    override = "policy.chat_template.training=auto"
    assert main(["plan", str(file), "--set", override]) == 0
    assert "answers are trained after an empty thought: </think> comes first" in capsys.readouterr().out
    canned = ("runtime.engine=scripted", f"runtime.answers={tmp_path}/answers.jsonl")  # a random model ends no thought
    planned = lidr.run(loaded(file, override, *canned))
    record = open_artifact(planned.version_folder / "iter_1/train").record
    assert record.counts["pairs"] > 0
    assert record.identity["outside"]["training_template"] == "auto"


def test_where_a_turn_ends_is_said_and_answers_end_there(tmp_path: Path, capsys: Any) -> None:
    file = world(tmp_path, HYBRID, ends=False)
    assert main(["plan", str(file)]) == 0
    assert "an answer ends at <|im_end|>, which the model's own files do not name" in capsys.readouterr().out
    assert main(["validate", str(file)]) == 0
    assert "policy: an answer ends at <|im_end|>" in capsys.readouterr().err


def test_translations_without_a_started_answer_are_told(tmp_path: Path) -> None:
    no_train = "".join(line for line in ONE_ITERATION.splitlines(keepends=True) if "- train" not in line)
    planned = lidr.run(loaded(world(tmp_path, NO_PREFILL, no_train)), until="translate")
    record = open_artifact(planned.version_folder / "iter_1/translate").record
    (said,) = record.execution["served"].items()
    assert said == ("(asked with no started answer)", record.rate.count)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("{kwargs: {tools: []}}", r"kwargs.tools is set by lidr"),
        ("{kwargs: {add_generation_prompt: true}}", r"kwargs.add_generation_prompt is set by the step"),
        ("{kwargs: {bos_token: x}}", r"kwargs.bos_token is set by the tokenizer"),
        ("{kwargs: {'a b': x}}", r"is no name that a template could read"),
        ("{kwarg: {}}", r"kwarg"),
        ("{date: today}", r"date"),
    ],
)
def test_what_no_recipe_may_say(tmp_path: Path, setting: str, message: str) -> None:
    file = write_world(tmp_path)
    with pytest.raises(RecipeError, match=message):
        loaded(file, "policy.model=./m", "policy.chat_template=" + setting)


def test_a_server_gets_the_switches_in_each_request(tmp_path: Path) -> None:
    from tests.engines.server import Server, completion

    with Server(lambda body, number: completion("Bees make honey.")) as server:
        file = write_world(tmp_path, RECIPE)
        overrides = (
            f"policy.model=openai:m@{server.url}",
            "runtime.engine=openai",
            "policy.chat_template={kwargs: {enable_thinking: false}}",
        )
        before = policy_fingerprint(file, *overrides[:2])
        assert policy_fingerprint(file, *overrides) != before
        lidr.run(loaded(file, *overrides), until="generate")
        assert server.bodies
        assert {json.dumps(one["chat_template_kwargs"]) for one in server.bodies} == {'{"enable_thinking": false}'}
        for wrong in ("{date: 2026-01-01}", "{file: x.jinja}", "{training: auto}"):
            with pytest.raises(RecipeError, match="a server writes its prompts with its own template"):
                loaded(file, *overrides[:2], f"policy.chat_template={wrong}")
        with pytest.raises(RecipeError, match="say the same; keep one"):
            loaded(file, *overrides, "policy.openai={body: {chat_template_kwargs: {a: 1}}}")


def test_a_run_from_a_policy_of_another_run_keeps_its_switches_unless_it_says_its_own(
    hybrid: Finished, tmp_path: Path
) -> None:
    model = f"policy.model={hybrid.folder}/iter_1/train/model"
    file = write_world(tmp_path, ONE_ITERATION)
    planned = lidr.run(loaded(file, model), until="policy")
    kept = (planned.version_folder / "iter_0/policy/model/chat_template.jinja").read_text()
    assert kept != HYBRID
    assert without_fixing(kept) == HYBRID
    said = (model, "policy.chat_template={kwargs: {enable_thinking: true}}", "version=0.2.0")
    planned = lidr.run(loaded(file, *said), until="policy")
    now = (planned.version_folder / "iter_0/policy/model/chat_template.jinja").read_text()
    assert now == fix(HYBRID, {"enable_thinking": True}, None) != kept


@pytest.mark.parametrize("to", ["trl", "llama-factory", "axolotl", "open-instruct", "jsonl"])
def test_exports_keep_the_switch_from_a_run_and_from_a_release(hybrid: Finished, tmp_path: Path, to: str) -> None:
    import polars as pl

    stage_dataset(hybrid, tmp_path / "release", "lidr/hybrid")
    run = f"run:{hybrid.recipe.name}@{hybrid.recipe.version}"
    for number, reference in enumerate((run, f"{tmp_path}/release/all")):
        source = open_pairs(reference, store=hybrid.folder.parent.parent)
        made = export_pairs(source, PairQuery(), to, tmp_path / f"{to}-{number}")
        read = pl.read_parquet if made.file.suffix == ".parquet" else pl.read_ndjson
        assert read(made.file)["chat_template_kwargs"].to_list() == [{"enable_thinking": False}] * made.rows


def test_plan_and_validate_say_what_is_trained_where_the_policy_thinks_and_its_thoughts_are_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = world(tmp_path / "w", HYBRID)
    said = "answers are trained without thoughts, after '<think>\\n\\n</think>', which the template writes before them"
    for command in ("plan", "validate"):
        assert main([command, str(file)]) == 0
        shown = capsys.readouterr()
        assert (shown.out + shown.err).count(said) == 1
        for other in (THINKS_NOT, "policy.reasoning.train=true"):
            assert main([command, str(file), "--set", other]) == 0
            shown = capsys.readouterr()
            assert "without thoughts" not in shown.out + shown.err


def test_a_plan_says_what_becomes_of_a_policy_that_thinks_whoever_trains(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    published = "publish: {pairs: org/pairs}"
    plain = STYLES["smollm3"].template  # writes nothing before an answer
    for number, (template, before) in enumerate([(HYBRID, "after '<think>"), (plain, "right after the prompt: so a ")]):
        file = world(tmp_path / f"w{number}", template)
        assert main(["plan", str(file)]) == 0
        said = capsys.readouterr().out
        assert f"answers are trained without thoughts, {before}" in said
        assert "whoever trains on the published pairs" not in said
        text = file.read_text()
        train = next(line for line in text.splitlines() if line.lstrip().startswith("- train:"))
        file.write_text(text.replace(train, f"  - {published}"))
        assert main(["plan", str(file)]) == 0
        said = capsys.readouterr().out
        assert "whoever trains on the published pairs with this template does the same" in said
        assert "policy.reasoning.train" not in said


def test_loaded_pairs_have_the_switch(hybrid: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage_dataset(hybrid, tmp_path / "release", "lidr/hybrid")
    monkeypatch.setenv("LIDR_STORE", str(hybrid.folder.parent.parent))
    for reference in (f"run:{hybrid.recipe.name}", f"{tmp_path}/release/all"):
        assert lidr.load_pairs(reference)[0]["chat_template_kwargs"] == {"enable_thinking": False}


@pytest.mark.parametrize(
    ("to", "file", "said"),
    [
        ("trl", "README.md", ["with `enable_thinking: false` of", "TRL hands each row's `chat_template_kwargs`"]),
        ("llama-factory", "README.md", ["```yaml\nenable_thinking: false\n```", "`template: qwen3`", "`_nothink`"]),
        (
            "axolotl",
            "README.md",
            ["hands a chat template no switches", "```jinja\n{%- set enable_thinking = false -%}"],
        ),
        ("axolotl", "axolotl.yaml", ["# The pairs were made with", "# {%- set enable_thinking = false -%}\nrl: dpo"]),
        ("open-instruct", "README.md", ["the template the same", "```jinja\n{%- set enable_thinking = false -%}"]),
    ],
)
def test_exports_say_how_their_trainer_writes_the_same_prompts(
    hybrid: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str], to: str, file: str, said: list[str]
) -> None:
    stage_dataset(hybrid, tmp_path / "release", "lidr/hybrid")
    run, store = f"run:{hybrid.recipe.name}@{hybrid.recipe.version}", str(hybrid.folder.parent.parent)
    for number, reference in enumerate((run, f"{tmp_path}/release/all")):
        out = tmp_path / f"{to}-{number}"
        assert main(["pairs", "export", reference, "--to", to, "--store", store, str(out)]) == 0
        assert "which training must set too: `enable_thinking: false`" in capsys.readouterr().err
        text = (out / file).read_text()
        assert [part for part in said if part not in text] == []
        assert to != "axolotl" or yaml.safe_load((out / "axolotl.yaml").read_text())["rl"] == "dpo"


def test_the_line_that_an_export_gives_writes_the_prompts_of_the_run(hybrid: Finished) -> None:
    by_hand = f"{set_switches({'enable_thinking': False})}\n{HYBRID}"
    talk = [{"role": "user", "content": "Bees?"}]
    fixed = fix(HYBRID, {"enable_thinking": False}, None)
    texts = [
        environment().from_string(one).render(messages=talk, add_generation_prompt=True) for one in (by_hand, fixed)
    ]
    assert texts[0] == texts[1] != environment().from_string(HYBRID).render(messages=talk, add_generation_prompt=True)


def test_an_export_of_pairs_with_different_switches_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = {"prompt": "Bees?", "chosen": "Yes.", "rejected": "No."}
    said = [{"enable_thinking": False}, {"enable_thinking": True}, {"enable_thinking": None}]
    assert how_switched("llama-factory", said).startswith("Not all pairs were made with the same switches")
    assert how_switched("llama-factory", [{"effort": "low"}]).endswith(
        "which read no `effort`: compare one with the model's."
    )
    assert how_switched("llama-factory", [{}]) == ""
    (tmp_path / "plain.jsonl").write_text(json.dumps(row) + "\n")
    words = ["--to", "axolotl", "--language", "de", str(tmp_path / "x")]
    assert main(["pairs", "export", str(tmp_path / "plain.jsonl"), *words]) == 0
    assert "switches" not in capsys.readouterr().err + (tmp_path / "x/README.md").read_text()
    assert (tmp_path / "x/axolotl.yaml").read_text().startswith("rl: dpo")


_FROM_PAIRS = """\
schema: 1
name: onwards
version: 0.1.0
languages: {dominant: en, others: [es, de]}
policy: {model: ./model}
chain:
  - pairs: {dataset: SET}
  - train: {learning_rate: 1.0e-5, batch: 1, lora: {rank: 2}}
runtime: {engine: transformers}
"""


def test_a_set_that_was_made_with_other_switches_than_the_recipe_trains_with_is_noted(
    hybrid: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stage_dataset(hybrid, tmp_path / "release", "lidr/hybrid")
    shaped(tmp_path / "model", HYBRID)
    store = ("--store", str(hybrid.folder.parent.parent))
    said = "was made with other switches of the chat template (`enable_thinking: false`) than this recipe trains with"
    for number, reference in enumerate((f"run:{hybrid.recipe.name}", "./release/all")):
        file = tmp_path / f"{number}.yaml"
        file.write_text(_FROM_PAIRS.replace("SET", reference).replace("onwards", f"onwards-{number}"))
        assert main(["validate", str(file), *store]) == 0
        assert f"{said} (none): policy.chat_template.kwargs sets them" in capsys.readouterr().err
        assert main(["validate", str(file), *store, "--set", THINKS_NOT]) == 0
        assert said not in capsys.readouterr().err
        assert main(["run", str(file), *store, "--until", "pairs", "--quiet"]) == 0
        assert said in capsys.readouterr().err
        made = hybrid.folder.parent.parent / f"onwards-{number}/0.1.0/iter_1/pairs"
        (kept,) = open_artifact(made).record.counts["sets"]
        assert said in kept["other_switches"]
        assert main(["report", str(file), *store, "--out", str(tmp_path / f"{number}.html")]) == 0
        page = (tmp_path / f"{number}.html").read_text()
        assert "was made with other switches of the chat template (`enable_thinking: false`) than" in page
        capsys.readouterr()
