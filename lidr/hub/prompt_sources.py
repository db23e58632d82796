"""Prompts that others publish: a small JSON file names each file by its address and sha256, so no copy of them is here.

    {"schema": 1, "local": "alpagasus", "root": "https://raw.githubusercontent.com/ORG/REPO/COMMIT",
     "languages": {"de": [{"path": "data/de.jsonl", "sha256": "0d9d..."}],
                   "en": [{"dataset": "openai/gsm8k", "path": "main/train.parquet", "rows": "gsm8k"}]}}

A language's files are put one after the other. Looked for in this order: `$LIDR_DATA/<local>/LANG.jsonl`, where it has
every language that the recipe names (its content is then what counts); `$LIDR_DATA/<path>`, a clone of that repository;
the store's downloads; the network. But for the first, nothing is used whose sha256 is another than the one written
here; a file of a Hub data set is fixed by the commit in recipe.lock.json instead.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from lidr.confined import below, why_unconfined
from lidr.errors import HubError, PlanError, RowError
from lidr.hub.allowed_addresses import AllowedAddresses
from lidr.hub.client import Target
from lidr.hub.repo_names import problem_of_repo
from lidr.hub.snapshot import DATASETS, read_file
from lidr.recipe import Recipe
from lidr.references import HubReference, parse_reference
from lidr.resources import resolve_source
from lidr.store import file_sha256, write_json
from lidr.tables import TABLE_FILES, decode, json_lines

if TYPE_CHECKING:
    import httpx

_LARGEST = 200 << 20  # bytes of one file
_LONGEST_S = 3600.0  # of one download
_LARGEST_LIST = 4 << 20  # bytes
_MOST_ROWS = 1_000_000  # of a table of questions
_HOPS = 5
_CONNECT_S = 5.0
_GOLDS_MAY_DIFFER = 0.01  # share of items whose gold answers differ between two languages


class _Part(BaseModel):
    """One file."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    path: str
    sha256: str | None = None
    dataset: str | None = None
    rows: Literal["gsm8k"] | None = None
    """gsm8k: a table of `question` and `answer` (with `#### gold` at its end), without ids."""

    @model_validator(mode="after")
    def _fixed(self) -> _Part:
        if (self.sha256 is None) == (self.dataset is None):
            raise ValueError("a file has a sha256, or a dataset, whose commit the lock holds")
        if why := why_unconfined(self.path):
            raise ValueError(f"path must stay below root: {self.path[:100]!r}: {why}")
        if self.sha256 is not None and not re.fullmatch("[0-9a-f]{64}", self.sha256):
            raise ValueError(f"sha256 {self.sha256[:100]!r}: 64 hex digits, lower case")  # it names a file of ours
        if self.dataset is not None and problem_of_repo(self.dataset):
            raise ValueError(f"dataset {self.dataset[:100]!r}: {problem_of_repo(self.dataset)}")
        return self


