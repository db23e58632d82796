"""The walk "reproduce a release": the README's lines, with a small release in the quickstart's place."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from lidr.cli.main import main

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=")  # huggingface_hub 2.4's own upload with httpx2

README = Path(__file__).parents[2] / "README.md"


def walk() -> list[str]:
    """The commands of the README's section."""
    text = README.read_text(encoding="utf-8")
    section = re.split(r"\n## ", text[text.index("## Reproduce a release\n") + 3 :])[0]
    blocks = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def test_every_command_of_the_walk_does_what_it_says(pairs, hub, tmp_path, monkeypatch, capsys):
    for name in ("HF_ENDPOINT", "HF_TOKEN"):
        monkeypatch.setenv(name, hub.environment[name])
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    said = []
    for line in walk():
        here = line.replace("lidr/quickstart-prefs", pairs).replace("1/PROMPT/es-en/", "1/p0/de-en/")
        words = shlex.split(here, comments=True)
        assert main([*words[1:], *(["--quiet"] if words[1] == "reproduce" else [])]) == 0
        said.append(capsys.readouterr().out)
    assert len(said) == 5
    assert "Verdict: identical (5 identical)" in said[0]
    assert re.search(r"iter_1/generate +exact +identical +6 rows", said[1])
    assert "Verdict: identical" in said[2]
    assert Path("lineage.svg").read_text().startswith("<svg")
    assert "p0/en->de (text): translation" in said[4]
    verdicts = list(Path("runs/.reproduced").glob("*/verdict.json"))
    assert json.loads(verdicts[0].read_text())["schema"] == "lidr.reproduction/1"
