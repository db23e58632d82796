from __future__ import annotations

from lidr.cli.main import main


def test_ls_says_whose_hub_it_lists_and_how_to_name_another(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert main(["hub", "ls", "--root", str(tmp_path)]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert f"nothing was published to {tmp_path} yet, the Hub of this store; another: --root FOLDER" in said