class PublishedPrompts(BaseModel):
    """Where somebody publishes prompts."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    schema_: Literal[1]
    what: str
    """For people: what it is, and whose."""
    license: str
    local: str
    """Folder below $LIDR_DATA that holds a copy, one LANG.jsonl a language."""
    root: str
    """Address that the paths are below."""
    golds: bool = False
    """Whether `final_answer` must be the same in every language: the rows are joined by their position."""
    languages: dict[str, Annotated[tuple[_Part, ...], Field(max_length=1000)]]

    @field_validator("local")
    @classmethod
    def _below_the_data(cls, value: str) -> str:
        if why := why_unconfined(value):
            raise ValueError(f"local must stay below $LIDR_DATA: {value[:100]!r}: {why}")
        return value

    @field_validator("root")
    @classmethod
    def _address(cls, value: str) -> str:
        if not re.fullmatch(r"https?://[^\s\\@?#]+", value) or len(value) > 2000:
            raise ValueError("root is an http or https address without user, password and query")
        return value

    def parts(self, codes: Sequence[str]) -> Iterator[tuple[str, _Part]]:
        """Language and file of everything that these languages need."""
        return ((code, part) for code in codes for part in self.languages[code])


def read_published(path: Path, codes: Sequence[str] = ()) -> PublishedPrompts:
    """Read such a file, and see that it has these languages.

    Raises:
        PlanError: it is none, or lacks a language.
    """
    try:
        if path.stat().st_size > _LARGEST_LIST:
            raise ValueError(f"larger than {_LARGEST_LIST >> 20} MiB")
        content = json.loads(path.read_text(encoding="utf-8"))
        found = PublishedPrompts.model_validate({"schema_" if k == "schema" else k: v for k, v in content.items()})
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        said = error.errors()[0] if isinstance(error, ValidationError) else None
        why = f"{'.'.join(map(str, said['loc']))}: {said['msg']}" if said else str(error)
        raise PlanError(f"prompts.source: {path} is no list of published files: {why}") from error
    if missing := [code for code in codes if code not in found.languages]:
        raise PlanError(
            f"prompts.source: {path} has no prompts in {', '.join(missing)}; it has "
            f"{', '.join(sorted(found.languages))}. Give a folder of your own with one LANG.jsonl for each language"
        )
    return found


def is_published(path: Path) -> bool:
    """Whether a file is such a list, and no array of prompts: it begins with an object."""
    if path.suffix != ".json" or not path.is_file():
        return False
    with path.open("rb") as file:
        return not file.read(1000).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"[")


def prompt_dataset(recipe: Recipe) -> HubReference | None:
    """The Hub data set that the prompts are, named as the lock names it: org/name[@revision], where no file or folder
    has that name. What ends like a file is none.
    """
    if recipe.prompts is None or recipe.prompts.source.lower().endswith(TABLE_FILES):
        return None
    path = resolve_source(recipe.prompts.source, recipe.folder)
    if path is None or path.exists():
        return None
    try:
        found = parse_reference(recipe.prompts.source)
    except ValueError:
        return None
    return HubReference(f"{DATASETS}{found.repo}", found.revision) if isinstance(found, HubReference) else None


def local_copy(published: PublishedPrompts, codes: Sequence[str]) -> Path | None:
    """The folder below $LIDR_DATA, if it has every one of these languages."""
    data = os.environ.get("LIDR_DATA")
    folder = Path(data) / published.local if data else None
    return folder if folder and all((folder / f"{code}.jsonl").is_file() for code in codes) else None


def identity_of_prompts(
    published: PublishedPrompts, codes: Sequence[str], locked: Mapping[str, str]
) -> dict[str, list[str]] | None:
    """What fixes the content of each language's file, known before anything is downloaded; None while unpinned."""
    found: dict[str, list[str]] = {f"{code}.jsonl": [] for code in codes}
    for code, part in published.parts(codes):
        fixed = part.sha256 or locked.get(f"{DATASETS}{part.dataset}")
        if fixed is None:
            return None
        found[f"{code}.jsonl"].append(fixed if part.sha256 else f"{part.dataset}@{fixed}/{part.path}")
    return found


def datasets_of(recipe: Recipe) -> list[HubReference]:
    """The Hub data sets that a recipe's prompts come from, named as the lock names them; none with a local copy."""
    path = resolve_source(recipe.prompts.source, recipe.folder) if recipe.prompts else None
    if path is None or not is_published(path):
        return []
    published = read_published(path, recipe.languages.all)
    if local_copy(published, recipe.languages.all) is not None:
        return []
    names = {part.dataset for _, part in published.parts(recipe.languages.all) if part.dataset}
    return [HubReference(f"{DATASETS}{name}") for name in sorted(names)]


