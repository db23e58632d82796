"""Releases that somebody changed at random: types swapped, nesting without end, huge numbers, torn tables.

python -m tests.reproduce.damage FOLDER [FIRST] [COUNT]      by hand, over a release that lies in FOLDER
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lidr.errors import LidrError
from lidr.hub.client import Target
from lidr.hub.snapshot import Entry

REFERENCE = "lidr/others@v0.1.0"
LONGEST_S = 20
"""Of CPU time: other work on the machine says nothing of a release."""
READERS = 34
"""What reads it depends on the seed: see `read`."""
SHOWN = ("pair_id", "language", "chosen_text", "margin")
RAW = {
    "deep": "[" * 10_000 + "]" * 10_000,
    "deep objects": '{"a":' * 10_000 + "1" + "}" * 10_000,
    "a little deep": "[" * 600 + "]" * 600,
    "huge": "1" + "0" * 400,
    "huger": "1" + "0" * 6000,
    "infinite": "1e999",
    "no number": "NaN",
    "half": '"\\ud800"',
    "nothing": '"\\u0000"',
    "long": '"' + "x" * 200_000 + '"',
    "many": "[" + ",".join(["1"] * 50_000) + "]",
}
PLAIN: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 10**18, 0.5, -1e308, "", " ", "x", "../../../../outside", "/etc/passwd",
    "a\nb", "iter_1/prompts", "iter_1/pair", "iter_0/policy", "iter_99/pair", "iter_1/../../x", "lidr/others",
    "openai:m@http://127.0.0.1:9/v1", "run:x/iter_1/train", "~/x", "$LIDR_DATA/../x", "(a+)+$", "*" * 50, "de",
    "0:9999999", [], {}, [None], [[]], {"": None}, {"place": "iter_1/pair"}, ["x"] * 3,
    {"value": 1, "provenance": "ours"},
)  # fmt: skip


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in plain data."""
    yield at
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from places(child, (*at, key))


def changed_json(content: Any, draw: random.Random) -> str:
    """The data with one place changed, as JSON."""
    at = draw.choice([*places(content)][1:] or [()])
    if not at:
        return draw.choice([*RAW.values(), "", "nul", "[]", "{}"])
    parent = content
    for key in at[:-1]:
        parent = parent[key]
    kind, old = draw.choice(("delete", "plain", "plain", "raw", "swap", "twice", "rename")), parent[at[-1]]
    token = ""
    if kind == "delete":
        del parent[at[-1]]
    elif kind == "raw":
        token = draw.choice([*RAW.values()])
        parent[at[-1]] = "TOKEN-HERE"
    elif kind == "swap":
        parent[at[-1]] = {str: [old], list: {"0": old}, dict: [old], int: str(old)}.get(type(old), [old])
    elif kind == "twice" and isinstance(old, list):
        parent[at[-1]] = old * draw.choice((2, 50))
    elif kind == "rename" and isinstance(parent, dict):
        parent[draw.choice(("", "x", "../x", "\0", "__class__", "$ref"))] = parent.pop(at[-1])
    else:
        parent[at[-1]] = draw.choice(PLAIN)
    return json.dumps(content).replace('"TOKEN-HERE"', token) if token else json.dumps(content)


