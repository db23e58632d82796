"""Releases reproduced in a fresh process with an empty home, and what is said of those that were touched."""

from __future__ import annotations

import io
import json
import os
from dataclasses import replace
from pathlib import Path

import polars as pl

from lidr.cli.common import other_hub
from lidr.steps import STEPS, Outcome
from lidr.store import made_by
from tests.reproduce.conftest import tamper

LONG = bool(os.environ.get("LIDR_PROVE"))


def kinds(verdict: dict) -> dict[str, str]:
    return {one["place"]: one["kind"] for one in verdict["verdicts"]}


def touched(verdict: dict) -> list[str]:
    return [finding["path"] for finding in verdict["findings"]]


def test_a_scripted_release_comes_out_identical_from_nothing_but_the_hub(pairs, elsewhere):
    verdict = elsewhere.reproduce(f"{pairs}@v0.1.0")
    assert verdict["schema"] == "lidr.reproduction/1"
    assert (verdict["verdict"], verdict["findings"]) == ("identical", [])
    found = kinds(verdict)
    names = ("generate", "translate", "pair", "filter")
    assert {found[f"iter_{k}/{name}"] for k in (1, 2) for name in names} == {"identical"}
    assert found["card"] == found["iter_0/policy"] == "identical"
    prompts = next(one for one in verdict["verdicts"] if one["place"] == "iter_1/prompts")
    assert prompts["kind"] == "cannot run here"
    assert "prompts (on the machine that published; it is not in the release)" in prompts["reason"]
    stored = list((elsewhere.home / "work/runs/.reproduced").glob("*/verdict.json"))
    assert json.loads(stored[0].read_text())["verdict"] == "identical"


def test_from_pair_starts_from_the_published_candidates_and_needs_no_model(pairs, reproduced):
    verdict = reproduced(f"{pairs}@v0.1.0", "--from", "pair")
    assert verdict["verdict"] == "identical"
    found = kinds(verdict)
    assert {found[place] for place in found if place.endswith(("pair", "filter"))} == {"identical"}
    assert {found[place] for place in found if place.endswith(("policy", "generate"))} == {"not asked for"}


def test_one_touched_row_is_found_in_its_file_and_in_its_column(pairs, hub, reproduced):
    def change(content: bytes) -> bytes:
        rows = pl.read_parquet(io.BytesIO(content))
        first = pl.int_range(pl.len()) == 0
        rows = rows.with_columns(chosen_text=pl.when(first).then(pl.lit("bees")).otherwise("chosen_text"))
        rows.write_parquet(out := io.BytesIO())
        return out.getvalue()

    path = "all/iter_1-00000-of-00001.parquet"
    tamper(hub, pairs, "dataset", path, change)
    verdict = reproduced(f"{pairs}@v0.1.0", "--from", "pair", rc=3)
    assert verdict["verdict"] == "different"
    assert path in touched(verdict)
    assert "tag v0.1.0" in touched(verdict)
    step = next(one for one in verdict["verdicts"] if one["place"] == "iter_1/filter")
    assert (step["kind"], len(step["rows"])) == ("different", 1)
    assert (step["rows"][0]["column"], step["rows"][0]["published"]) == ("chosen_text", "bees")
    assert "made again they have the digest of their record" in step["reason"]
    assert kinds(verdict)["iter_2/filter"] == "identical"


def test_a_file_that_holds_no_rows_any_more_is_named_and_everything_else_is_compared(pairs, hub, reproduced):
    path = "all/iter_1-00000-of-00001.parquet"
    tamper(hub, pairs, "dataset", path, lambda content: b"bees")
    verdict = reproduced(f"{pairs}@v0.1.0", "--from", "pair", rc=3)
    assert {path, "rows of iter_1/filter"} <= set(touched(verdict))
    assert "cannot be read from their files" in str(verdict["findings"])
    assert kinds(verdict)["iter_2/filter"] == "identical"


def test_rows_that_the_manifest_lost_are_named(pairs, hub, reproduced):
    def without(text: bytes) -> bytes:
        manifest = json.loads(text)
        manifest["files"] = [one for one in manifest["files"] if not one["path"].startswith("en-de/")]
        return json.dumps(manifest).encode()

    tamper(hub, pairs, "dataset", "lidr/manifest.json", without)
    verdict = reproduced(f"{pairs}@v0.1.0", "--until", "policy", rc=3)
    assert "does not have the rows en-de/iter_1 that lidr/content.json names" in str(verdict["findings"])


