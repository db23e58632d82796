"""Which names a Hub accepts, checked before anything is sent.

A configuration named `en/de` would be accepted by a push and then make the whole repository unloadable, so the rules
are those of the readers (`datasets`), not only those of the Hub.

>>> check_repo("lidr/quickstart-prefs")
>>> problem_of_repo("quickstart")
'a repository has the form org/name'
"""

from __future__ import annotations

import re

from lidr.errors import HubError

_PART = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?")
_CONFIG = re.compile(r"[A-Za-z0-9._-]+")
_SPLIT = re.compile(r"\w+(\.\w+)*")
_TAG = re.compile(r"v\d+\.\d+\.\d+([.-][0-9A-Za-z.-]+)?(-iter_\d+)?")


def problem_of_repo(repo: str) -> str | None:
    """What a Hub would refuse about the name of a repository; None when nothing."""
    parts = repo.split("/")
    if len(parts) != 2:
        return "a repository has the form org/name"
    if len(repo) > 96:
        return f"it has {len(repo)} characters, 96 are allowed"
    if "--" in repo or ".." in repo:
        return "-- and .. are not allowed"
    if repo.endswith((".git", ".ipynb")):
        return "it must not end in .git or .ipynb"
    if not all(_PART.fullmatch(part) for part in parts):
        return "letters, digits, - _ . are allowed; - and . neither first nor last"
    return None


def check_repo(repo: str) -> None:
    """Refuse a name that a Hub refuses.

    Raises:
        HubError: with the rule it breaks.
    """
    problem = problem_of_repo(repo)
    if problem is not None:
        raise HubError(f'"{repo}" cannot be a repository: {problem}. Write it as org/name, for instance lidr/my-prefs')


def check_config(config: str) -> None:
    """Refuse a configuration's name that would break loading.

    Raises:
        HubError: with the rule it breaks.
    """
    if config == "data" or not _CONFIG.fullmatch(config):
        raise HubError(f'"{config}" cannot be a configuration: letters, digits, - _ . are allowed, and not "data"')


def check_split(split: str) -> None:
    """Refuse a split's name that `datasets` refuses.

    Raises:
        HubError: with the rule it breaks.
    """
    if not _SPLIT.fullmatch(split):
        raise HubError(f'"{split}" cannot be a split: letters, digits and _ are allowed, dots between them')


def check_tag(tag: str) -> None:
    """Refuse a tag that is no release.

    Raises:
        HubError: it is not `v` and a version.
    """
    if not _TAG.fullmatch(tag) or ".." in tag or tag.endswith((".", ".lock")):
        raise HubError(f'"{tag}" cannot be a release: it is v and the recipe\'s version, as v0.1.0')
