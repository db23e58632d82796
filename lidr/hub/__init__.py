"""Talking to a Hub: the genuine client made patient, repositories read at a commit, and pins.

In: references and a `Target`. Out: files that are proved to be those of the commit, the commits that a recipe's lock
holds, and a `HubError` that says what to do. What is published is made in `lidr.release`.
"""

from typing import TYPE_CHECKING

from lidr.lazy import lazily

if TYPE_CHECKING:
    from lidr.hub.allowed_addresses import AllowedAddresses
    from lidr.hub.card_yaml import CardYamlError, load_card_yaml, plain
    from lidr.hub.client import (
        HUGGING_FACE,
        Patience,
        Target,
        endpoint_of_environment,
        patiently,
        plain_uploads,
        target_of_environment,
        trouble_of,
    )
    from lidr.hub.content_ids import ContentId
    from lidr.hub.foreign_json import ForeignJsonError, check_foreign, load_foreign_json
    from lidr.hub.front_matter import (
        SOURCE,
        compose,
        config_names,
        read_front_matter,
        rename_config,
        split_front_matter,
    )
    from lidr.hub.hub_errors import away, is_client_error, read_trouble, without_secrets
    from lidr.hub.model_folders import (
        MODEL_FILES,
        cached_folder,
        check_model_folder,
        converted,
        dist_file,
        model_files,
        model_snapshot,
    )
    from lidr.hub.pin_changes import Change, changes, mended, moved, unconfirmed
    from lidr.hub.pins import keep_content, locked_commit, locked_for, pin, resolve, unpinned
    from lidr.hub.prompt_sources import (
        PublishedPrompts,
        download,
        fetch_prompts,
        identity_of_prompts,
        is_published,
        local_copy,
        prompt_dataset,
        read_published,
    )
    from lidr.hub.redact import clean, clean_execution, clean_model_config, without_paths
    from lidr.hub.repo_names import check_config, check_repo, check_split, check_tag, problem_of_repo
    from lidr.hub.snapshot import DATASETS, Entry, content_digest, listing, read_file, read_snapshot

__all__ = [
    "DATASETS",
    "HUGGING_FACE",
    "MODEL_FILES",
    "SOURCE",
    "AllowedAddresses",
    "CardYamlError",
    "Change",
    "ContentId",
    "Entry",
    "ForeignJsonError",
    "Patience",
    "PublishedPrompts",
    "Target",
    "away",
    "cached_folder",
    "changes",
    "check_config",
    "check_foreign",
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
    "converted",
    "dist_file",
    "download",
    "endpoint_of_environment",
    "fetch_prompts",
    "identity_of_prompts",
    "is_client_error",
    "is_published",
    "keep_content",
    "listing",
    "load_card_yaml",
    "load_foreign_json",
    "local_copy",
    "locked_commit",
    "locked_for",
    "mended",
    "model_files",
    "model_snapshot",
    "moved",
    "patiently",
    "pin",
    "plain",
    "plain_uploads",
    "problem_of_repo",
    "prompt_dataset",
    "read_file",
    "read_front_matter",
    "read_published",
    "read_snapshot",
    "read_trouble",
    "rename_config",
    "resolve",
    "split_front_matter",
    "target_of_environment",
    "trouble_of",
    "unconfirmed",
    "unpinned",
    "without_paths",
    "without_secrets",
]
__getattr__ = lazily(__name__)
