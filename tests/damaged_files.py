"""A thousand damaged files: python -m tests.prove faults (or python -m tests.damaged_files NUMBER, nothing written).

The store is the one of tests/frozen, twice: as that commit wrote it, and with its records, journal and cache of
judgements as this lidr writes them. Each trial damages one file, uses what it belongs to, and puts the file back:

    found       an error of lidr's own names the file, before anything of it is used
    harmless    what is read is what was read before: white space, a memory that is made again, a torn last line
    unsealed    of an earlier lidr, whose records have no checksum: the rows are those of before, and the record says
                something else of how they were made; no later reader can know
    missed      anything else: an error of another kind, or other content
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from lidr.errors import EvaluationError, StoreError
from lidr.evals.judge.judge_cache import Cache
from lidr.store.artifact import open_artifact
from lidr.store.index_file import INDEX_FILE
from lidr.store.journal import Journal
from lidr.store.record import read_record, write_record
from lidr.store.sealed_json import read_sealed, write_json
from lidr.store.store import Store, partial_identity

FROZEN = Path(__file__).parent / "frozen"
COMMAND_EVERY = 25  # trials of an artifact; `lidr plan` of its recipe must find it, too
KEYS = [f"{number:064x}" for number in range(300)]
ADDED = ("data/00001.parquet", "data/x.parquet", "model/adapter_config.json", "model/model-2.safetensors")
JOURNAL = "half-generate/0.1.0/iter_1/generate.partial"


class Trial(NamedTuple):
    """What became of one damage."""

    kind: str
    outcome: str
    where: str
    said: str


class World:
    """Both stores, and what is in them when all is whole."""

    def __init__(self, folder: Path) -> None:
        """Copy and convert."""
        self.root = folder
        for name in ("old", "new"):
            shutil.copytree(FROZEN, folder / name, ignore=shutil.ignore_patterns("__pycache__", ".hub"))
        new = folder / "new/store"
        for path in sorted(new.rglob("record.json")):
            record = read_record(path.parent)
            assert record is not None
            write_record(path.parent, record)
        for path in [*new.glob("*/*/run.json"), *new.rglob("identity.json")]:
            write_json(path, read_sealed(path), sealed=True)
        journal = new / JOURNAL / "work/answers.jsonl"
        with Journal(journal) as old:
            rows = dict(old.rows)
        journal.unlink()
        with Journal(journal) as again:
            for number in range(40):
                for key, row in rows.items():
                    again.add(f"{key}/{number}", row)
        (new / ".judge.sqlite").unlink()
        with Cache(new / ".judge.sqlite") as cache:
            cache.put_many([(key, json.dumps({"answer": n, "text": "y" * 90}), "j") for n, key in enumerate(KEYS)])
        self.artifacts = {name: self._artifacts(folder / name / "store") for name in ("old", "new")}

    def _artifacts(self, store: Path) -> list[Path]:
        return [path.parent for path in sorted(store.glob("*/*/iter_*/*/record.json"))]

    def store(self, name: str) -> Store:
        return Store(self.root / name / "store")


def content(folder: Path) -> dict[str, Any]:
    """All that a user of an artifact is given: every table, every file, and its record."""
    artifact = open_artifact(folder)
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in artifact.verified()}
    rows = {part: artifact.read(part).to_pylist() for part in ("data", "dropped") if artifact.tables_of(part)}
    return {"files": files, "rows": rows, "record": asdict(artifact.record)}


@contextmanager
def put_back(*paths: Path) -> Iterator[None]:
    """Whatever is done to these files, or beside them, is undone."""
    was = {path: path.read_bytes() if path.is_file() else None for path in paths}
    try:
        yield
    finally:
        for path, data in was.items():
            if data is None:
                path.unlink(missing_ok=True)
            else:
                path.write_bytes(data)


def with_times(path: Path, data: bytes) -> None:
    """Write as a tool that puts the time of change back."""
    status = path.stat()
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def flipped(data: bytes, rng: random.Random) -> bytes:
    offset = rng.randrange(len(data))
    return data[:offset] + bytes([data[offset] ^ (1 << rng.randrange(8))]) + data[offset + 1 :]


def sector(data: bytes, rng: random.Random) -> bytes:
    """512 bytes, or a tenth of a smaller file, are NULs or noise."""
    size = min(512, max(1, len(data) // 10))
    start = rng.randrange(len(data) - size + 1)
    return data[:start] + (bytes(size) if rng.random() < 0.5 else rng.randbytes(size)) + data[start + size :]


BYTES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "flipped bit": flipped,
    "lost sector": sector,
    "cut": lambda data, rng: data[: rng.randrange(len(data))],
    "appended": lambda data, rng: data + rng.randbytes(rng.randrange(1, 100)),
}


def file_of(folder: Path, rng: random.Random) -> Path:
    record = read_record(folder)
    assert record is not None
    return folder / rng.choice([entry.path for entry in record.files if entry.bytes])


def damage_bytes(kind: str) -> Callable[[World, Path, random.Random], tuple[Path, ...]]:
    def damage(world: World, folder: Path, rng: random.Random) -> tuple[Path, ...]:
        path = file_of(folder, rng)
        with_times(path, BYTES[kind](path.read_bytes(), rng))
        return (path,)

    return damage


def exchange(world: World, folder: Path, rng: random.Random) -> tuple[Path, ...]:
    """A whole file of another artifact in its place."""
    path = file_of(folder, rng)
    others = [one for one in folder.parents[3].glob(f"*/*/iter_*/*/**/*{path.suffix}") if one.is_file()]
    others = [one for one in others if one.read_bytes() != path.read_bytes()]
    with_times(path, rng.choice(others).read_bytes() if others else b"x")
    return (path,)


def add(world: World, folder: Path, rng: random.Random) -> tuple[Path, ...]:
    """One more shard, or a file that a loader of models looks for."""
    (path := folder / rng.choice(ADDED)).parent.mkdir(exist_ok=True)
    shutil.copy(file_of(folder, rng), path)
    return (path,)


def lose(world: World, folder: Path, rng: random.Random) -> tuple[Path, ...]:
    (path := file_of(folder, rng)).unlink()
    return (path,)


def flip_record(world: World, folder: Path, rng: random.Random) -> tuple[Path, ...]:
    path = folder / "record.json"
    with_times(path, flipped(path.read_bytes(), rng))
    return (path,)


def alter_record(world: World, folder: Path, rng: random.Random) -> tuple[Path, ...]:
    """Another value for one of its leaves, as an editor would write it."""
    path = folder / "record.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    leaves = [*_leaves(record)]
    at, key = rng.choice(leaves)
    value = at[key]
    at[key] = (
        not value if isinstance(value, bool) else value + 1 if isinstance(value, int | float) else f"{value or ''}0"
    )
    path.write_text(json.dumps(record, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return (path,)


def _leaves(value: Any) -> Iterator[tuple[Any, Any]]:
    for key, child in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(child, dict | list):
            yield from _leaves(child)
        else:
            yield value, key


DAMAGES: dict[str, Callable[[World, Path, random.Random], tuple[Path, ...]]] = {
    **{kind: damage_bytes(kind) for kind in BYTES},
    "exchanged": exchange,
    "added": add,
    "lost": lose,
    "record: flipped bit": flip_record,
    "record: altered value": alter_record,
}


def of_artifact(world: World, kind: str, number: int, rng: random.Random) -> Trial:
    """Damage an artifact, look at it as a plan does, and read it as its users do."""
    store = rng.choice(["old", "new"])
    folder = rng.choice(world.artifacts[store])
    was = content(folder)
    record = read_record(folder)
    assert record is not None
    index = world.root / store / "store" / INDEX_FILE
    beside = [folder / entry.path for entry in record.files]
    extra = [folder / name for name in ADDED]
    with put_back(*beside, *extra, folder / "record.json", index):
        paths = DAMAGES[kind](world, folder, rng)
        outcome, said = _used(lambda: world.store(store).check(folder), lambda: content(folder), was, paths)
        if outcome == "harmless" and content(folder)["record"] != was["record"]:
            sealed = store == "new"
            outcome = "missed" if sealed or content(folder)["rows"] != was["rows"] else "unsealed"
        if outcome == "found" and number % COMMAND_EVERY == 0 and folder.parents[2].name in ("frozen", "mix"):
            outcome, said = _planned(world.root / store, folder)
    for path in extra:
        if path.parent.is_dir() and not any(path.parent.iterdir()):
            path.parent.rmdir()
    return Trial(kind, outcome, f"{store} {paths[0].relative_to(world.root / store / 'store')}", said)


def _used(plan: Callable[[], Any], use: Callable[[], Any], was: Any, paths: tuple[Path, ...]) -> tuple[str, str]:
    """The plan's look and the use must agree: both name the file, or what is used is what was there."""
    said = []
    for look in (plan, use):
        try:
            look()
        except StoreError as error:
            said.append(str(error))
        except Exception as error:
            return "missed", f"{type(error).__name__}: {error}"
    if not said:
        now = use()
        same = now["files"] == was["files"] and now["rows"] == was["rows"] if isinstance(now, dict) else now == was
        return ("harmless", "") if same else ("missed", "other content")
    names = len(said) == 2 and all(str(paths[0]) in text or str(paths[-1].parent) in text for text in said)
    return ("found" if names else "missed"), said[0]


