"""What is said of the pairs that training kept aside."""

from __future__ import annotations

from types import SimpleNamespace

from lidr.analysis import aside_sentences


def test_a_training_that_kept_pairs_aside_says_how_many_and_which_policy_was_kept():
    looks = [{"step": 4, "loss": 0.5}, {"step": 8, "loss": 0.75}]
    aside = {"pairs": 14, "prompts": 10, "looks": looks, "ended": 8, "best": 4, "kept": 4}
    records = [
        SimpleNamespace(place="iter_1/pair", counts={}),
        SimpleNamespace(place="iter_1/train", counts={"held_out": aside}),
    ]
    assert list(aside_sentences(records)) == [
        "iter_1/train: 14 pairs of 10 prompts were kept aside. Their loss was lowest after step 4 (0.5000); training "
        "ended at step 8, and the policy is that of step 4."
    ]
