"""Runs killed at any moment, and run again: python -m tests.faults.kills NUMBER (nothing is written).

A trial takes a store as it is before a step, begins the step, kills the process group at a moment drawn uniformly over
the time from the step's first word to the end of the process, as measured undisturbed, and runs the same command again.

    equal     the second run ended well, and all that the step made is as an undisturbed run makes it: the bytes of
              every file, its record up to the facts of execution, and of a publication what the Hub holds
    missed    anything else
"""

from __future__ import annotations

import importlib
import json
import os
import random
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from lidr.hub_server import serve_in_background
from tests.damaged_files import Trial
from tests.faults import killed_worlds as worlds
from tests.faults.forked_process import SEEN, Command
from tests.frozen import make

SIGNALS = (signal.SIGKILL,) * 8 + (signal.SIGTERM, signal.SIGINT)
ROUND = (
    *(kind for kind in worlds.KINDS if kind.world != "sampled"),
    *(kind for kind in worlds.KINDS if kind.is_real and kind.world == "model"),
)
"""One trial each; with a model in it, two."""
SAMPLED = tuple(kind for kind in worlds.KINDS if kind.world == "sampled")
"""Came later: their numbers are those after the thirtieth round."""
WANTED = 30 * (len(ROUND) + len(SAMPLED))
MOST_TRIES = 8
HEAVY = ("generate", "translate", "train", "evaluate")
IMPORTED = ("trl", "peft", "lm_eval.evaluator", "lidr.train.training_run", "lidr.engines.transformers", "lidr.cli.run")
"""In the process of the trials, which computes nothing itself: a thread of a library would not be in its forks."""


def trials(folder: Path, numbers: Sequence[int]) -> Iterator[Trial]:
    """Trials by their numbers, made in a process of its own: its Hub must be known before anything is imported."""
    judging = type("Judge", (make.Handler,), {"choice": staticmethod(make.preferred)})
    server = make.ThreadingHTTPServer(("127.0.0.1", 0), judging)
    with serve_in_background(folder / "hub") as hub, make.serving(server):
        environment = {**os.environ, **hub.environment, "OMP_NUM_THREADS": "1", "LIDR_STORE": ""}
        del environment["LIDR_STORE"]
        judge = f"http://127.0.0.1:{server.server_port}/v1"
        command = [sys.executable, "-m", "tests.faults.kills", str(folder / "worlds"), judge, json.dumps([*numbers])]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                for line in process.stdout:
                    yield Trial(**json.loads(line))
            finally:
                process.terminate()
        if process.returncode:
            raise SystemExit(f"the trials ended early: exit code {process.returncode}")


