"""What changed between two sets of pairs: pairs that stayed, came, went or have other texts, and settings."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from lidr.cli.main import main
from lidr.errors import RowError
from lidr.preferences import Mapped, PairQuery, compare_sets, open_pairs, settings_changed
from lidr.release.make_release import Destinations, release
from tests.publishing import AT_ONCE, failing_world, finished
from tests.scripted import TOPICS, write_answers, write_world

GERMAN = Mapped(language="de")


def rows(path: Path, *pairs: tuple[str, str, str]) -> str:
    """A file of pairs that lidr did not make."""
    lines = [json.dumps(dict(zip(("prompt", "chosen", "rejected"), pair, strict=True))) for pair in pairs]
    path.write_text("".join(f"{line}\n" for line in lines))
    return str(path)


@pytest.fixture(scope="module")
def versions(tmp_path_factory):
    """A run, and its next version: two topics more, another length filter, and other answers about bees in Spanish."""
    folder = tmp_path_factory.mktemp("versions") / "w"
    recipe = write_world(folder)
    text = recipe.read_text()
    recipe.write_text(text.replace('"4:8"', '"4:6"'))
    first = finished(recipe)
    changed = {"match": f"into Spanish\\..*{TOPICS[0]} in English", "text": "Otra cosa.\n</translated>"}
    write_answers(folder / "answers.jsonl", first=(changed,))
    recipe.write_text(text.replace("0.1.0", "0.2.0").replace("min: 0.2", "min: 0.1"))
    return first, finished(recipe), folder / "runs"


def test_each_pair_of_both_sets_is_accounted_for(versions, capsys):
    store = ["--store", str(versions[2])]
    assert main(["pairs", "compare", "run:scripted@0.1.0", "run:scripted@0.2.0", *store, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == "lidr.pairs.compare/1"
    names = ("iteration", "language", "kind", "before", "after", "same", "changed", "added", "removed")
    assert [tuple(row[name] for name in names) for row in found["counts"]] == [
        (1, "de", "dominant", 4, 4, 4, 0, 0, 0),
        (1, "de", "non_dominant", 4, 4, 4, 0, 0, 0),
        (1, "es", "dominant", 4, 4, 4, 0, 0, 0),
        (1, "es", "non_dominant", 4, 4, 3, 1, 0, 0),
        (2, "de", "dominant", 2, 4, 2, 0, 2, 0),
        (2, "de", "non_dominant", 2, 4, 2, 0, 2, 0),
        (2, "es", "dominant", 2, 4, 2, 0, 2, 0),
        (2, "es", "non_dominant", 2, 4, 2, 0, 2, 0),
    ]
    assert found["parts"] == {"prompt": 0, "chosen": 1, "rejected": 0, "margin": 0}
    (pair,) = found["changed"]
    assert (pair["before"]["pair_id"], pair["after"]["pair_id"]) == ("1/p0/es-en/non_dominant",) * 2
    assert pair["before"]["chosen_text"] == "bees from English into Spanish."
    assert pair["after"]["chosen_text"] == "Otra cosa."
    assert found["settings"] == [
        'iterations: [{"prompts": "0:4"}, {"prompts": "4:6"}] -> [{"prompts": "0:4"}, {"prompts": "4:8"}]',
        "chain.filter.length_ratio.min: 0.2 -> 0.1",
    ]


def test_it_reads_as_a_table_with_the_pair_before_and_after(versions, capsys):
    words = ["run:scripted@0.1.0", "run:scripted@0.2.0", "--store", str(versions[2]), "--langs", "es"]
    assert main(["pairs", "compare", *words]) == 0
    out = capsys.readouterr().out
    assert out.startswith("run:scripted@0.1.0 at ")
    assert ["all", "12", "16", "11", "1", "4", "0"] in [line.split() for line in out.splitlines()]
    assert "of the changed pairs another chosen in 1" in out
    assert "added: 2/p6/en-es/dominant ..." in out
    assert "  chain.filter.length_ratio.min: 0.2 -> 0.1" in out
    added = out.partition("added: 2/p6/en-es/dominant  dominant, en against es")[2].splitlines()
    assert [line for line in added if TOPICS[6] in line]  # its texts
    (row,) = [line for line in out.splitlines() if "Otra cosa." in line]
    assert "bees from English into Spanish." in row


def test_two_published_versions_say_their_settings_too(versions, hub, new_name):
    repo = new_name("changed-prefs")
    for run in versions[:2]:
        release(run, Destinations(repo, None), target=hub.target, patience=AT_ONCE)
    tags = [run.tag for run in versions[:2]]
    out = hub.run(
        f"""
