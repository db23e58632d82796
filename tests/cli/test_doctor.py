"""`lidr doctor`: what is there and what is lacking, whose the token is, and never the token."""

from __future__ import annotations

import importlib.metadata
import json
import re
from pathlib import Path

from lidr.cli.main import main


def found(capsys) -> dict[str, dict[str, str]]:
    return {check["name"]: check for check in json.loads(capsys.readouterr().out)["checks"]}


def test_a_well_machine_ends_with_0_and_says_what_extras_lack(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIDR_DATA", str(tmp_path))
    assert main(["doctor", "--json"]) == 0
    checks = found(capsys)
    assert {checks[name]["state"] for name in ("Python", "packages", "machine", "store")} == {"ok"}
    assert checks["LIDR_DATA"]["said"].startswith(f"{tmp_path}: none of mgsm")
    assert {check["do"] for name, check in checks.items() if name.startswith("extra") and check["state"] == "warn"} <= {
        f"pip install 'lidr[{name.removeprefix('extra ')}]'" for name in checks
    }
    assert list(tmp_path.iterdir()) == []


def test_the_extras_that_it_advises_are_those_that_the_documents_name():
    installed = importlib.metadata.metadata("lidr").get_all("Provides-Extra")
    named = re.findall(r"^\| `lidr\[(.+?)\]`", Path("docs/index.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert {*named} == {*installed} - {"all", "dev", "docs"}


def test_the_owner_of_the_token_is_said_and_the_token_is_not(capsys, hub, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", hub.target.endpoint)
    monkeypatch.setenv("HF_TOKEN", hub.target.token)
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert f" on {hub.target.endpoint}" in out
    assert hub.target.token not in out
    monkeypatch.setenv("HF_TOKEN", "hf_" + "x" * 30)
    assert main(["doctor"]) == 2
    out = capsys.readouterr().out
    assert "does not know it: set HF_TOKEN to a token of this Hub" in out
    assert "xxx" not in out


def test_a_store_that_cannot_be_written_and_a_hub_that_is_away_are_said(capsys, monkeypatch):
    monkeypatch.setenv("LIDR_STORE", "/proc/nowhere")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_TOKEN", "hf_" + "x" * 30)
    assert main(["doctor", "--json"]) == 2
    checks = found(capsys)
    assert (checks["store"]["state"], checks["token"]["state"]) == ("bad", "warn")
    assert "set LIDR_STORE to a folder" in checks["store"]["do"]
