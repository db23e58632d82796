"""What an artifact was made from, against what a plan would make it from now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lidr.pipeline.planned import PlannedStep
from lidr.store import Record, by_rules_of, difference


def drift_of(old: Mapping[str, Any], step: PlannedStep) -> tuple[str, ...]:
    """What differs, field by field; an input that is made by other settings is named, not its hashes.

    Other rules are no drift: the user changed nothing.
    """
    lines = difference(old, by_rules_of(old, step.identity or {}))
    inputs = [line.split(":")[0].removeprefix("inputs.") for line in lines if line.startswith("inputs.")]
    return (
        *(_in_words(line) for line in lines if not line.startswith("inputs.")),
        *(f"its input {name} ({step.inputs.get(name, 'no longer read')}) is another" for name in inputs),
    )


def _in_words(line: str) -> str:
    """A field, or what the step reads beside its inputs: files, commits, a server."""
    return f"what it reads has changed: {line.removeprefix('outside.')}" if line.startswith("outside.") else line


def other_inputs(
    recorded: Mapping[str, Mapping[str, str]], digests: Mapping[str, str | None], step: PlannedStep
) -> tuple[str, ...]:
    """Which inputs were made again since, by the same settings but with other content.

    Two runs of the same settings can differ: a server answers otherwise, a GPU rounds otherwise.
    """
    return tuple(
        f"its input {name} ({step.inputs[name]}) was made again and has other content"
        for name, digest in digests.items()
        if digest is not None and recorded[name]["digest"] != digest
    )


def describe(record: Record) -> dict[str, str]:
    """What an artifact's record says of one of its inputs."""
    return {"place": record.place, "fingerprint": record.fingerprint, "digest": record.digest}
