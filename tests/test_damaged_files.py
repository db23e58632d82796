"""The trials of `make prove faults`: the first of each kind, and that a reader which compares nothing fails them."""

from __future__ import annotations

from lidr.store.artifact import Artifact
from tests.damaged_files import DAMAGES, KINDS, trials


def test_the_first_of_every_kind_is_found_or_harmless(tmp_path):
    found = [*trials(tmp_path, range(len(KINDS)))]
    assert [trial.kind for trial in found] == [*KINDS]
    assert [trial for trial in found if trial.outcome == "missed"] == []
    assert {trial.outcome for trial in found if trial.kind in DAMAGES and "record" not in trial.kind} == {"found"}


def test_a_reader_that_compares_nothing_is_found_out(tmp_path, monkeypatch):
    monkeypatch.setattr(Artifact, "_verified", lambda self, entry: self.folder / entry.path)
    found = {trial.kind: trial.outcome for trial in trials(tmp_path, range(len(KINDS)))}
    assert {found[kind] for kind in ("flipped bit", "lost sector")} == {"missed"}
