"""Patterns in a card of others, on names of others."""

from __future__ import annotations

import time

import pytest

from lidr.errors import HubError
from lidr.preferences.dataset_configs import config_of


@pytest.mark.parametrize("pattern", ["*a" * 12 + "b", "*" * 2000, "[" * 900])
def test_a_pattern_that_takes_long_is_given_up(pattern):
    card = {"configs": [{"config_name": "x", "data_files": pattern}]}
    started = time.process_time()
    with pytest.raises(HubError, match=r"data_files .*(takes too long|is no pattern)|no files of pairs"):
        config_of("a/b", card, ["a" * 200 + ".parquet"], None)
    assert time.process_time() - started < 3