def fetch_prompts(
    published: PublishedPrompts,
    codes: Sequence[str],
    locked: Mapping[str, str],
    downloads: Path,
    *,
    allowed: AllowedAddresses | None = None,
) -> Path:
    """Bring the files of these languages here, each verified.

    Args:
        downloads: folder of what was downloaded before; every file in it is named by its sha256.
        allowed: which addresses are asked for a list that came with a release; None: the user's own list.

    Returns:
        A folder with one LANG.jsonl for each language.

    Raises:
        HubError: the network or the Hub does not give a file, or gives another one.
        RowError: the gold answers of two languages disagree.
    """
    fixed = identity_of_prompts(published, codes, locked)
    assert fixed is not None
    name = hashlib.sha256(json.dumps(fixed, sort_keys=True).encode()).hexdigest()[:16]
    folder = _below(downloads, f"{published.local}-{name}")
    sums = folder / "sums.json"
    if sums.is_file() and json.loads(sums.read_text()) == {c: file_sha256(folder / f"{c}.jsonl") for c in codes}:
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    for code in codes:
        texts = [_text(published, part, locked, downloads, allowed) for part in published.languages[code]]
        lines = "".join(text if text.endswith("\n") else f"{text}\n" for text in texts)
        (folder / f"{code}.jsonl").write_text(lines, encoding="utf-8", newline="")
    if published.golds:
        _check_golds(folder, codes)
    write_json(sums, {code: file_sha256(folder / f"{code}.jsonl") for code in codes})
    return folder


def _text(
    published: PublishedPrompts,
    part: _Part,
    locked: Mapping[str, str],
    downloads: Path,
    allowed: AllowedAddresses | None,
) -> str:
    """A file's rows as JSON lines."""
    if part.dataset is None:
        path = _verified(published, part, downloads, allowed)
    else:
        path = _of_dataset(part, locked[f"{DATASETS}{part.dataset}"], allowed.hub if allowed else None)
    return _gsm8k(path) if part.rows == "gsm8k" else decode(path.read_bytes(), path)


def _below(folder: Path, name: str) -> Path:
    try:
        return below(folder, name)
    except ValueError as error:
        raise HubError(f"prompts.source: a list of published files names {error}; it is not followed") from None


def _verified(published: PublishedPrompts, part: _Part, downloads: Path, allowed: AllowedAddresses | None) -> Path:
    assert part.sha256 is not None
    data = os.environ.get("LIDR_DATA")
    cloned, kept = Path(data) / part.path if data else None, _below(downloads, part.sha256)
    if cloned is not None and cloned.is_file():
        if file_sha256(cloned) == part.sha256:
            return cloned
        raise HubError(f"{cloned}: another file than the recipe's (sha256 {part.sha256}); take it away, or restore it")
    if kept.is_file() and file_sha256(kept) == part.sha256:
        return kept
    download(f"{published.root.rstrip('/')}/{part.path}", part.sha256, kept, allowed=allowed)
    return kept


