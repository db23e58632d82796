"""Is a release what its own records say? Every file, the card, the recipe, the pins, and the commit that its tag names.

Each finding names the path that was touched. A release whose files, manifest and records were all changed together is
another release; then only what is made again tells.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Any

from lidr.errors import HubError, LidrError
from lidr.hub import Entry, Patience, content_digest, listing, patiently
from lidr.pipeline import load_recipe
from lidr.recipe import Recipe
from lidr.release import CONTENT, MANIFEST, RUN, OpenedRelease, resolved
from lidr.reproduce.released_recipe import OF_THE_PUBLISHER
from lidr.reproduce.verdict import Finding
from lidr.steps import STEPS
from lidr.store import LOCK_FILE, difference, file_sha256, fingerprint, read_contents, read_lock

LOCK = f"lidr/{LOCK_FILE}"
RECIPE = "lidr/recipe.yaml"
ATTESTATIONS = "lidr/attestations/"
_IS_NO_SETTING = re.compile(r"runtime\.|authors_compat|.*<folder>/")
"""What a reproduction sets otherwise: where it runs, and folders of the machine that published."""

_OF_MODELS = (".json", ".jinja", ".model", ".txt", ".py", ".bin", ".pt", ".pth", ".gguf")
_TEMPLATES = "additional_chat_templates/"
"""The one folder below a model that transformers looks into unasked; `default.jinja` there becomes its template."""

_SHARD = re.compile(r"-\d{5}-of-\d{5}\.parquet$")


def check_steps(release: OpenedRelease, recipe: Recipe) -> None:
    """See that each record is of a step that this lidr has, in an iteration that the recipe has.

    Raises:
        HubError: it is not.
    """
    for place, record in release.records.items():
        kind, last = STEPS.get(record.step), len(recipe.iterations)
        if kind is None or kind.writes.name != record.writes:
            raise HubError(
                f"{release.found}: {place} is the step {record.step!r} that writes {record.writes!r}, which this lidr "
                f"does not have. It was made with lidr {release.run.get('lidr')}; install that version to reproduce it"
            )
        if not 0 <= record.iteration <= last:
            raise HubError(f"{release.found}: {place}: the recipe has {last} iterations; the release is damaged")
        if lost := [name for name, said in record.inputs.items() if "place" not in said]:
            raise HubError(f"{release.found}: {place}: its input {lost[0]} names no place; the release is damaged")


def findings(release: OpenedRelease, recipe: Recipe) -> tuple[Finding, ...]:
    """Everything that is not as it was published."""
    return (
        *_files(release, recipe),
        *_rows(release),
        *_weights(release),
        *_records(release),
        *_recipe_text(release, recipe),
        *_pins(release),
        *_commit(release),
    )


def _files(release: OpenedRelease, recipe: Recipe) -> Iterator[Finding]:
    """Each file against the manifest."""
    there = {entry.path: entry for entry in release.found.entries}
    for path, said in release.manifest.items():
        entry = there.get(path)
        if entry is None:
            yield Finding(path, "is gone")
        elif entry.size != said["bytes"] or _sha256(release, entry) != said["sha256"]:
            yield Finding(path, f"has another content than {MANIFEST} says{_what(release, path, recipe)}")
    for path in there:
        is_known = path in release.manifest or path == MANIFEST or path.startswith(ATTESTATIONS)
        if not is_known and _is_read(path, release.found.repo_type):
            yield Finding(path, f"was added: {MANIFEST} does not have it")


def _is_read(path: str, repo_type: str) -> bool:
    """Whether lidr, `datasets`, transformers or vLLM would read it: a chat template, say, changes every answer."""
    if path.startswith("lidr/") or path.endswith((".parquet", ".safetensors")):
        return True
    is_looked_for = "/" not in path or path.startswith(_TEMPLATES)
    return repo_type == "model" and is_looked_for and path.endswith(_OF_MODELS)


def _sha256(release: OpenedRelease, entry: Entry) -> str:
    return entry.sha256 or file_sha256(release.folder / entry.path)


def _what(release: OpenedRelease, path: str, recipe: Recipe) -> str:
    """What of a recipe was changed, setting by setting, where it can be read."""
    if path != RECIPE:
        return ""

    try:
        changed = difference(_by_name(recipe), _by_name(load_recipe(str(release.folder / path), alone=True)))
    except LidrError:
        return ""
    kept = [line for line in changed if not _IS_NO_SETTING.match(line)]
    return f": {'; '.join(kept[:5])}" if kept else ""


def _by_name(recipe: Recipe) -> dict[str, Any]:
    """The recipe with its chain by the names of its steps."""
    return _chain_by_name(resolved(recipe))


def _chain_by_name(data: dict[str, Any]) -> dict[str, Any]:
    return {**data, "chain": {name: settings for step in data["chain"] for name, settings in step.items()}}


def _rows(release: OpenedRelease) -> Iterator[Finding]:
    """The digests in content.json against those of the manifest."""
    rows = release.content.get("rows", {})
    shards: dict[str, list[str]] = {}
    for path, said in release.manifest.items():
        if "row_digest" in said:
            shards.setdefault(_SHARD.sub("", path), []).append(said["row_digest"])
    for name, digests in shards.items():
        joined = digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
        if rows.get(name, {}).get("digest") != joined:
            yield Finding(MANIFEST, f"has another digest of the rows {name} than {CONTENT}")
    for name in rows:
        if name not in shards:
            yield Finding(MANIFEST, f"does not have the rows {name} that {CONTENT} names")
    for name, sha256 in release.content.get("weights", {}).items():
        if release.manifest.get(name, {}).get("sha256") != sha256:
            yield Finding(MANIFEST, f"has another digest of {name} than {CONTENT}")


def _weights(release: OpenedRelease) -> Iterator[Finding]:
    """The weights against the records of the steps that wrote them: what is trained again is compared with these."""
    form = "adapter" if release.content.get("form") == "adapter" else "model"
    wrote = {(file.path, file.sha256) for record in release.records.values() for file in record.files}
    for name, sha256 in release.content.get("weights", {}).items():
        if (f"{form}/{name}", sha256) not in wrote:
            yield Finding(name, f"holds other weights ({sha256[:12]}) than any record says that a step wrote")


def _records(release: OpenedRelease) -> Iterator[Finding]:
    """Each record against run.json and against its own fingerprint."""
    for step in release.run["steps"]:
        record = release.records[step["place"]]
        path = f"lidr/records/{record.place}.json"
        if (record.fingerprint, record.digest) != (step["fingerprint"], step["digest"]):
            yield Finding(path, f"has another fingerprint or digest than {RUN}")
        elif "<folder>/" not in str(record.identity) and fingerprint(record.identity) != record.fingerprint:
            yield Finding(path, "holds settings that do not have its fingerprint")


def _recipe_text(release: OpenedRelease, recipe: Recipe) -> Iterator[Finding]:
    """The recipe's text against its digest in run.json, and what was written against what it was resolved to."""
    said = release.run.get("recipe_sha256")
    text = (release.folder / RECIPE).read_bytes() if (release.folder / RECIPE).is_file() else b""
    if release.run.get("recipe_is_verbatim") and text and hashlib.sha256(text).hexdigest() != said:
        yield Finding(RECIPE, f"has another sha256 than {RUN} says")
    resolved_then = _chain_by_name(release.run["resolved"])
    if resolved_then.get("policy", {}).get("dtype") == "auto":  # the recipe here has what a record says it stood for
        resolved_then["policy"] = {**resolved_then["policy"], "dtype": recipe.policy.dtype}
    lines = difference(resolved_then, _by_name(recipe))
    brought = {str(file["setting"]) for file in release.run.get("files", [])}
    lines = [line for line in lines if line.split(":")[0] not in brought and not _IS_NO_SETTING.match(line)]
    lines = [line for line in lines if OF_THE_PUBLISHER not in line]
    if lines:
        yield Finding(RUN, f"resolves the recipe otherwise than it was written: {'; '.join(lines[:5])}")


