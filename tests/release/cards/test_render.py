import json
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import DatasetCard, ModelCard

import lidr
from lidr.hub_server.card_rules import validate
from lidr.release.cards.card_plots import Bars, draw
from lidr.release.cards.card_tables import sample_block, settings_table
from lidr.release.cards.render import _language_details
from lidr.release.dataset_release import stage_dataset
from lidr.release.finished import Finished, finished_run
from lidr.release.model_release import stage_model
from lidr.release.parents.licences import overridden
from lidr.store.store import Store
from tests.engines.dialects import refusal
from tests.engines.server import Reply, Server, completion
from tests.scripted import RECIPE, write_world

GOLDEN = Path(__file__).parent / "golden"


def without_what_moves(text: str) -> str:
    """Hashes, and versions of packages, change with the code and with what is installed."""
    text = re.sub(r"[0-9a-f]{64}", "SHA256", text)
    text = re.sub(r"(SHA-256 of its recipe: )[0-9a-f]{16}", r"\1SHA256", text)  # a recipe may name a temporary folder
    return re.sub(r"@[0-9a-f]{12}", "@FINGERPRINT", text)


def golden(name: str, text: str) -> None:
    """Compare with the stored card; LIDR_WRITE_GOLDEN=1 stores it."""
    path = GOLDEN / name
    if os.environ.get("LIDR_WRITE_GOLDEN"):
        GOLDEN.mkdir(exist_ok=True)
        path.write_text(without_what_moves(text), encoding="utf-8")
    assert without_what_moves(text) == path.read_text(encoding="utf-8")


def pinned(run: Finished) -> Finished:
    """The same run, made with fixed versions."""
    artifacts = tuple(
        replace(a, record=replace(a.record, versions={"python": "3.11.7", "lidr": "0.2.0"})) for a in run.artifacts
    )
    return replace(run, artifacts=artifacts)


@pytest.fixture
def here(tmp_path, monkeypatch) -> Finished:
    """A run whose recipe names no folder of this machine, with a provenance."""
    monkeypatch.chdir(tmp_path)
    file = write_world(Path("w"))
    text = file.read_text().replace(
        "{max_tokens: 64}", "{max_tokens: {value: 64, provenance: paper, source: 'section 4'}}"
    )
    file.write_text(text)
    recipe = lidr.load_recipe(file)
    planned = lidr.run(recipe)
    return pinned(finished_run(recipe, Store(planned.store.root), policy_licence="apache-2.0"))


def test_the_dataset_card_is_the_golden_one(here, tmp_path):
    staged = stage_dataset(here, tmp_path / "out", "lidr/scripted-prefs")
    golden("dataset.md", staged.card(None))


def test_the_model_card_is_the_golden_one(trained, tmp_path):
    records = {a.record.step: a for a in trained.artifacts}
    assert records["train"].record.counts["pairs"]
    sha = "0123456789abcdef0123456789abcdef01234567"
    card = stage_model(pinned(trained), tmp_path, "lidr/tiny", datasets=(("lidr/tiny-prefs", sha),)).card(None)
    assert sha in card
    golden("model.md", re.sub(r"[+-]?\d+\.\d{3,4}\b", "NUMBER", card))


def test_metadata_passes_the_clients_own_types_and_the_rules_of_the_hub(world, trained, tmp_path):
    dataset = stage_dataset(world, tmp_path / "d", "lidr/x").card(None)
    model = stage_model(trained, tmp_path / "m", "lidr/y").card(None)
    for card, kind, of in ((dataset, "dataset", DatasetCard), (model, "model", ModelCard)):
        assert validate(card, kind) == ([], [])
        data = of(card).data
        assert data.license in ("other", "apache-2.0")
        assert {"lidr", "preference", "dpo", "multilingual"} <= set(data.tags)
    assert DatasetCard(dataset).data.task_categories == ["text-generation"]


def test_a_card_over_the_one_before_is_the_same_card(world, tmp_path):
    staged = stage_dataset(world, tmp_path, "lidr/x")
    card = staged.card(None)
    assert staged.card(card) == card
    written = staged.card(card.replace("license: other", "license: mit\nmine: 1") + "\nBy hand.\n")
    assert "mine: 1" in written
    assert written.rstrip().endswith("By hand.")
    assert "license: other" in written


def test_exactly_one_configuration_is_the_default_and_each_has_rows(world, tmp_path):
    configs = DatasetCard(stage_dataset(world, tmp_path, "lidr/x").card(None)).data.configs
    assert [c["config_name"] for c in configs if c.get("default")] == ["all"]
    assert [c["config_name"] for c in configs] == ["all", "en-es", "en-de", "candidates", "dropped"]


