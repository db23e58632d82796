"""The process that `serve_in_background` starts: `python -m lidr.hub_server --root DIR`.

The token comes from LIDR_HUB_TOKEN, so that it does not show in the list of processes.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from lidr.errors import LidrError
from lidr.hub_server.serving import serve


def main() -> int:
    """Serve in the background, as the options say."""
    parser = argparse.ArgumentParser(prog="python -m lidr.hub_server", description=__doc__)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--redirect", action="store_true")
    options = parser.parse_args()
    token = os.environ.get("LIDR_HUB_TOKEN")
    try:
        serve(options.root, port=options.port, token=token, redirect=options.redirect, background=True)
    except LidrError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
