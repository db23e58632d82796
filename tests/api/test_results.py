"""lidr from Python, as in a notebook: run, pairs, scores, publish, reproduce, report."""

from __future__ import annotations

import re
import subprocess
import sys
from html import unescape

import pytest

import lidr
from lidr.errors import HubError
from tests.evals.asked import write_rows
from tests.publishing import ONE_ITERATION
from tests.scripted import write_world
from tests.tiny import tiny_model


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A recipe that trains and evaluates a tiny model, and publishes to the embedded Hub of its store."""
    folder = tmp_path_factory.mktemp("api") / "w"
    text = ONE_ITERATION.replace(
        "iterations:",
        "  - evaluate: {{tasks: [mgsm], data: [{folder}/rows], max_tokens: 4}}\n"
        "  - publish: {{pairs: lidr/tiny-prefs, policy: lidr/tiny, policy_license: apache-2.0}}\niterations:",
    ).replace("runtime: {{", "runtime: {{hub: embedded, ").replace("others: [es, de]", "others: [de]")  # fmt: skip
    path = write_world(folder, text)
    write_rows(folder / "rows")
    tiny_model(folder / "model", "smollm2")
    return path


@pytest.fixture(scope="module")
def result(file):
    with pytest.MonkeyPatch.context() as patch:
        for name in ("LIDR_STORE", "HF_ENDPOINT"):
            patch.delenv(name, raising=False)
        return lidr.run(str(file))


def test_pairs_can_be_built_alone(tmp_path):
    made = lidr.build_pairs(write_world(tmp_path))
    assert made.pairs.height == 32
    assert {"prompt", "chosen", "rejected", "margin"} <= set(made.pairs.columns)
    assert made.policy is None


def test_a_result_has_pairs_account_scores_and_policy_as_tables_and_files(result):
    account = {(row["language"], row["what"]): row["count"] for row in result.account.iter_rows(named=True)}
    assert account["de", "slots"] == 8
    assert account["de", "kept"] == result.pairs.height
    scores = result.scores.filter(score="acc")
    assert sorted(scores.select("language", "iteration").iter_rows()) == [("de", 0), ("de", 1), ("en", 0), ("en", 1)]
    assert (scores["low"] <= scores["value"]).all()
    assert (scores["value"] <= scores["high"]).all()
    assert (result.policy / "model.safetensors").is_file()
    assert result.report.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert result.report == lidr.report(result.recipe)


def test_scores_go_to_pandas_where_it_is_installed(result):
    pytest.importorskip("pandas")
    assert list(result.scores.to_pandas().columns) == result.scores.columns


def test_a_notebook_shows_headline_and_pairs_in_a_frame_that_runs_nothing(result):
    html = result._repr_html_()
    assert re.match(r'<iframe sandbox srcdoc="', html)
    inside = unescape(re.search('srcdoc="([^"]*)"', html)[1])
    assert "<svg" in inside
    assert inside.count('class="pair box"') == min(3, result.pairs.height)
    assert "<script" not in inside


def test_a_policy_is_evaluated_and_shown(result, tmp_path):
    folder = str(result.policy)
    rows = str(result.version_folder.parents[2] / "rows")
    found = lidr.evaluate(folder, ["en", "de"], data=rows, decoding=lidr_decoding(), out=tmp_path / "out")
    acc = found.scores.filter(score="acc")
    assert acc["n"].to_list() == [3, 3]
    assert "MGSM" in str(found)
    assert found._repr_html_().startswith("<pre>")


def lidr_decoding():
    from lidr.evals import Decoding

    return Decoding(max_tokens=4)


def test_a_finished_run_is_published_and_another_one_is_not(result, tmp_path):
    published = lidr.publish(result.recipe)
    assert [(one.repo_type, one.repo, one.tag) for one in published] == [
        ("dataset", "lidr/tiny-prefs", "v0.1.0"), ("model", "lidr/tiny", "v0.1.0")]  # fmt: skip
    with pytest.raises(HubError, match=r"iter_0/policy is not finished \(`new`\).*lidr\.run\(recipe\)"):
        lidr.publish(write_world(tmp_path), pairs="lidr/none")


@pytest.mark.parametrize("name", ["report", "reproduce"])
def test_a_function_with_a_packages_name_can_be_called_before_and_after_the_package_is_imported(name):
    code = (
        f"import lidr; assert callable(lidr.{name}); import lidr.{name} as package; assert callable(lidr.{name});"
        f"from lidr import {name}; assert {name} is package; assert {name}.__doc__"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_import_stays_light():
    code = "import sys, lidr; assert not {'torch', 'polars', 'pyarrow', 'jinja2'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
