"""What cards say of the sets that a run was made from: each name leads to the set, each licence to its text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from lidr.release.cards.card_tables import parents_table, slots_sentence
from lidr.release.dataset_release import stage_dataset
from lidr.release.finished import Finished
from lidr.release.model_release import stage_model
from lidr.release.parents.licences import licence_text, strictest
from lidr.release.parents.pair_parents import parents_of_mixture, parents_of_set
from lidr.steps.pairs import PairSet
from lidr.steps.pairs.mixture import OpenedSet, set_facts

SHA = "0123456789abcdef0123456789abcdef01234567"
SET = "https://huggingface.co/datasets/v/prefs"
FOREIGN = "https://huggingface.co/v/tiny-base/tree/main"


@pytest.mark.parametrize(
    ("said", "terms"),
    [
        (None, None),
        ("LICENSE.md", f"{SET}/blob/{SHA}/LICENSE.md"),
        ("./docs/LICENSE", f"{SET}/blob/{SHA}/docs/LICENSE"),
        (FOREIGN, FOREIGN),
        ("../../x/LICENSE", None),
        ("javascript:alert(1)", None),
        ("https://x/) [here](https://y/", None),
        (["LICENSE"], None),
    ],
)
def test_a_set_links_to_itself_whatever_its_card_says_of_its_licence(said, terms, tmp_path):
    card = {"license": "other", "license_link": said}
    (parent,) = parents_of_set("v/prefs", SHA, card, tmp_path / "none", SET)
    assert parent.link == f"{SET}/tree/{SHA}"
    assert parent.licence_link == terms
    linked = f"[other]({terms})" if terms else "other"
    assert f"| pairs | [v/prefs]({SET}/tree/{SHA}) | `{SHA}` | {linked} |" in parents_table([parent])
    assert strictest([parent]).link == (terms or f"{SET}/tree/{SHA}")
    assert f"({terms or parent.link})" in licence_text(strictest([parent]), [parent])


def test_a_folder_with_a_licence_of_its_own_has_no_link(tmp_path):
    (parent,) = parents_of_set("prefs", None, {"license": "other", "license_link": "LICENSE.md"}, tmp_path / "x", None)
    assert (parent.link, parent.licence_link) == (None, None)


def entry(**more: object) -> dict[str, object]:
    """What the record of a `pairs` step says of a set."""
    about = {"name": "v/prefs", "revision": SHA, "license": "other", "link": f"{SET}/tree/{SHA}"}
    return {**about, "rows": 20, "usable": 20, "taken": 16, **more}


def test_a_record_of_a_set_keeps_the_link_of_its_licence_and_one_without_is_as_before(tmp_path):
    class Source:
        name, revision, digest, config, splits = "v/prefs", SHA, "d", None, ("train",)
        parents = parents_of_set("v/prefs", SHA, {"license": "other", "license_link": "L.md"}, tmp_path / "x", SET)

    found = set_facts(OpenedSet(PairSet(dataset="v/prefs"), Source, "v/prefs"), are_weighted=False)  # type: ignore[arg-type]
    assert (found["link"], found["license_link"]) == (f"{SET}/tree/{SHA}", f"{SET}/blob/{SHA}/L.md")
    assert parents_of_mixture([found]) == Source.parents
    Source.parents = parents_of_set("v/prefs", SHA, {"license": "mit"}, tmp_path / "x", SET)
    assert "license_link" not in set_facts(OpenedSet(PairSet(dataset="v/prefs"), Source, "v/prefs"), are_weighted=False)  # type: ignore[arg-type]


def test_a_record_that_holds_the_wrong_link_gives_the_right_one():
    """Those that were written while a licence's link was taken for the set's own."""
    (parent,) = parents_of_mixture([entry(link="LICENSE.md")])
    assert parent.link == f"{SET}/tree/{SHA}"
    (folder,) = parents_of_mixture([entry(name="a.jsonl", revision="d" * 64, link="LICENSE.md")])
    assert folder.link is None


@pytest.fixture
def from_pairs(trained) -> Finished:
    """The trained run as if its pairs had come from a set on the Hub and a file, with a cap and weights."""
    sets = [entry(), entry(name="a.jsonl", revision="d" * 64, link=None)]
    left = [("es", "pairs: cap", 4), ("de", "pairs: weight", 1_200), ("es", "pairs: weight", 34), ("de", "x", 0)]
    rows = [{"language": code, "kind": "dominant", "reason": why, "count": count} for code, why, count in left]
    artifacts = []
    for artifact in trained.artifacts:
        record = artifact.record
        if record.step == "pair":
            record = replace(record, step="pairs", counts={**record.counts, "sets": sets, "not_requested": rows})
        artifacts.append(replace(artifact, record=record))
    recipe = trained.recipe.model_copy(update={"prompts": None})
    return replace(trained, recipe=recipe, artifacts=tuple(artifacts))


def test_a_model_of_pushed_pairs_names_them_in_its_metadata(from_pairs, tmp_path: Path):
    card = stage_model(from_pairs, tmp_path / "a", "v/trn").card(None)
    assert ModelCard(card).data.datasets == ["v/prefs"]
    assert f"[v/prefs]({SET}/tree/{SHA})" in card
    beside = stage_model(from_pairs, tmp_path / "b", "v/trn", datasets=(("v/trn-prefs", SHA),)).card(None)
    assert ModelCard(beside).data.datasets == ["v/trn-prefs", "v/prefs"]


def test_a_card_says_how_many_rows_were_left_out_by_cap_and_weight(from_pairs, trained, tmp_path: Path):
    said = (
        "Every row of the sets is a pair, stands in the configuration `dropped` with its reason, or was left out "
        "because the recipe does not ask for it: 4 by `pairs: cap`, 1,234 by `pairs: weight`."
    )
    assert said in stage_dataset(from_pairs, tmp_path, "v/mix-prefs").card(None)
    assert slots_sentence(trained) == (
        "Every slot (prompt, other language, kind) is a pair or stands in the configuration `dropped` with its reason."
    )