def test_a_record_that_stands_for_another_step_is_refused(pairs, hub, elsewhere):
    """Its place becomes the name of a folder here."""
    path = "lidr/records/iter_1/pair.json"
    tamper(hub, pairs, "dataset", path, lambda text: text.replace(b'"step": "pair"', b'"step": "../../../x"'))
    done = elsewhere.lidr("reproduce", f"{pairs}@v0.1.0")
    assert done.returncode == 2
    assert f"{path} is the record of 'iter_1/../../../x'; the release is damaged" in done.stderr


def test_a_reproduction_of_which_only_the_card_came_out_is_not_called_identical(pairs, reproduced):
    verdict = reproduced(f"{pairs}@v0.1.0", "--from", "prompts", "--until", "prompts", rc=3)
    assert (verdict["verdict"], kinds(verdict)["card"]) == ("cannot run here", "identical")
    assert verdict["reason"] == "no step was made again (1 identical, 2 cannot run here)"


def test_a_touched_recipe_is_named_with_the_setting(pairs, hub, reproduced):
    tamper(hub, pairs, "dataset", "lidr/recipe.yaml", lambda text: text.replace(b"drop: joint", b"drop: independent"))
    verdict = reproduced(f"{pairs}@v0.1.0", "--from", "pair", rc=3)
    assert "lidr/recipe.yaml" in touched(verdict)
    assert "drop: joint -> independent" in str(verdict["findings"])


def test_a_recipe_that_is_touched_in_run_json_too_is_not_the_one_of_the_records(pairs, hub, reproduced):
    tamper(
        hub, pairs, "dataset", "lidr/run.json", lambda text: text.replace(b'"drop": "joint"', b'"drop": "independent"')
    )
    verdict = reproduced(f"{pairs}@v0.1.0", "--from", "pair", rc=3)
    step = next(one for one in verdict["verdicts"] if one["place"] == "iter_1/pair")
    assert step["kind"] == "different"
    assert "config.drop: joint -> independent" in step["reason"]


def test_a_touched_card_is_named_with_its_lines(pairs, hub, reproduced):
    tamper(
        hub,
        pairs,
        "dataset",
        "README.md",
        lambda text: text.replace(b"14 pairs", b"99 pairs").replace(b"28 pairs", b"99 pairs"),
    )
    verdict = reproduced(f"{pairs}@v0.1.0", "--from", "pair", rc=3)
    assert "README.md" in touched(verdict)
    card = next(one for one in verdict["verdicts"] if one["place"] == "card")
    assert card["kind"] == "different"
    assert "99 pairs" in str(card["rows"])


def test_what_people_wrote_around_the_card_is_no_difference(pairs, hub, reproduced):
    api, where = hub.target.api(), {"repo_id": pairs, "repo_type": "dataset"}
    card = Path(api.hf_hub_download(**where, filename="README.md", cache_dir=hub.root / "cards")).read_text()
    text = f"{card}\n## From a reader\n\nBees.\n".encode()
    api.upload_file(path_or_fileobj=text, path_in_repo="README.md", **where)
    assert reproduced(pairs, "--from", "pair")["verdict"] == "identical"


def test_the_first_rows_alone_are_compared_with_the_published_rows_of_the_same_prompts(pairs, reproduced):
    verdict = reproduced(f"{pairs}@v0.1.0", "--rows", "1", "--until", "translate")
    step = next(one for one in verdict["verdicts"] if one["place"] == "iter_1/generate")
    assert step["kind"] == "identical"
    assert step["reason"].startswith("3 rows")


def test_an_interrupted_reproduction_goes_on_and_a_finished_one_begins_anew(pairs, reproduced, tmp_path):
    reproduced(f"{pairs}@v0.1.0", "--from", "pair")
    (work,) = (tmp_path / "out").iterdir()
    made = work / "store/scripted/0.1.0/iter_1/pair/record.json"
    before = made.stat().st_mtime_ns
    (work / "verdict.json").unlink()  # as if it had been killed before it was done
    reproduced(f"{pairs}@v0.1.0", "--from", "pair")
    assert made.stat().st_mtime_ns == before
    reproduced(f"{pairs}@v0.1.0", "--from", "pair")
    assert made.stat().st_mtime_ns != before


