"""The column map of a recipe, and what of it is identity."""

from __future__ import annotations

from lidr.recipe import Columns

BEFORE = {"prompt": "q", "chosen": "chosen", "rejected": "rejected", "id": None, "language": None,
          "other_language": None, "kind": None, "iteration": None, "score_chosen": None, "score_rejected": None,
          "margin": None}  # fmt: skip


def test_a_map_that_says_nothing_of_newer_roles_is_written_as_before_there_were_any():
    assert Columns(prompt="q").model_dump(mode="json") == BEFORE


def test_null_is_said_and_differs_from_nothing():
    left_out = Columns(prompt="q", input=None, system="s")
    assert left_out.model_dump(mode="json") == {**BEFORE, "input": None, "system": "s"}
    assert (left_out.leaves_out("input"), left_out.leaves_out("system")) == (True, False)
    assert not Columns(prompt="q").leaves_out("input")
    assert Columns.model_validate(left_out.model_dump()).leaves_out("input")
    assert left_out.named == {"prompt": "q", "chosen": "chosen", "rejected": "rejected", "system": "s"}
