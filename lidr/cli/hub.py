"""`lidr hub serve|env|ls`: a Hub on this machine for the genuine Hugging Face clients."""

from __future__ import annotations

import argparse
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lidr.cli.common import print_json, print_table, say
from lidr.errors import HubError
from lidr.hub_server import default_root, find_running, is_loopback, serve
from lidr.hub_server.storage import REPO_TYPES, Storage
from lidr.secrecy import keep_secret, shown_on_purpose

if TYPE_CHECKING:
    from lidr.hub_server.storage import Repository


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    serving = actions.add_parser("serve", help="serve a folder as a Hub until Ctrl-C")
    serving.add_argument("--port", type=int, default=8080, metavar="N", help="default 8080; 0 takes a free one")
    serving.add_argument("--host", default="127.0.0.1", metavar="H", help="default 127.0.0.1: this machine only")
    serving.add_argument(
        "--token", metavar="T", help="default $LIDR_HUB_TOKEN, which other users cannot see; else random"
    )
    serving.add_argument("--redirect", action="store_true", help="answer downloads with redirections, as the real Hub")
    env = actions.add_parser("env", help='print what a client needs: eval "$(lidr hub env)"')
    ls = actions.add_parser("ls", help="list the repositories and their tags of the Hub in this store, or in --root")
    for action in (env, ls):
        action.add_argument("--json", action="store_true", help="print one JSON object on standard output")
    for action in (serving, env, ls):
        action.add_argument("--root", type=Path, metavar="DIR", help="where it keeps everything; default <store>/.hub")


def main(options: argparse.Namespace) -> int:
    """Carry out one of the three."""
    root = options.root or default_root()
    return {"serve": _serve, "env": _env, "ls": _ls}[options.action](root, options)


def _serve(root: Path, options: argparse.Namespace) -> int:
    given = options.token or os.environ.get("LIDR_HUB_TOKEN")
    keep_secret(given)

    def ready(url: str, token: str) -> None:
        say(f"Hub at {url}, kept in {root}; Ctrl-C stops it")
        if not given:
            with shown_on_purpose():
                say(f"token, random for this run: {token}")
        say(f'for clients, in another terminal: eval "$(lidr hub env --root {shlex.quote(str(root))})"')
        if not is_loopback(options.host):
            say("warning: other machines can reach it, and its token travels unencrypted")

    try:
        serve(root, host=options.host, port=options.port, token=given, redirect=options.redirect, ready=ready)
    except KeyboardInterrupt:  # the usual end of a server
        say("stopped")
    return 0


def _env(root: Path, options: argparse.Namespace) -> int:
    hub = find_running(root)
    if hub is None:
        raise HubError(f"no Hub serves {root}: start one with `lidr hub serve --root {shlex.quote(str(root))}`")
    with shown_on_purpose():
        if options.json:
            print_json("lidr.hub.env/1", {"environment": hub.environment})
        else:
            for name, value in hub.environment.items():
                print(f"export {name}={shlex.quote(value)}")
            say(
                f"HF_HOME is then {hub.environment['HF_HOME']}: names are not unique across Hubs, so this one has a "
                "cache of its own, and in this shell models of your usual cache are not found by name; in a new shell "
                "they are"
            )
    return 0


def _ls(root: Path, options: argparse.Namespace) -> int:
    if not (root / "repos").is_dir():
        say(f"nothing was published to {root} yet, the Hub of this store; another: --root FOLDER")
    storage = Storage(root) if (root / "repos").is_dir() else None
    found = [repository for type_ in REPO_TYPES for repository in (storage.repositories(type_) if storage else ())]
    rows = [_row(repository) for repository in found]
    if options.json:
        print_json("lidr.hub.ls/1", {"root": str(root), "repositories": rows})
    elif rows:
        cells = [(row["type"], row["id"], row["commit"][:10], ", ".join(row["tags"]) or "-") for row in rows]
        print_table(("type", "repository", "main", "tags"), cells, left=4)
        say(f"the Hub in {root}; another: --root FOLDER")
    return 0


def _row(repository: Repository) -> dict[str, Any]:
    refs = repository.refs()
    return {
        "type": repository.type,
        "id": repository.id,
        "private": repository.is_private,
        "commit": refs["branches"]["main"],
        "tags": {name: tag["target"] for name, tag in refs["tags"].items()},
    }