def _planned(folder: Path, damaged: Path) -> tuple[str, str]:
    """`lidr plan` of the recipe names the step as damaged, or as made by other settings."""
    import contextlib
    import io

    from lidr.cli.main import main

    out, here = io.StringIO(), Path.cwd()
    was = os.environ.get("LIDR_STORE")
    os.chdir(folder)
    os.environ["LIDR_STORE"] = "store"
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
            code = main(["plan", f"{damaged.parents[2].name}.yaml", "--json"])
    finally:
        os.chdir(here)
        if was is None:
            del os.environ["LIDR_STORE"]
        else:
            os.environ["LIDR_STORE"] = was
    steps = json.loads(out.getvalue())["steps"] if code == 0 else []
    place = f"{damaged.parent.name}/{damaged.name}"
    states = [step["state"] for step in steps if step["place"] == place]
    return ("found", "lidr plan") if states in (["damaged"], ["drifted"]) else ("missed", f"lidr plan: {states}")


def of_journal(world: World, kind: str, number: int, rng: random.Random) -> Trial:
    """A journal, opened to go on with it: a row of before as it was, or an error that names the line."""
    path = world.root / "new/store" / JOURNAL / "work/answers.jsonl"
    data = path.read_bytes()
    with Journal(path) as journal:
        rows = dict(journal.rows)
    with put_back(path):
        if kind == "journal: torn or NUL tail":
            path.write_bytes(data[: rng.randrange(len(data) + 1)] + bytes(rng.randrange(10_000)))
        else:
            path.write_bytes((sector if kind == "journal: lost sector" else flipped)(data, rng))
        try:
            with Journal(path) as journal:
                kept = dict(journal.rows)
            is_sound = all(rows.get(key) == row for key, row in kept.items())
            lost = len(rows) - len(kept)
            # what is not kept must be the tail, and is asked again
            is_tail = list(kept) == list(rows)[: len(kept)] and (lost <= 1 or kind == "journal: torn or NUL tail")
            outcome, said = ("harmless" if is_sound and is_tail else "missed"), f"{lost} rows are made again"
        except StoreError as error:
            said = str(error)
            outcome = "found" if f"{path}:" in said else "missed"
        except Exception as error:
            outcome, said = "missed", f"{type(error).__name__}: {error}"
    return Trial(kind, outcome, "new journal", said)


