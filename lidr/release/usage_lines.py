"""The lines with which `datasets` and TRL load what was published: complete, for a shell, without a secret in them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from lidr.hub import HUGGING_FACE
from lidr.release.publish_staged import Published


def loading_lines(published: Sequence[Published], embedded: Path | None = None) -> str:
    """Shell lines that load the pairs, and train one step on them where a policy was published too.

    Args:
        published: what was published.
        embedded: folder of the embedded Hub, when that is where it is.
    """
    pairs = next((found for found in published if found.repo_type == "dataset"), None)
    policy = next((found for found in reversed(published) if found.repo_type == "model"), None)
    python = [*_load_pairs(pairs), *_load_policy(policy)]
    if pairs and policy:
        python += _train(policy)
    environment = _environment(published[0].endpoint, embedded)
    return "\n".join([*environment, "python - <<'END'", *python, "END"])


def _environment(endpoint: str, embedded: Path | None) -> list[str]:
    if embedded is not None:
        root = shlex.quote(str(embedded))
        return [
            f"lidr hub env --root {root} > /dev/null 2>&1 || lidr hub serve --root {root} --port 0 &",
            f"for i in $(seq 100); do lidr hub env --root {root} > /dev/null 2>&1 && break; sleep 0.2; done",
            f'eval "$(lidr hub env --root {root})"',
        ]
    if endpoint == HUGGING_FACE:
        return []
    return [
        f"export HF_ENDPOINT={shlex.quote(endpoint)} HF_HUB_DISABLE_XET=1",
        "# a cache of its own, if none is set (`lidr hub env` sets one): names are not unique across Hubs",
        'export HF_HOME="${HF_HOME:-$HOME/.cache/lidr-hub}"',
    ]


def _load_pairs(pairs: Published | None) -> list[str]:
    if pairs is None:
        return []
    return [
        "from datasets import load_dataset",
        "# the split all: every iteration; iter_1 is the first alone",
        f'pairs = load_dataset("{pairs.repo}", "all", split="all", revision="{pairs.sha}")',
        "print(pairs)",
    ]


def _load_policy(policy: Published | None) -> list[str]:
    if policy is None:
        return []
    return [
        "from transformers import AutoModelForCausalLM, AutoTokenizer",
        f'where = {{"pretrained_model_name_or_path": "{policy.repo}", "revision": "{policy.sha}"}}',
        "policy, tokenizer = AutoModelForCausalLM.from_pretrained(**where), AutoTokenizer.from_pretrained(**where)",
    ]


def _train(policy: Published) -> list[str]:
    return [
        "import torch",
        "from trl import DPOConfig, DPOTrainer",
        'settings = DPOConfig("dpo-test", max_steps=1, report_to="none", bf16=torch.cuda.is_available())',
        "DPOTrainer(policy, args=settings, train_dataset=pairs, processing_class=tokenizer).train()",
    ]
