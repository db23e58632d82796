"""Reproducing a release: fetched at its commit, checked against itself, made again step by step, compared.

In: `ORG/NAME@TAG` and a folder to work in. Out: a `Reproduction`: what is identical, equal within error or different.

environment                     what differs here, listed before anything runs
self_checks, card_check         whether the release is what its own records say; the card rendered again
released_recipe, released_rows  the recipe as it was resolved; the rows as artifacts
rerun, step_check, comparison   one step made again and compared; rescore: evaluations from their kept answers
attestation                     the outcome, published beside the release
"""

from typing import TYPE_CHECKING

from lidr.lazy import callable_as, lazily

if TYPE_CHECKING:
    from lidr.reproduce.attestation import attest
    from lidr.reproduce.reproduction import ReproductionRequest, reproduce
    from lidr.reproduce.verdict import SCHEMA, Reproduction, Verdict

__all__ = [
    "SCHEMA",
    "Reproduction",
    "ReproductionRequest",
    "Verdict",
    "attest",
    "reproduce",
]
__getattr__ = lazily(__name__)
callable_as(__name__, "reproduce")