def of_sealed(world: World, kind: str, number: int, rng: random.Random) -> Trial:
    """What a try began, and run.json."""
    store = world.root / "new/store"
    path = store / "frozen/0.1.0/run.json" if kind.startswith("run") else store / JOURNAL / "identity.json"
    was = read_sealed(path)
    with put_back(path):
        with_times(path, flipped(path.read_bytes(), rng))
        try:
            now = read_sealed(path) if kind.startswith("run") else partial_identity((store / JOURNAL).with_suffix(""))
            same = {k: v for k, v in (now or {}).items() if k in was} == was
            outcome, said = ("harmless" if same else "missed"), ""
        except (StoreError, ValueError) as error:
            outcome, said = "found", str(error)
        except Exception as error:
            outcome, said = "missed", f"{type(error).__name__}: {error}"
    return Trial(kind, outcome, path.name, said)


def of_memory(world: World, kind: str, number: int, rng: random.Random) -> Trial:
    """The store's index: damaged or not, what is whole is whole, and what is damaged is found."""
    folder, store = rng.choice(world.artifacts["new"]), world.store("new")
    store.check(folder)
    index = store.root / INDEX_FILE
    if not index.is_file():
        index.write_bytes(b"\0" * 8192)
    path = file_of(folder, rng)
    with put_back(index, path):
        index.write_bytes(flipped(index.read_bytes(), rng))
        try:
            store.check(folder)
            with_times(path, flipped(path.read_bytes(), rng))
            try:
                store.check(folder)
                outcome, said = "missed", "a damaged file beside a damaged index"
            except StoreError as error:
                outcome, said = "harmless", str(error)
        except Exception as error:
            outcome, said = "missed", f"{type(error).__name__}: {error}"
    return Trial(kind, outcome, INDEX_FILE, said)