from lidr.preferences import compare_sets, open_pairs, settings_changed
before, after = (open_pairs("{repo}@" + tag) for tag in {tags})
found = compare_sets(before, after)
print([found.total(name) for name in ("before", "after", "same", "changed", "added", "removed")])
print("chain.filter.length_ratio.min: 0.2 -> 0.1" in settings_changed(before, after))
"""
    ).stdout
    assert out.splitlines() == ["[24, 32, 23, 1, 8, 0]", "True"]
    names = [f"{repo}@{tag}" for tag in tags]
    call = "import sys; from lidr.cli.main import main; sys.exit(main({}))"
    said = hub.run(call.format(["pairs", "compare", *names])).stdout.splitlines()[0]
    assert re.fullmatch(rf"{names[0]} \([0-9a-f]{{12}}\)  ->  {names[1]} \([0-9a-f]{{12}}\)", said)
    shown = hub.run(call.format(["pairs", "show", names[0], "--rows", "0"])).stdout.splitlines()[0]
    assert re.fullmatch(rf"{names[0]} \([0-9a-f]{{40}}\)", shown)
    told = json.loads(hub.run(call.format(["pairs", "compare", *names, "--json"])).stdout)
    assert [told[one]["asked"] for one in ("before", "after")] == tags
    commit = told["before"]["revision"]
    shown = hub.run(call.format(["pairs", "show", f"{repo}@{commit}", "--rows", "0"])).stdout.splitlines()[0]
    assert shown == f"{repo} at {commit}"


def test_pairs_that_went_are_counted_where_they_stood(tmp_path):
    finished(failing_world(tmp_path / "w"))
    finished(write_world(tmp_path / "whole"))
    before, after = (open_pairs("run:scripted", store=tmp_path / name / "runs") for name in ("whole", "w"))
    found = compare_sets(before, after)
    removed = {(row["iteration"], row["language"], row["kind"]) for row in found.counts if row["removed"] == 1}
    assert removed == {(k, "es", kind) for k in (1, 2) for kind in ("dominant", "non_dominant")}
    assert found.total("before") - 4 == found.total("same") == found.total("after")
    assert found.removed[0].startswith("1/p0/")


def test_sets_of_others_are_matched_by_their_prompts_whatever_the_order(tmp_path):
    before = rows(tmp_path / "a.jsonl", ("a?", "Ja.", "Nein."), ("b?", "Ja.", "Nein."), ("c?", "Ja.", "Nein."))
    after = rows(tmp_path / "b.jsonl", ("d?", "Ja.", "Nein."), ("c?", "Ja.", "Nein."), ("b?", "Ja.", "Nie."))
    found = compare_sets(open_pairs(before), open_pairs(after), mapped=GERMAN)
    assert [found.total(name) for name in ("same", "changed", "added", "removed")] == [1, 1, 1, 1]
    assert found.parts == {"prompt": 0, "chosen": 0, "rejected": 1, "margin": 0}
    assert settings_changed(open_pairs(before), open_pairs(after)) is None


def test_several_pairs_of_one_prompt_are_told_apart_by_their_content(tmp_path):
    two = [("a?", "Ja.", "Nein."), ("a?", "Doch.", "Nein.")]
    before = rows(tmp_path / "a.jsonl", *two, two[0])
    after = rows(tmp_path / "b.jsonl", two[1], two[0], ("a?", "Gewiss.", "Nein."), ("a?", "Klar.", "Nein."))
    found = compare_sets(open_pairs(before), open_pairs(after), mapped=GERMAN)
    assert [found.total(name) for name in ("before", "after", "same", "changed", "added", "removed")] == [
        3, 4, 2, 1, 1, 0,
    ]  # fmt: skip
    (pair,) = found.changed
    assert (pair["before"]["chosen_text"], pair["after"]["chosen_text"]) == ("Ja.", "Gewiss.")


def test_a_margin_alone_makes_a_pair_another_one(versions, tmp_path):
    frame = pl.DataFrame(versions[0].written("pairs", 1).read())
    frame.write_parquet(tmp_path / "a.parquet")
    scored = pl.when(pl.int_range(pl.len()) == 3).then(0.5)
    frame.with_columns(margin=scored).write_parquet(tmp_path / "b.parquet")
    found = compare_sets(*(open_pairs(str(tmp_path / name)) for name in ("a.parquet", "b.parquet")))
    assert (found.total("changed"), found.parts["margin"]) == (1, 1)


def test_a_language_that_a_set_has_not_is_refused(versions):
    before, after = (open_pairs(f"run:scripted@{v}", store=versions[2]) for v in ("0.1.0", "0.2.0"))
    with pytest.raises(RowError, match="no pairs of non-dominant language fr; it has de, es"):
        compare_sets(before, after, PairQuery(languages=("fr",)))


@pytest.mark.parametrize("said", ['{"resolved": {"chain": [1]}}', '{"resolved": 3, "recipe": "x"}', "{}", '{"resolved'])
def test_a_set_whose_description_is_none_has_no_settings_to_compare(said, versions, tmp_path):
    (tmp_path / "set/lidr").mkdir(parents=True)
    found = open_pairs(rows(tmp_path / "set/pairs.jsonl", ("a?", "Ja.", "Nein.")))
    assert settings_changed(found, found) is None
    described = replace(found, run_file=tmp_path / "set/lidr/run.json")
    described.run_file.write_text(said)
    assert settings_changed(described, open_pairs("run:scripted", store=versions[2])) is None


def test_a_removed_pair_is_shown_with_its_texts(versions, capsys):
    words = ["run:scripted@0.2.0", "run:scripted@0.1.0", "--store", str(versions[2]), "--langs", "es", "--rows", "0"]
    assert main(["pairs", "compare", *words]) == 0
    out = capsys.readouterr().out
    assert "removed: 2/p6" not in out  # none is asked for
    (where,) = [line.split()[8] for line in out.splitlines() if line.startswith("what a step dropped has its reason")]
    assert "prompt_id" in pl.read_parquet_schema(next(Path("/").glob(where.strip("/,"))))
    assert main(["pairs", "compare", *words[:-1], "1"]) == 0
    shown = capsys.readouterr().out.partition("removed: 2/p6/en-es/dominant  dominant, en against es")[2]
    assert "chosen" in shown
    assert TOPICS[6] in shown