class Trials:
    """The worlds, finished once, and what killing them does."""

    def __init__(self, folder: Path, judge: str) -> None:
        self.folder = folder
        self.recipes = _in_a_fork(worlds.write_worlds, folder, judge)
        self.orders: dict[str, list[str]] = {}
        self.finished: dict[str, Path] = {}
        self.undisturbed: dict[str, Any] = {}
        self.lasts: dict[str, float] = {}
        self.seen = folder / "modules.txt"
        for name in IMPORTED:
            importlib.import_module(name)
        for world in self.recipes:
            self._finish(world)
        for kind in worlds.KINDS:
            self._measure(kind)

    def _words(self, world: str, store: Path, *more: str) -> list[str]:
        return ["run", str(self.recipes[world]), "--quiet", "--set", f"runtime.store={store}", *more]

    def _finish(self, world: str) -> None:
        """Once without disturbance: one world in processes as a user starts them, the others in forks."""
        self.finished[world] = store = self.folder / f"finished-{world}"
        words = self._words(world, store)
        if world == "scripted":
            done = subprocess.run([sys.executable, "-m", "lidr.cli.main", *words], capture_output=True, text=True)
            code, said = done.returncode, done.stderr
        else:
            command = Command(words)
            code, said = command.end(600), command.said.decode()
        if code:
            raise SystemExit(said[-3000:])
        files = sorted(store.glob(f"{world}/*/iter_*/*/record.json"), key=lambda path: path.stat().st_mtime_ns)
        self.orders[world] = ["/".join(path.parts[-3:-1]) for path in files]

    def _before(self, kind: worlds.Kind) -> Path:
        worlds.put_before(self.finished[kind.world], self.folder / "store", kind, self.orders[kind.world])
        if kind.step == "publish":
            worlds.unpublish()
        return next((self.folder / "store").glob(f"{kind.world}/*")) / kind.place

    def _command(self, kind: worlds.Kind) -> Command:
        return Command(self._words(kind.world, self.folder / "store", "--until", kind.step))

    def _measure(self, kind: worlds.Kind) -> None:
        """The step alone and undisturbed, in forks as the trials make them: how long it takes, and what comes out."""
        os.environ[SEEN] = str(self.seen)
        for _ in range(2 if kind.step in HEAVY else 1):  # the first still imports
            folder = self._before(kind)
            command = self._command(kind)
            assert command.wait_for(lambda said: f"{kind.place}: running" in said), command.said
            began = time.monotonic()
            if command.end():
                raise SystemExit(f"{kind.name}: {command.said.decode()}")
            self.lasts[kind.name] = time.monotonic() - began
            self._import_seen()
        del os.environ[SEEN]
        print(f"{kind.name}: undisturbed in {self.lasts[kind.name]:.2f} s", file=sys.stderr, flush=True)
        self.undisturbed[kind.name] = self._content(kind, folder)
        whole = next(self.finished[kind.world].glob(f"{kind.world}/*")) / kind.place
        made = _in_a_fork(worlds.content_of, whole)
        if difference := "" if kind.step == "publish" else _difference(made, self.undisturbed[kind.name]):
            raise SystemExit(f"{kind.name}: two undisturbed runs differ: {difference}")

    def _import_seen(self) -> None:
        """What workers have imported, so that the next have it."""
        names = self.seen.read_text(encoding="utf-8").split() if self.seen.exists() else []
        for name in dict.fromkeys(names):
            if name not in sys.modules and not name.startswith(("__", "tests.", "transformers_modules")):
                with suppress(Exception):  # made by somebody while it ran; only speed is lost
                    importlib.import_module(name)
        self.seen.unlink(missing_ok=True)

    def _content(self, kind: worlds.Kind, folder: Path) -> Any:
        found = _in_a_fork(worlds.content_of, folder)
        return [found, worlds.published()] if kind.step == "publish" else found

    def trial(self, number: int) -> Trial:
        """Kill once, run again, compare."""
        kind, draw = _kind(number), random.Random(f"kill {number}")
        how = draw.choice(SIGNALS)
        for _ in range(MOST_TRIES):
            moment = draw.random()
            folder = self._before(kind)
            command = self._command(kind)
            if not command.wait_for(lambda said: f"{kind.place}: running" in said):
                return Trial(kind.name, "missed", "before the kill", command.said.decode()[-1000:])
            time.sleep(moment * self.lasts[kind.name])
            if command.kill(how):
                break
            command.end()
        else:
            return Trial(
                kind.name, "missed", "no kill", f"{MOST_TRIES} times over before {self.lasts[kind.name]:.2f} s"
            )
        command.end()
        left = worlds.left_by(folder)
        where = f"{how.name} at {moment:.2f}, {left}"
        again = self._command(kind)
        if code := again.end():
            return Trial(kind.name, "missed", where, f"exit code {code}: {again.said.decode()[-1000:]}")
        now = self._content(kind, folder)
        is_equal = now == self.undisturbed[kind.name]
        said = "" if is_equal else _difference(self.undisturbed[kind.name], now)
        return Trial(kind.name, "equal" if is_equal else "missed", where, said[:1000])


def _kind(number: int) -> worlds.Kind:
    past = number - 30 * len(ROUND)
    return ROUND[number % len(ROUND)] if past < 0 else SAMPLED[past % len(SAMPLED)]


def _difference(a: Any, b: Any, at: str = "") -> str:
    """The first places where they differ."""
    if isinstance(a, dict) and isinstance(b, dict):
        keys = sorted({*a, *b}, key=str)
        return "; ".join(filter(None, (_difference(a.get(k), b.get(k), f"{at}/{k}") for k in keys)))
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return "; ".join(
            filter(None, (_difference(x, y, f"{at}/{n}") for n, (x, y) in enumerate(zip(a, b, strict=True))))
        )
    return "" if a == b else f"{at}: {str(a)[:80]} -> {str(b)[:80]}"


def _in_a_fork(work: Any, *given: Any) -> Any:
    """The result as JSON would give it; what it starts (threads of polars, torch) does not live on in this process."""
    read_fd, write_fd = os.pipe()
    if (pid := os.fork()) == 0:
        try:
            with os.fdopen(write_fd, "w", encoding="utf-8") as out:
                json.dump(work(*given), out, default=str)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(write_fd)
    with os.fdopen(read_fd, encoding="utf-8") as file:
        text = file.read()
    os.waitpid(pid, 0)
    if not text:
        raise RuntimeError(f"{work.__name__} failed")
    return json.loads(text)


def main(words: list[str]) -> None:
    """The process of the trials: each a line of JSON."""
    tried = Trials(Path(words[0]), words[1])
    for number in json.loads(words[2]):
        print(json.dumps(tried.trial(number)._asdict()), flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        main(sys.argv[1:])
    else:
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            for trial in trials(Path(folder), range(int(sys.argv[1]))):
                print(*trial, sep=" | ")