def download(url: str, sha256: str, target: Path, *, allowed: AllowedAddresses | None = None) -> None:
    """Download a file; it is there whole and verified, or not at all.

    Args:
        allowed: which addresses may be asked, each hop of a redirect; None: any, for what the user wrote.

    Raises:
        HubError: an address that may not be asked, no answer, a refusal, too large, too slow, or another sha256.
    """
    import httpx

    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with _answer(url, allowed) as answer, partial.open("wb") as file:
            answer.raise_for_status()
            found = _receive(url, answer, file)
        if found != sha256:
            raise HubError(
                f"{url}: its sha256 is {found}, not {sha256}: another file; nothing of it is used. Take the file that "
                "was meant from a copy, with --data FOLDER"
            )
        partial.replace(target)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        why = f"HTTP {error.response.status_code}" if isinstance(error, httpx.HTTPStatusError) else type(error).__name__
        raise HubError(
            f"{url}: cannot be downloaded ({why}). Try again, or download it elsewhere and set LIDR_DATA, or give "
            "--data DIR: a clone of that repository, or a folder that recipes/README.md describes"
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def _receive(url: str, answer: httpx.Response, file: BinaryIO) -> str:
    """Write the body; its sha256."""
    found, size, started = hashlib.sha256(), 0, time.monotonic()
    for chunk in answer.iter_bytes(1 << 16):
        found.update(chunk)
        size += len(chunk)
        if size > _LARGEST:
            raise HubError(f"{url}: larger than {_LARGEST >> 20} MiB; this is not the file that is wanted")
        if time.monotonic() - started > _LONGEST_S:
            raise HubError(f"{url}: not here after {_LONGEST_S / 60:.0f} minutes; try again on a faster way")
        file.write(chunk)
    return found.hexdigest()


def _patience() -> httpx.Timeout:
    """A host that is not there is said within seconds; one that answers slowly may take its time."""
    import httpx

    return httpx.Timeout(60, connect=_CONNECT_S)


@contextmanager
def _answer(url: str, allowed: AllowedAddresses | None) -> Iterator[httpx.Response]:
    """The answer to a request; for an address of others hop by hop, and without what a .netrc says of hosts."""
    import httpx

    if allowed is None:
        with httpx.stream("GET", url, follow_redirects=True, timeout=_patience()) as answer:
            yield answer
        return
    there = httpx.URL(url)
    for _ in range(_HOPS):
        ip = allowed.way_to(there)
        asked = there if ip is None else there.copy_with(host=ip)
        more: dict[str, Any] = {"headers": {"Host": there.netloc.decode("ascii")}}
        if ip is not None:
            more["extensions"] = {"sni_hostname": there.host}
        with (
            httpx.Client(timeout=_patience(), auth=httpx.Auth()) as client,
            client.stream("GET", asked, follow_redirects=False, **more) as answer,
        ):
            if not answer.has_redirect_location:
                yield answer
                return
            there = there.join(answer.headers["location"])
    raise HubError(f"{url}: more than {_HOPS} redirects; not followed")


def _of_dataset(part: _Part, commit: str, hub: Target | None) -> Path:
    return read_file(f"{DATASETS}{part.dataset}", commit, part.path, target=hub)


def _gsm8k(path: Path) -> str:
    """Rows of GSM8K as JSON lines, numbered in their order; the gold is what stands after `####`."""
    import polars as pl
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if (count := pq.ParquetFile(path).metadata.num_rows) > _MOST_ROWS:
            raise RowError(f"{path}: {count:,} rows; at most {_MOST_ROWS:,} questions are read")
        rows = pl.read_parquet(path, columns=["question", "answer"]).iter_rows()
        found = [(question, answer.rpartition("####")[2].strip()) for question, answer in rows]
    except (pl.exceptions.PolarsError, pa.ArrowException, OSError, AttributeError) as error:
        raise RowError(f"{path}: no table of question and answer, as GSM8K is: {error}") from error
    ids = [f"gsm8k_{number}" for number in range(len(found))]
    rows_ = [{"id": i, "instruction": q, "final_answer": gold} for i, (q, gold) in zip(ids, found, strict=True)]
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows_)


def _check_golds(folder: Path, codes: Sequence[str]) -> None:
    """See that rows of one number are the same item in every language: the files share no ids but these."""
    first, *others = codes
    expected = _golds(folder / f"{first}.jsonl", first)
    for code in others:
        golds = _golds(folder / f"{code}.jsonl", code)
        differ = sorted(i for i in golds.keys() & expected.keys() if golds[i] != expected[i])
        if len(differ) > _GOLDS_MAY_DIFFER * max(1, len(golds)):
            raise RowError(
                f"{folder}: {len(differ)} of {len(golds)} items have another gold answer in {code} than in {first}: "
                f"{', '.join(differ[:5])}; their rows are not in the same order, so they cannot be joined by position"
            )


def _golds(path: Path, code: str) -> dict[str, str]:
    rows = [row for _, row in json_lines(path, path.read_bytes())]
    return {str(row.get("id")).removeprefix(code): str(row.get("final_answer", "")).replace(",", "") for row in rows}