def change_text(path: Path, draw: random.Random) -> None:
    """One line of a text changed, doubled, taken out or made strange."""
    lines = path.read_bytes().split(b"\n")
    at = draw.randrange(len(lines))
    strange = (
        b"", b"\xff\xfe\x00", b"a: &a [*a]", b"? [x]", b"- " * 5000, b"{" * 5000, b"base: ../../../../etc/passwd",
        b'{"match": "(a+)+$", "text": "x"}', b'{"match": "x", "delay_s": 1e999}', b"seed: !!int abc",
        b"seed: 1" + b"0" * 5000, b'{"id": 1' + b"0" * 5000 + b"}", b"---", b"x: !!python/object:os.system []",
        b"chain: []", b"iterations: {max: 1e99}",
    )  # fmt: skip
    kind = draw.randrange(4)
    lines[at : at + 1] = ([draw.choice(strange)], [lines[at]] * 2, [], [lines[at][: len(lines[at]) // 2]])[kind]
    replace(path, b"\n".join(lines))


def change_table(path: Path, draw: random.Random) -> None:
    """A Parquet file torn, flipped, or holding another table."""
    kind, data = draw.randrange(6), bytearray(path.read_bytes())
    if not data:
        return  # torn by an earlier change
    if kind == 0:
        replace(path, bytes(data[: draw.randrange(len(data))]))
        return
    if kind == 1:
        for _ in range(draw.choice((1, 1, 8))):
            data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        replace(path, bytes(data))
        return
    table = pq.read_table(path)
    name = draw.choice(table.schema.names)
    at = table.schema.names.index(name)
    if kind == 2:
        table = table.drop_columns([name])
    elif kind == 3:
        table = pa.concat_tables([table] * draw.choice((2, 3000)))
    elif kind == 4:
        odd = draw.choice((None, 1, "x", "../../x", [1], {"a": 1}, 1e300, b"\xff"))
        table = table.set_column(at, name, pa.array([odd] * table.num_rows))
    else:
        table = table.rename_columns([draw.choice(("x", name)) for _ in table.schema.names])
    path.unlink()
    pq.write_table(table, path)


def replace(path: Path, data: bytes) -> None:
    """Write over a file that may be linked elsewhere."""
    path.unlink()
    path.write_bytes(data)


def change_any(path: Path, draw: random.Random) -> None:
    """A file that is gone, empty, noise, of another encoding, or a folder."""
    kind, data = draw.randrange(6), path.read_bytes()
    path.unlink()
    if kind == 1:
        path.write_bytes(b"")
    elif kind == 2:
        path.write_bytes(draw.randbytes(300))
    elif kind == 3:
        path.write_bytes(b"\xff\xfe" + data.decode("utf-8", "replace").encode("utf-16-le"))
    elif kind == 4:
        path.mkdir()
    elif kind == 5:
        path.write_bytes(data.replace(b"1", b"9" * draw.choice((1, 30))))


def damage(folder: Path, draw: random.Random) -> list[str]:
    """Change one to three files of a release; what was changed."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    told = []
    for _ in range(draw.choice((1, 1, 2, 3))):
        weights = [5 if path.name == "run.json" else 1 for path in files]
        path = draw.choices(files, weights)[0]
        if not path.is_file():
            continue
        told.append(path.relative_to(folder).as_posix())
        if draw.random() < 0.12:
            change_any(path, draw)
        elif path.suffix == ".json":
            with contextlib.suppress(ValueError):
                replace(path, changed_json(json.loads(path.read_text()), draw).encode())
        elif path.suffix == ".parquet":
            with contextlib.suppress(pa.ArrowException, OSError):
                change_table(path, draw)
        else:
            change_text(path, draw)
    return told


class Offline:
    """A Hub that has one release, without a server: what is asked is answered from a folder."""

    def __init__(self, folder: Path, sha: str) -> None:
        self.folder, self.sha = folder, sha

    def repo_info(self, name: str, *, repo_type: str, revision: str | None) -> Any:
        """The commit, of a data set."""
        from huggingface_hub.errors import RepositoryNotFoundError

        if repo_type != "dataset" or name != "lidr/others":
            response = SimpleNamespace(headers={}, request=None, status_code=404)
            raise RepositoryNotFoundError("no", response=response)  # type: ignore[arg-type]
        return SimpleNamespace(sha=self.sha)

    def list_repo_commits(self, *words: Any, **named: Any) -> list[Any]:
        """One."""
        return [SimpleNamespace(title="v0.1.0: x", message="", commit_id=self.sha)]

    def list_models(self, **named: Any) -> list[Any]:
        """None."""
        return []

    def list_datasets(self, **named: Any) -> list[Any]:
        """The release itself."""
        return [SimpleNamespace(id="lidr/others")]

    def whoami(self) -> dict[str, str]:
        """Somebody."""
        return {"name": "somebody"}

    def create_commit(self, name: str, operations: Any, **named: Any) -> Any:
        """An attestation: one file in its folder, and JSON."""
        (operation,) = operations
        assert operation.path_in_repo.startswith("lidr/attestations/")
        json.loads(operation.path_or_fileobj)
        return SimpleNamespace(oid=self.sha)

    def listed(self, repo: str, sha: str, *, target: Any = None) -> list[Entry]:
        """The files of the folder."""
        from lidr.errors import HubError

        if repo != "datasets/lidr/others":
            raise HubError(f"{repo}: not there")
        found = sorted(path for path in self.folder.rglob("*") if path.is_file())
        return [
            Entry(
                p.relative_to(self.folder).as_posix(), p.stat().st_size, hashlib.sha256(p.read_bytes()).hexdigest(), "0"
            )
            for p in found
        ]

    def download(self, repo: str, sha: str, patterns: Any, target: Any, into: Path | None) -> Path:
        """The folder itself, or a copy of it."""
        if into is None:
            return self.folder
        shutil.rmtree(into, ignore_errors=True)
        shutil.copytree(self.folder, into, copy_function=os.link)
        return into


def read(how: int, reference: str, work: Path) -> str:
    """Have one of lidr's readers read it; what came out."""
    from lidr.cli.reproduce import show
    from lidr.lineage import lineage, svg
    from lidr.preferences import PairQuery, census, open_pairs, pair_batches
    from lidr.release import find, open_release
    from lidr.reproduce import ReproductionRequest, attest, reproduce
    from lidr.reproduce.duplicate_rows import repeated
    from lidr.reproduce.released_recipe import recipe_of
    from lidr.reproduce.self_checks import check_steps, findings

    target = Target("http://127.0.0.1:9")
    how %= READERS
    if how == 0:
        done = reproduce(reference, work, endpoint=target.endpoint)
        json.dumps(done.as_json(), allow_nan=True)
        show(done)
        return f"{done.kind} {attest(done)}"
    if how < 4 or how >= 32:
        wanted = ReproductionRequest(until="prompts", start="prompts")
        done = reproduce(reference, work, wanted, endpoint=target.endpoint)
        if how < 32:
            return done.kind
        show(done)
        return f"{done.kind} {attest(done)}"
    if how < 14:
        release = open_release(find(reference, target), work)
        recipe = recipe_of(release, work)
        check_steps(release, recipe)
        return str(len([*findings(release, recipe), *repeated(release, recipe)]))
    if how < 20:
        graph = lineage(reference, target, work)
        return f"{len(graph.text())} {len(svg(graph))}"
    if how < 26:
        graph = lineage(f"{reference}/1/p1/en-es/dominant", target, work)
        return f"{len(graph.text())} {len(svg(graph))}"
    source = open_pairs(f"lidr/others@{hashlib.sha1(str(work).encode()).hexdigest()}")
    return (
        f"{len(census(source, PairQuery()).wanted)} {sum(batch.num_rows for batch in pair_batches(source, 200, SHOWN))}"
    )


def read_offline(work: Path, patch: pytest.MonkeyPatch, wanted: Any) -> Any:
    """Reproduce what lies in `work`/hub."""
    from lidr.reproduce import reproduce

    _go_offline(work, patch)
    return reproduce(REFERENCE, work / "made", wanted, endpoint="http://127.0.0.1:9")


def _go_offline(work: Path, patch: pytest.MonkeyPatch) -> None:
    hub = Offline(work / "hub", hashlib.sha1(str(work / "made").encode()).hexdigest())
    patch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(work / "cache"))
    patch.setattr(Target, "api", lambda self: hub)
    patch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    patch.setenv("HF_TOKEN", "nobody's")
    patch.setattr("lidr.hub.snapshot.listed", hub.listed)
    patch.setattr("lidr.hub.snapshot._download", hub.download)


def too_long(number: int, frame: Any) -> None:
    """End what takes too long."""
    raise TimeoutError(f"more than {LONGEST_S} s")


def try_one(base: Path, work: Path, seed: int, patch: pytest.MonkeyPatch) -> str | None:
    """Damage a copy and read it; None when it ended as it should, else what happened."""
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(base, work / "hub", copy_function=os.link)
    draw = random.Random(seed)
    told = damage(work / "hub", draw)
    place = work / "made"
    _go_offline(work, patch)
    before = signal.signal(signal.SIGVTALRM, too_long)
    signal.setitimer(signal.ITIMER_VIRTUAL, LONGEST_S)
    started = time.process_time()
    try:
        read(seed, REFERENCE, place)
    except LidrError:
        pass
    except (Exception, pa.ArrowException) as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        ours = [f for f in traceback.extract_tb(error.__traceback__) if "/lidr/" in f.filename][-3:]
        way = " < ".join(f"{Path(f.filename).name}:{f.lineno}" for f in reversed(ours))
        return f"seed {seed} ({', '.join(told)}): {type(error).__name__}: {str(error)[:150]} at {way} {where.name}"
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
    written = [path for path in work.iterdir() if path.name not in ("hub", "made", "cache")]
    slow = time.process_time() - started
    if written or slow > 10:
        return f"seed {seed} ({', '.join(told)}): wrote {written}, took {slow:.1f} s"
    return None


def main(words: list[str], say: Callable[[str], None] = print) -> int:
    """Try many by hand."""
    base, first, count = Path(words[0]), int(words[1]), int(words[2])
    found, started, spent = 0, time.monotonic(), [0.0] * READERS
    with pytest.MonkeyPatch.context() as patch:
        for seed in range(first, first + count):
            before = time.monotonic()
            if odd := try_one(base, base.parent / "tried", seed, patch):
                found += 1
                say(odd)
            spent[seed % READERS] += time.monotonic() - before
    say(f"{count} tried in {time.monotonic() - started:.0f} s, {found} ended as nothing should")
    say(f"seconds by reader: {', '.join(f'{seconds:.0f}' for seconds in spent)}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
