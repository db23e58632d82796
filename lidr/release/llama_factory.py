"""What LLaMA-Factory needs to read the pairs of a release: `dataset_info.json`, and its name of each split."""

from __future__ import annotations

from typing import Any

from lidr.release.staging import DatasetFiles


def llama_factory(files: DatasetFiles, repo: str) -> dict[str, Any]:
    """dataset_info.json: LLaMA-Factory reads preference pairs only from its Alpaca form, as flat texts."""
    columns = {"prompt": "prompt_text", "chosen": "chosen_text", "rejected": "rejected_text"}
    pairs = [config for config in files.configs if config not in ("candidates", "dropped")]
    return {
        llama_factory_name(repo, config, split): {
            "hf_hub_url": repo,
            "subset": config,
            "split": split,
            "ranking": True,
            "columns": columns,
        }
        for config in pairs
        for split in files.splits(config)
    }


def llama_factory_name(repo: str, config: str, split: str) -> str:
    """What LLaMA-Factory calls one split.

    >>> llama_factory_name("lidr/quickstart-prefs", "en-de", "iter_1")
    'quickstart_prefs_en_de_iter_1'
    """
    return f"{repo.split('/')[-1]}_{config}_{split}".replace("-", "_")