def test_provenance_stands_beside_each_setting(here):
    table = settings_table(here)
    assert "| `generate.max_tokens` | `64` | paper | section 4 |" in table
    assert '| `pair.drop` | `"joint"` | ours |  |' in table
    assert "| `generate.top_p` | `1.0` | default of lidr |  |" in table


def test_tags_with_a_region_or_script_stand_in_the_cards_language_details_and_only_those(world):
    def details(**tags: str) -> dict[str, str]:
        found = [{"name": "a"}, {"name": "b", **({"language_tags": tags} if tags else {})}]
        record = replace(world.records[0], step="pairs", counts={"sets": found})
        return _language_details(replace(world, artifacts=(replace(world.artifacts[0], record=record),)))

    assert details(**{"pt_br": "pt", "DE": "de", "zh-Hans": "zh", "German": "de"}) == {
        "language_details": "pt-BR, zh-Hans"
    }
    assert details(DE="de") == details() == _language_details(world) == {}


def test_an_override_and_its_reason_stand_in_the_card(world, tmp_path):
    run = replace(world, override=overridden("cc-by-4.0", "the prompts and the model are our own"))
    card = stage_dataset(run, tmp_path, "lidr/x").card(None)
    assert "license: cc-by-4.0" in card
    assert "the prompts and the model are our own" in card


def test_an_unknown_parent_gives_other_with_a_file_that_explains_it(world, tmp_path):
    staged = stage_dataset(world, tmp_path, "lidr/x")
    assert "license_link: LICENSE.md" in staged.card(None)
    assert "canned" in staged.files["LICENSE.md"].read_text()


def test_no_text_of_a_row_can_close_its_fence_or_our_markers():
    row = {"text": "```\n<!-- lidr:end -->\n````x", "none": None, "long": "ä" * 1000}
    block = sample_block(row)
    lines = block.splitlines()
    assert lines[0] == "`````json"
    assert lines[-1] == "`````"
    assert "<!--" not in block
    assert "(1,000 characters)" in block


def test_pictures_are_drawn_also_of_nothing(tmp_path):
    draw(Bars("none", ("a", "b"), ()), tmp_path / "x.png")
    draw(Bars("zero", ("a", "b"), (("en", (0.0, 0.0)),)), tmp_path / "y.png")
    assert (tmp_path / "x.png").read_bytes()[:4] == b"\x89PNG"


def test_a_card_names_the_kinds_of_pairs_that_there_are(tmp_path):
    recipe = lidr.load_recipe(write_world(tmp_path / "w"), overrides=["chain.pair.dominant_pairs=none"])
    planned = lidr.run(recipe)
    run = finished_run(recipe, Store(planned.store.root), policy_licence="apache-2.0")
    card = stage_dataset(run, tmp_path / "out", "lidr/x").card(None)
    assert "In each other language the translated English answer is preferred to its own." in card
    assert "In English its own answer" not in card
    artifacts = tuple(replace(a, record=replace(a.record, versions={"lidr": "0.1.0"})) for a in run.artifacts)
    older = stage_dataset(replace(run, artifacts=artifacts), tmp_path / "older", "lidr/x").card(None)
    assert "In English its own answer is preferred to the answers translated into English; in each other" in older
    assert 'split="iter_2"' in older


@pytest.mark.parametrize("is_started", [True, False])
def test_the_card_of_pairs_says_how_many_translations_were_asked_plainly(tmp_path, is_started):
    rules = []

    def reply(body: dict, number: int) -> Reply:
        *_, user = (message["content"] for message in body["messages"] if message["role"] == "user")
        text = next(rule["text"] for rule in rules if re.search(rule["match"], user, re.DOTALL))
        if body["messages"][-1]["role"] == "assistant" and not is_started:
            return refusal("Unrecognized request argument supplied: continue_final_message")
        return completion(f"<translated>\n{text}" if "<translated>" in user and not is_started else text)

    with Server(reply) as server:
        text = RECIPE.replace("canned@http://127.0.0.1:9", f"canned@{server.url}")
        file = write_world(
            tmp_path / "w", text.replace("engine: scripted, answers: {folder}/answers.jsonl", "engine: openai")
        )
        rules += map(json.loads, (tmp_path / "w/answers.jsonl").read_text().splitlines())
        recipe = lidr.load_recipe(file)
        planned = lidr.run(recipe)
    run = finished_run(recipe, Store(planned.store.root), policy_licence="apache-2.0")
    asked = sum(a.read().num_rows for a in run.artifacts if a.record.writes == "translations")
    card = stage_dataset(run, tmp_path / "out", "lidr/plain").card(None)
    said = f"{asked} of {asked} requests for translations had no started answer: server or template takes none."
    assert card.count("had no started answer") == card.count(said) == (0 if is_started else 1)
    assert asked == 32
