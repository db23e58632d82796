import argparse
import json

import pytest

from lidr.cli.eval import export
from tests.parity.answered import OWN, answered


def call(*words: object) -> int:
    parser = argparse.ArgumentParser()
    export.arguments(parser)
    return export.main(parser.parse_args([str(word) for word in words]))


@pytest.fixture
def results(tmp_path):
    return answered(tmp_path / "run", "our-model", lambda row, _: row["item"], ["de", "en"], limit=2)


def test_the_files_are_written_and_named(results, tmp_path, capsys):
    assert call(results, "--alpaca-eval", tmp_path / "out", "--data", OWN) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        str(tmp_path / "out" / f"{kind}_outputs_{language}.json")
        for language in ("de", "en")
        for kind in ("model", "reference")
    ]
    assert "--model_outputs" in printed.err


def test_json_names_the_files_and_references_can_be_left_out(results, tmp_path, capsys):
    assert call(results, "--alpaca-eval", tmp_path / "out", "--without-reference", "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["schema"] == "lidr.eval.export/1"
    assert [name.rpartition("/")[2] for name in answer["files"]] == ["model_outputs_de.json", "model_outputs_en.json"]