def test_a_tiny_models_releases_come_out_the_same_with_its_training(tiny, elsewhere):
    """Data set and policy; the base model from the same Hub, by the commit in the lock."""
    model = elsewhere.reproduce(f"{tiny}@v0.1.0")
    assert (model["verdict"], model["findings"]) == ("identical", [])
    found = kinds(model)
    assert {found[f"iter_1/{name}"] for name in ("generate", "translate", "pair", "train")} == {"identical"}
    assert [one["expected"] for one in model["verdicts"] if one["place"] == "iter_1/train"] == ["statistical"]
    pairs = elsewhere.reproduce(f"{tiny}-prefs@v0.1.0", *(() if LONG else ("--from", "pair", "--until", "pair")))
    assert (pairs["verdict"], pairs["findings"]) == ("identical", [])


def test_a_touched_weight_file_and_a_touched_pin_are_named(tiny, hub, reproduced):
    def flipped(content: bytes) -> bytes:
        return content[:-8] + bytes(8)

    tamper(hub, tiny, "model", "model.safetensors", flipped)
    verdict = reproduced(f"{tiny}@v0.1.0", "--from", "pair", "--until", "pair", rc=3)
    assert "model.safetensors" in touched(verdict)
    prefs = f"{tiny}-prefs"
    sha = json.loads(
        hub.run(f"""
import json; from huggingface_hub import HfApi
print(json.dumps(HfApi().model_info("{tiny}-base").sha))""").stdout
    )

    def pinned_elsewhere(text: bytes) -> bytes:  # by somebody who leaves no checksum, as an earlier lidr did
        lock = json.loads(text.replace(sha.encode(), b"1" * 40))
        del lock["checksum"]
        return json.dumps(lock).encode()

    tamper(hub, prefs, "dataset", "lidr/recipe.lock.json", pinned_elsewhere)
    verdict = reproduced(f"{prefs}@v0.1.0", "--from", "pair", "--until", "pair", rc=3)
    assert "lidr/recipe.lock.json" in touched(verdict)
    assert f"pins {tiny}-base to {'1' * 40}, and no record says that this commit was read" in str(verdict["findings"])


def test_a_deleted_tag_and_a_name_that_is_not_there_are_said(pairs, hub, elsewhere):
    hub.target.api().delete_tag(pairs, tag="v0.1.0", repo_type="dataset")
    done = elsewhere.lidr("reproduce", f"{pairs}@v0.1.0")
    assert done.returncode == 2
    assert f"has no v0.1.0 in {pairs}: never published there, deleted, or private" in done.stderr


def test_without_a_tag_the_first_line_says_what_is_taken(pairs, hub, elsewhere):
    sha = hub.target.api().dataset_info(pairs).sha
    done = elsewhere.lidr("reproduce", pairs, "--from", "bake")
    first = done.stderr.splitlines()[0]
    assert first == (
        f"datasets/{pairs}: no tag is named, so the main branch is taken, at {sha}, which is v0.1.0, the newest tag"
    )


def test_a_saved_token_is_not_sent_to_another_hub(monkeypatch):
    for name in ("HF_ENDPOINT", "HF_TOKEN", "HF_HUB_DISABLE_XET", "HF_HUB_DISABLE_IMPLICIT_TOKEN"):
        monkeypatch.setenv(name, "x")
    other_hub("http://elsewhere")
    assert (os.environ["HF_ENDPOINT"], os.environ.get("HF_TOKEN")) == ("http://elsewhere", None)
    assert os.environ["HF_HUB_DISABLE_IMPLICIT_TOKEN"] == "1"


def test_unusable_options_are_said(pairs, elsewhere):
    done = elsewhere.lidr("reproduce", f"{pairs}@v0.1.0", "--from", "bake")
    assert done.returncode == 2
    assert '--from "bake": no such step in this recipe; its steps: policy' in done.stderr
    assert '"x" is no release; allowed forms' in elsewhere.lidr("reproduce", "x").stderr
    assert "--rows 0: give a number of prompts" in elsewhere.lidr("reproduce", "a/b", "--rows", "0").stderr


def test_a_release_without_digests_of_its_rows_is_to_be_published_again(pairs, hub, elsewhere):
    tamper(hub, pairs, "dataset", "lidr/run.json", lambda text: text.replace(b'"rows":', b'"rows_of_old":', 1))
    done = elsewhere.lidr("reproduce", pairs, "--from", "pair")
    assert done.returncode == 2
    assert f"error: datasets/{pairs}@" in done.stderr
    assert "published by an older lidr, which wrote no digest of each step's rows" in done.stderr
    assert "Publish the run again with this lidr, under a new version" in done.stderr


