"""The walk docs/walks/reproduce.md, with a small release in its place."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

from lidr.cli.main import main
from tests.documents.blocks import script

PAGE = "docs/walks/reproduce.md"


def test_every_command_of_the_walk_does_what_it_says(pairs, hub, tmp_path, monkeypatch, capsys):
    for name in ("HF_ENDPOINT", "HF_TOKEN"):
        monkeypatch.setenv(name, hub.environment[name])
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    said = []
    for line in script(PAGE).splitlines():
        if not line:
            continue
        here = line.replace("lidr/first-prefs", pairs).replace("1/PROMPT/es-en/", "1/p0/de-en/")
        words = shlex.split(here, comments=True)
        assert main([*words[1:], *(["--quiet"] if words[1] == "reproduce" else [])]) == 0
        said.append(capsys.readouterr().out)
    assert len(said) == 5
    assert "Verdict: identical in what was made again (pair to filter): 5 identical; " in said[0]
    assert re.search(r"iter_1/generate +exact +identical +6 rows", said[1])
    part = "up to translate, answers to 2 prompts of each iteration"
    made = f"identical in what could be made of what was asked for, {part} (policy, generate, translate)"
    assert f"Verdict: {made}; prompts not checked: " in said[1]
    whole = "identical in what could be made (policy, generate, translate, pair, filter)"
    assert f"Verdict: {whole}; prompts not checked: " in said[2]
    assert Path("lineage.svg").read_text().startswith("<svg")
    assert "p0/en->de (text): translation" in said[4]
    verdicts = list(Path("runs/.reproduced").glob("*/verdict.json"))
    assert json.loads(verdicts[0].read_text())["schema"] == "lidr.reproduction/1"
