"""Reproducing a release: fetched at its commit, checked against itself, made again step by step, compared.

environment   what differs here, listed before anything runs
checks        whether the release is what its own records say; card: rendered again
recipe        the recipe as it was resolved; published: its rows as artifacts
again         one step, in a fresh store, from published inputs where there are any
rescored      the scores of evaluations, from their stored answers
compare       by digest, row by row, or within error; verdict: what comes out
attest        a verdict, published beside the release
"""

from lidr.reproduce.reproduction import Wanted, reproduce
from lidr.reproduce.verdict import Reproduction, Verdict

__all__ = ["Reproduction", "Verdict", "Wanted", "reproduce"]
