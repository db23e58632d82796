"""Talking to a Hub: the genuine client made patient, repositories read at a commit, and pins.

In: references and a `Target`. Out: files that are proved to be those of the commit, the commits that a recipe's lock
holds, and a `HubError` that says what to do. What is published is made in `lidr.release`.
"""

from typing import TYPE_CHECKING

from lidr.lazy import lazily

if TYPE_CHECKING:
    from lidr.hub.client import (
        HUGGING_FACE,
        Patience,
        Target,
        patiently,
        plain_uploads,
        target_of_environment,
        trouble_of,
    )
    from lidr.hub.content_ids import ContentId
    from lidr.hub.front_matter import SOURCE, compose, config_names, read_front_matter, rename_config
    from lidr.hub.hub_errors import away, is_client_error, read_trouble, without_secrets
    from lidr.hub.model_folders import MODEL_FILES, check_model_folder, dist_file, model_files, model_snapshot
    from lidr.hub.pin_changes import Change, changes, mended, moved, unconfirmed
    from lidr.hub.pins import keep_content, locked_commit, locked_for, pin, resolve
    from lidr.hub.prompt_sources import PublishedPrompts, fetch_prompts, identity_of_prompts, local_copy, read_published
    from lidr.hub.redact import clean, clean_execution, clean_model_config, without_paths
    from lidr.hub.repo_names import check_config, check_repo, check_split, check_tag, problem_of_repo
    from lidr.hub.snapshot import DATASETS, Entry, content_digest, listing, read_file, read_snapshot

__all__ = [
    "DATASETS",
    "HUGGING_FACE",
    "MODEL_FILES",
    "SOURCE",
    "Change",
    "ContentId",
    "Entry",
    "Patience",
    "PublishedPrompts",
    "Target",
    "away",
    "changes",
    "check_config",
    "check_model_folder",
    "check_repo",
    "check_split",
    "check_tag",
    "clean",
    "clean_execution",
    "clean_model_config",
    "compose",
    "config_names",
    "content_digest",
    "dist_file",
    "fetch_prompts",
    "identity_of_prompts",
    "is_client_error",
    "keep_content",
    "listing",
    "local_copy",
    "locked_commit",
    "locked_for",
    "mended",
    "model_files",
    "model_snapshot",
    "moved",
    "patiently",
    "pin",
    "plain_uploads",
    "problem_of_repo",
    "read_file",
    "read_front_matter",
    "read_published",
    "read_snapshot",
    "read_trouble",
    "rename_config",
    "resolve",
    "target_of_environment",
    "trouble_of",
    "unconfirmed",
    "without_paths",
    "without_secrets",
]
__getattr__ = lazily(__name__)
