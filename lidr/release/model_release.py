"""A model release: the policy of the last iteration, merged or as adapter, with everything that it was made from.

model.safetensors, config.json, tokenizer.json, ...     loads in transformers and vLLM
.eval_results/*.yaml                                    scores on benchmarks that the Hub has registered
lidr/...                                                recipe, records, manifest
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lidr.engines import TEMPLATE_FILE, TEMPLATE_FILES, TOKENIZER_FILES, without_fixing
from lidr.errors import HubError
from lidr.hub import clean_model_config
from lidr.release.cards import card_rules, model_card
from lidr.release.eval_results import eval_result_files
from lidr.release.finished import Finished
from lidr.release.parents import HUB
from lidr.release.reproduction_files import Links
from lidr.release.staging import Staged, check_staged, files_below, owned_by, write_description, write_text
from lidr.store import file_sha256

OWNED = (
    r"LICENSE\.md|\.eval_results/[a-z0-9_]+\.yaml|[^/]+\.safetensors(\.index\.json)?|"
    r"(adapter_|generation_)?config\.json|chat_template\.jinja"
)
_CONFIGS = ("config.json", "adapter_config.json", "tokenizer_config.json")
_WANTED = {".safetensors", ".json", ".jinja", ".txt", ".model"}
"""Pickled weights are never published."""


def stage_model(
    run: Finished,
    folder: Path,
    repo: str,
    *,
    adapter_only: bool = False,
    datasets: tuple[tuple[str, str], ...] = (),
    siblings: Mapping[str, str] | None = None,
) -> Staged:
    """Write the release of a run's last policy into `folder`.

    Args:
        adapter_only: publish the LoRA adapter and leave the base where it is.
        datasets: (repository, commit) of the data it was trained on, as published.
        siblings: role -> repository of what the same run publishes.

    Raises:
        HubError: the run trained no policy, or no adapter.
        StoreError: a file of the policy is not as its record says.
    """
    policy = run.policy()
    part = "adapter" if adapter_only else "model"
    if not (found := policy.verified(part)):
        raise HubError(
            f"{policy.record.place} has no {part}: "
            + ("set publish.adapter_only to false, or train with lora" if adapter_only else "train it first")
        )
    folder.mkdir(parents=True, exist_ok=True)
    for path in found:
        if path.parent == policy.folder / part and path.suffix in _WANTED:
            _bring(path, folder / path.name, run)
    if adapter_only:
        _bring_tokenizer(run, folder)
    weights = {p.name: file_sha256(p) for p in sorted(folder.iterdir()) if p.suffix == ".safetensors"}
    form = "adapter" if adapter_only else "merged"
    if card_rules(run) > 1:
        for name, text in eval_result_files(run, f"{HUB}/{repo}/tree/{run.tag}/lidr/records").items():
            write_text(folder, name, text)
    links = Links(repo, datasets, siblings or {})
    digest = write_description(run, folder, files=[], content={"weights": weights, "form": form}, links=links)
    files = files_below(folder)
    check_staged(run, files)
    return Staged(
        repo_type="model",
        tag=run.tag,
        files=files,
        digest=digest,
        owned=owned_by(OWNED),
        card=lambda existing: model_card(run, repo, datasets, digest, existing, adapter_only=adapter_only),
        title=f"{run.recipe.name} {run.recipe.version}: policy after iteration {run.result}",
    )


def _bring(path: Path, target: Path, run: Finished) -> None:
    """Link a file of the model; a configuration is rewritten where it names a folder of this machine, and a template is
    the one that the model had.
    """
    if path.name in _CONFIGS:
        base = run.base_model
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        cleaned = clean_model_config(
            config, base_model=base.repo if base else None, revision=base.revision if base else None
        )
        if cleaned != config:
            target.write_text(json.dumps(cleaned, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
            return
    if path.name == TEMPLATE_FILE:
        template = path.read_text(encoding="utf-8")
        if (own := without_fixing(template)) != template:  # the run's switches and date; the card says them
            target.write_text(own, encoding="utf-8")
            return
    try:
        os.link(path.resolve(), target)
    except OSError:
        shutil.copy2(path, target)


def _bring_tokenizer(run: Finished, folder: Path) -> None:
    """An adapter alone does not say how to talk to it: the tokenizer and its chat template go with it."""
    policy = run.policy()
    wanted = {policy.folder / "model" / name for name in (*TOKENIZER_FILES, *TEMPLATE_FILES)}
    for path in policy.verified("model"):
        if path in wanted and not (folder / path.name).exists():
            _bring(path, folder / path.name, run)
