"""A release is loaded as others will load it, by `datasets` from the commit and an empty cache, before it is tagged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lidr.errors import EngineError, HubError
from lidr.hub import HUGGING_FACE, Target, without_secrets
from lidr.worker import Worker


def load(
    repo: str, revision: str, configs: Iterable[str], target: Target, is_there: Callable[[], Any]
) -> dict[str, Mapping[str, Any]]:
    """What `datasets` makes of each configuration: {"splits": {split: whether it has a row}} or {"fault": text}.

    Args:
        repo: of a data set.
        revision: commit.
        configs: names of configurations.
        target: the Hub.
        is_there: called after a fault; fails where the Hub is gone, which each further configuration would take half a
            minute to say.

    Raises:
        HubError: the process that loads ended early.
    """
    message = {"repo": repo, "revision": revision, "configs": list(configs)}
    with TemporaryDirectory(prefix="lidr-load-", ignore_cleanup_errors=True) as cache:
        env = {
            "HF_ENDPOINT": target.endpoint,
            "HF_TOKEN": target.token or "",
            "HF_HUB_OFFLINE": "0",
            "HF_DATASETS_OFFLINE": "0",
            "HF_UPDATE_DOWNLOAD_COUNTS": "0",
            "HF_HUB_DISABLE_XET": "0" if target.endpoint == HUGGING_FACE else "1",
            "USE_TORCH": "0",  # nothing of it is needed, and its import takes longer than all else
            "HF_HOME": cache,
            **{name: str(Path(cache, name.lower())) for name in ("HF_HUB_CACHE", "HF_DATASETS_CACHE", "HF_XET_CACHE")},
        }
        with Worker("lidr.release.beside.load_worker", log=Path(cache, "load.log"), env=env, fresh=True) as worker:
            try:
                worker.send(message)
                said = {}
                for reply in worker.replies():
                    said[str(reply["config"])] = reply
                    if "fault" in reply:
                        is_there()
            except EngineError as error:
                raise HubError(f"{repo}: it could not be loaded to check it: {error}") from None
    return {
        config: {"fault": without_secrets(found["fault"], target.token)} if "fault" in found else found
        for config, found in said.items()
    }


def faults(found: Mapping[str, Mapping[str, Any]], release: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Configuration -> why it is not loaded as it should be.

    Args:
        found: as `load` gives it.
        release: configuration of the release -> its splits, all of which have rows.
    """
    wrong: dict[str, str] = {}
    for config, said in found.items():
        if "fault" in said:
            wrong[config] = str(said["fault"])
        elif config in release and said["splits"] != dict.fromkeys(release[config], True):
            wrong[config] = f"it has the splits {said['splits']}, not {', '.join(release[config])}"
    return wrong