def of_judge(world: World, kind: str, number: int, rng: random.Random) -> Trial:
    """The cache of judgements: an answer of before, none, or an error."""
    path = world.root / "new/store/.judge.sqlite"
    with Cache(path) as cache:
        was = cache.get_many(KEYS)
    sides = [path.with_name(path.name + end) for end in ("-wal", "-shm")]
    with put_back(path, *sides):
        path.write_bytes((sector if rng.random() < 0.3 else flipped)(path.read_bytes(), rng))
        try:
            with Cache(path) as cache:
                now = cache.get_many(KEYS)
            is_sound = all(was.get(key) == answer for key, answer in now.items())
            outcome, said = ("harmless" if is_sound else "missed"), f"{len(was) - len(now)} answers are asked again"
        except EvaluationError as error:
            outcome, said = "found", str(error)
        except Exception as error:
            outcome, said = "missed", f"{type(error).__name__}: {error}"
    return Trial(kind, outcome, path.name, said)


KINDS: dict[str, Callable[[World, str, int, random.Random], Trial]] = {
    **dict.fromkeys(DAMAGES, of_artifact),
    "journal: flipped bit": of_journal,
    "journal: lost sector": of_journal,
    "journal: torn or NUL tail": of_journal,
    "identity of a try: flipped bit": of_sealed,
    "run.json: flipped bit": of_sealed,
    "index: flipped bit": of_memory,
    "judgements: flipped bit": of_judge,
}


def trials(folder: Path, numbers: Iterable[int]) -> Iterator[Trial]:
    """Trials by their numbers: each has a seed of its own, so that those of a number are the same anywhere."""
    world = World(folder)
    names = list(KINDS)
    for number in numbers:
        kind = names[number % len(names)]
        yield KINDS[kind](world, kind, number, random.Random(f"damage {number}"))


def main(count: int) -> int:
    """Run the first trials and tell of them."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        found = [*trials(Path(folder), range(count))]
    for (kind, outcome), n in sorted(Counter((trial.kind, trial.outcome) for trial in found).items()):
        print(f"{kind:32} {outcome:10} {n}")
    missed = [trial for trial in found if trial.outcome == "missed"]
    for trial in missed:
        print(trial)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
