"""What `python -m tests.failures` wrote on real output of SmolLM2."""

from __future__ import annotations

import json

from lidr.rows import TRANSLATION_STATUSES
from tests.failures import WAYS, result_of
from tests.prove import FOLDER


def test_on_real_output_every_class_of_failure_occurs_and_is_counted():
    kept = json.loads((FOLDER / "translation_failures.json").read_text(encoding="utf-8"))
    assert list(kept["total"]) == list(TRANSLATION_STATUSES)
    assert kept["missing"] == []
    assert min(kept["total"].values()) > 0
    for status, total in kept["total"].items():
        assert total == sum(counts[status] for counts in kept["counts"].values())
    directions = 4  # en -> two others and back
    for name, counts in kept["counts"].items():
        assert sum(counts.values()) == WAYS[name].prompts * directions


def test_the_kept_settings_are_those_of_the_script():
    kept = json.loads((FOLDER / "translation_failures.json").read_text(encoding="utf-8"))
    assert kept["settings"] == json.loads(json.dumps(result_of({})["settings"]))
