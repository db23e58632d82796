"""Results that somebody damaged are refused with the file's name."""

from __future__ import annotations

import pytest

from lidr.errors import EvaluationError
from lidr.evals.results import read_results


@pytest.mark.parametrize(
    "content", [b"{", b"\xff", b"[" * 100_000, b"1" * 5_000], ids=["cut", "bytes", "deep", "digits"]
)
def test_results_that_are_no_json_are_refused(tmp_path, content):
    (tmp_path / "results.json").write_bytes(content)
    with pytest.raises(EvaluationError, match=r"results\.json: no JSON .*; evaluate again"):
        read_results(tmp_path)
