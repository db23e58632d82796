"""More of what is logged, on the terminal: -v."""

from __future__ import annotations

import logging
import sys

from lidr.pipeline import LOG_FORM, SAID


def verbose() -> None:
    """Tell on standard error what libraries log, from INFO on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LOG_FORM)
    handler.addFilter(lambda record: record.name != SAID.name)
    logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(logging.INFO)
