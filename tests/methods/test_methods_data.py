"""`recipes/data/methods.json`: each value says where it stands, and the plain version uses these values."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path

import pytest

from tests.methods.plain_methods import croco, lacomsa, language_weight, latent_scores, length_penalty

DATA = json.loads((Path(__file__).parents[2] / "recipes/data/methods.json").read_text(encoding="utf-8"))
METHODS = DATA["methods"]


def default(function, name):
    return inspect.signature(function).parameters[name].default


def test_the_five_methods_are_there():
    assert sorted(METHODS) == ["calm", "cm_align", "croco", "icr", "lacomsa"]


@pytest.mark.parametrize("name", METHODS)
def test_every_value_says_where_it_stands(name):
    method = METHODS[name]
    assert set(method) == {"title", "paper", "code", "settings", "silent", "defects"}
    for setting, entry in method["settings"].items():
        assert entry["known"] in DATA["known"], setting
        assert (entry["known"] == "not_found") == (entry["source"] is None), setting
        if entry["value"] is None and entry["known"] != "not_found":
            assert entry["note"] or setting == "adapter", setting
    commit = method["code"]["commit"]
    assert commit is None or re.fullmatch(r"[0-9a-f]{40}", commit)
    if commit is None:  # nothing can be claimed of code that nobody read
        assert not method["defects"]
        assert not {e["known"] for e in method["settings"].values()} & {"script", "data", "readme"}
    for defect in method["defects"]:
        assert set(defect) == {"where", "what", "effect"}
        assert all(defect.values())


def test_the_plain_version_uses_these_values():
    settings = {name: {key: e["value"] for key, e in method["settings"].items()} for name, method in METHODS.items()}
    grid = settings["icr"]["length_penalty_grid"]
    assert (grid["from"], grid["step"], grid["count"]) == (0.0, 0.001, default(length_penalty, "steps"))
    latent = settings["lacomsa"]
    for function in (language_weight, latent_scores):
        assert (default(function, "alpha"), default(function, "gamma")) == (latent["alpha"], latent["gamma"])
    assert default(lacomsa, "seed") == latent["select_seed"]
    assert default(croco, "target") == settings["croco"]["select"]
    assert default(croco, "prompt_of") == settings["croco"]["prompt_of"]
    assert default(croco, "pool") in settings["croco"]["pool"]