def _pins(release: OpenedRelease) -> Iterator[Finding]:
    """The lock against the commits that the records say were read, and against what a Hub has there."""
    folder = release.folder / "lidr"
    try:
        locked, contents = read_lock(folder), read_contents(folder)
    except LidrError as error:
        said = str(error).removeprefix(f"{folder / LOCK_FILE}: ").split("; remove")[0]
        yield Finding(LOCK, f"is no lock that can be read: {said}")
        return
    used = set(_revisions([record.identity.get("outside", {}) for record in release.records.values()]))
    for repo, sha in locked.items():
        if used and not any(sha in text for text in used):
            yield Finding(LOCK, f"pins {repo} to {sha}, and no record says that this commit was read")
    for name, content in contents.items():
        repo, _, sha = name.partition("@")
        try:
            there = content_digest(listing(repo, sha, target=release.found.target))
        except HubError:
            continue  # said where the model is needed: it cannot be had here
        if there != content.digest:
            yield Finding(LOCK, f"holds another content of {name} ({content.digest[:12]}) than the Hub ({there[:12]})")


def _revisions(value: Any) -> Iterator[str]:
    """Every text in what steps read from outside that holds a commit."""
    if isinstance(value, str):
        if re.search(r"(?<![0-9a-f])[0-9a-f]{40}(?![0-9a-f])", value):
            yield value
    elif isinstance(value, dict):
        for child in value.values():
            yield from _revisions(child)
    elif isinstance(value, list):
        for child in value:
            yield from _revisions(child)


def _commit(release: OpenedRelease) -> Iterator[Finding]:
    """A release's tag names the commit that lidr made; its description holds the digest of the content."""
    found, tag = release.found, release.run["tag"]
    if found.requested != tag:
        return
    commits = patiently(
        lambda: found.target.api().list_repo_commits(found.name, repo_type=found.repo_type, revision=found.sha),
        what=found.name,
        target=found.target,
        patience=Patience(tries=3),
    )
    if not commits:
        yield Finding(f"tag {tag}", "has no commits that the Hub tells of")
        return
    head = commits[0]
    digest = hashlib.sha256((release.folder / CONTENT).read_bytes()).hexdigest()
    if not head.title.startswith(f"{tag}: ") or digest not in f"{head.title}\n{head.message}":
        first = next((c for c in commits if c.title.startswith(f"{tag}: ")), None)
        was = f"; the release was committed as {first.commit_id}" if first else ""
        yield Finding(f"tag {tag}", f'was moved: it names {found.sha}, "{head.title}"{was}')
