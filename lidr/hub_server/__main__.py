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
from lidr.secrecy import cleaned_output, keep_secret


def main() -> int:
    """Serve in the background, as the options say."""
    parser = argparse.ArgumentParser(prog="python -m lidr.hub_server", description=__doc__)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--redirect", action="store_true")
    parser.add_argument("--patience", type=float, default=60.0, help="seconds that a client may keep still")
    options = parser.parse_args()
    token = os.environ.get("LIDR_HUB_TOKEN")
    keep_secret(token)
    with cleaned_output():
        return _serve(options, token)


def _serve(options: argparse.Namespace, token: str | None) -> int:
    try:
        serve(
            options.root,
            port=options.port,
            token=token,
            redirect=options.redirect,
            background=True,
            patience_s=options.patience,
        )
    except LidrError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