def test_records_that_give_no_card_are_different_and_no_crash(pairs, hub, reproduced):
    def odd(text: bytes) -> bytes:
        return json.dumps({**json.loads(text), "counts": {"dropped": 3}}).encode()

    tamper(hub, pairs, "dataset", "lidr/records/iter_1/pair.json", odd)
    verdict = reproduced(f"{pairs}@v0.1.0", "--from", "pair", rc=3)
    assert kinds(verdict)["card"] == "different"
    reason = next(one["reason"] for one in verdict["verdicts"] if one["place"] == "card")
    assert reason.startswith("the release's records give no card: ")
    assert "lidr/records/iter_1/pair.json" in touched(verdict)


def test_with_the_first_rows_alone_the_others_are_still_compared_with_their_digest(pairs, hub, reproduced):
    def change(content: bytes) -> bytes:
        rows = pl.read_parquet(io.BytesIO(content))
        last = pl.int_range(pl.len()) == pl.len() - 1
        rows = rows.with_columns(text=pl.when(last).then(pl.lit("bees")).otherwise("text"))
        rows.write_parquet(out := io.BytesIO())
        return out.getvalue()

    path = "candidates/iter_1-00000-of-00001.parquet"
    tamper(hub, pairs, "dataset", path, change)
    verdict = reproduced(f"{pairs}@v0.1.0", "--rows", "1", "--until", "translate", rc=3)
    texts = [one["text"] for one in verdict["findings"] if one["path"] == path]
    assert any("holds other rows of iter_1/" in text for text in texts), texts


def other_pairs(monkeypatch, change: str = "") -> dict[str, tuple[int, int]]:
    """Raise the rules of the pair step; with `change` they also make other texts."""
    kind = STEPS["pair"]

    def run(step) -> Outcome:
        write = step.out.data.write

        def changed(table) -> None:
            rows = pl.DataFrame(table).with_columns(chosen_text=pl.col("chosen_text") + change)
            write(rows.to_arrow(compat_level=pl.CompatLevel.oldest()))

        monkeypatch.setattr(step.out.data, "write", changed)
        return kind.run(step)

    new = replace(kind, version=kind.version + 1, run=run if change else kind.run)
    monkeypatch.setitem(STEPS, "pair", new)
    return {"pair": (kind.version, new.version)}


def test_rows_that_older_rules_made_and_that_come_out_the_same_are_identical(pairs, reproduced, monkeypatch):
    rules = other_pairs(monkeypatch)
    verdict = reproduced(f"{pairs}@v0.1.0", "--from", "pair")
    assert verdict["verdict"] == "identical"
    steps = {one["place"]: one for one in verdict["verdicts"]}
    assert steps["iter_1/pair"]["reason"].endswith(f"; made by {made_by('pair', rules)}")
    assert steps["iter_1/pair"]["rules"] == {"pair": dict(zip(("made_by", "now"), rules["pair"], strict=True))}
    assert steps["iter_1/filter"]["rules"] == {}


def test_rows_that_older_rules_made_otherwise_are_compared_and_never_called_different(
    pairs, reproduced, monkeypatch, hub
):
    rules = other_pairs(monkeypatch, change=" By other rules.")
    verdict = reproduced(f"{pairs}@v0.1.0", "--from", "pair", rc=3)
    assert (verdict["verdict"], verdict["findings"]) == ("other rules", [])
    steps = {one["place"]: one for one in verdict["verdicts"]}
    pair, after = steps["iter_1/pair"], steps["iter_1/filter"]
    assert pair["kind"] == after["kind"] == "other rules"
    assert pair["reason"].startswith(f"made by {made_by('pair', rules)}: ")
    assert after["inputs"] == "iter_1/pair made again"
    assert after["reason"].startswith("made from iter_1/pair: ")
    assert "rows differ" in after["reason"]
    assert after["rows"][0]["again"].endswith("By other rules.")
    assert "made by other rules than this lidr has, or from such rows: iter_1/pair, iter_1/filter" in verdict["reason"]


def test_a_row_that_was_touched_is_different_by_whatever_rules_it_was_made(pairs, hub, reproduced, monkeypatch):
    def change(content: bytes) -> bytes:
        rows = pl.read_parquet(io.BytesIO(content)).with_columns(chosen_text=pl.lit("bees"))
        rows.write_parquet(out := io.BytesIO())
        return out.getvalue()

    tamper(hub, pairs, "dataset", "all/iter_1-00000-of-00001.parquet", change)
    other_pairs(monkeypatch)
    verdict = reproduced(f"{pairs}@v0.1.0", "--from", "pair", rc=3)
    assert (verdict["verdict"], kinds(verdict)["iter_1/filter"]) == ("different", "different")
