"""`lidr lock RECIPE`: resolve every Hub model and data set of a recipe to the commit it has now, and write
recipe.lock.json with what stands at each.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from lidr.cli.common import print_json, read_recipe, recipe_arguments
from lidr.errors import HubError
from lidr.references import UNPINNED
from lidr.store import LOCK_FILE, read_contents, read_lock

if TYPE_CHECKING:
    from lidr.hub import Change
    from lidr.store import Content

_MOST = 12  # files of a change that are shown


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    recipe_arguments(parser)
    parser.add_argument(
        "--check", action="store_true", help="change nothing; say which locked tags were moved or deleted since"
    )


def main(options: argparse.Namespace) -> int:
    """Ask the Hub, write the file, show what changed."""
    from lidr.hub import changes, mended, pin
    from lidr.store import Store, store_root

    recipe = read_recipe(options)
    folder = Store(store_root(recipe.runtime.store, recipe.folder)).version_folder(recipe.name, recipe.version)
    if options.check:
        return _check(read_contents(folder), folder / LOCK_FILE)
    old, was = read_lock(folder), read_contents(folder)
    new = pin(recipe, folder, refresh=True)
    found, contents, other = changes(old, folder), read_contents(folder), mended(was, folder)
    if options.json:
        content = {"old": old, "new": new, "changes": [asdict(change) for change in found], "mended": other}
        digests = {name: asdict(one) for name, one in contents.items()}
        print_json("lidr.lock/1", {"file": str(folder / LOCK_FILE), **content, "contents": digests})
        return 0
    if not contents:
        print(f"{recipe.name}: nothing to lock; {recipe.policy.model} is no unpinned Hub model")
        return 0
    for change in found:
        print(f"{_named(change)}: {change.old or UNPINNED} -> {change.new}{_what(change, other)}")
    named = [name for name in contents if not any(name == f"{change.repo}@{change.new}" for change in found)]
    for name in named:
        what = f"{contents[name].digest[:12]}, {contents[name].files} files{_mended(name, other)}"
        print(f"{name}: named by the recipe; content {what}")
    print(f"written to {folder / LOCK_FILE}")
    return 0


def _check(contents: Mapping[str, Content], file: Path) -> int:
    """Compare what was locked with what the Hub has now.

    Raises:
        HubError: a tag or branch was moved or deleted, or a commit holds another content.
    """
    from lidr.hub import moved, unconfirmed

    lines, other = moved(contents), unconfirmed(contents)
    said = [*lines, *other]
    if lines:
        said.append(
            f"{file} keeps the commits, and they are what is read; `lidr lock RECIPE` takes the new ones, on purpose"
        )
    if other:
        said.append(
            f"{file} does not say what the Hub has, so these are not read; `lidr lock RECIPE` writes what it has now, "
            "on purpose"
        )
    if said:
        raise HubError("\n".join(said))
    print(
        f"{file}: {len(contents)} commits, every tag and branch as it was when it was locked, and every content as "
        "the Hub has it"
    )
    return 0


def _named(change: Change) -> str:
    return f"{change.repo}@{change.requested}" if change.requested else change.repo


def _mended(name: str, other: Mapping[str, tuple[str, str]]) -> str:
    """A digest of the same commit that stood otherwise in the lock."""
    if name not in other:
        return ""
    old, new = other[name]
    return f" (the same commit; its content was locked as {old[:12]}, and the Hub has {new[:12]})"


def _what(change: Change, other: Mapping[str, tuple[str, str]]) -> str:
    """What the new commit changed, in files."""
    if change.old is None:
        return ""
    if change.old == change.new:
        return _mended(f"{change.repo}@{change.new}", other) or " (as before)"
    if change.files is None:
        return " (the Hub does not say any more what the old commit held)"
    more = f" and {len(change.files) - _MOST} more" if len(change.files) > _MOST else ""
    return f" ({', '.join(change.files[:_MOST])}{more})" if change.files else " (the same files)"
