"""Running tests on a changed copy of the project, many times and fast.

The copy lies in a temporary folder; the working tree is never written. Packages that take long to load are loaded once,
in this process, which never loads lidr; each trial is a fork of it that loads lidr and the tests from the copy.
"""

from __future__ import annotations

import compileall
import contextlib
import importlib
import importlib.util
import json
import os
import shutil
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pytest
from hypothesis import Phase, settings

ROOT = Path(__file__).parents[2]
_COPIED = ("lidr", "tests", "recipes", "hub_cards", "evals", "docs", "pyproject.toml", "README.md", "CHANGELOG.md")
_LOADED_ONCE = (
    "numpy", "pydantic", "yaml", "jinja2", "httpx", "polars", "pyarrow.parquet", "datasets",
    "huggingface_hub", "lingua", "torch", "transformers", "starlette.applications", "uvicorn", "psutil",
)  # fmt: skip
_OPTIONS = ["-x", "-q", "--timeout=60", "-p", "no:cacheprovider", "-p", "no:xdist"]
_OPTIONS += ["-W", "ignore:Module already imported"]  # by this process, so that pytest cannot rewrite it
_PASSED, _NO_TESTS = 0, 5
_ELSEWHERE, _BROKEN = 70, 71  # exit status: the trial ran on another lidr than the copy's; it did not come to its tests


class Trial(NamedTuple):
    """How the tests went: `passed`, `failed` (`by` names the first test that did), or out of `time`."""

    outcome: str
    by: str | None
    seconds: float


class WorkCopy:
    """A copy of the project in which one module at a time is changed."""

    def __init__(self, folder: Path) -> None:
        self.root, self._folder = folder / "project", folder

    def changed(self, file: str, text: str) -> contextlib.AbstractContextManager[None]:
        return _changed(self.root / file, text)

    def run(self, tests: Sequence[str], *, limit_s: float, keeps_bytecode: bool = False) -> Trial:
        """Run tests until the first fails, in a process group of its own, which is ended with it."""
        began = time.monotonic()
        reader, writer = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # polars warns of forks; no thread of its runs here
            pid = os.fork()
        if pid == 0:
            os.close(reader)
            self._in_child(tests, writer, keeps_bytecode)
        os.close(writer)
        try:
            status = _wait(pid, began + limit_s)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        seconds = round(time.monotonic() - began, 2)
        with os.fdopen(reader, encoding="utf-8") as file:
            by = json.loads(file.read() or "null")
        if status is None:
            os.waitpid(pid, 0)
            return Trial("time", None, seconds)
        if status == _PASSED:
            return Trial("passed", None, seconds)
        if status in (_BROKEN, _NO_TESTS):
            raise RuntimeError(f"no tests ran:\n{self.log()}")
        if status == _ELSEWHERE:
            raise RuntimeError(f"the tests did not load lidr from {self.root}: is it loaded in this process?")
        return Trial("failed", by or f"pytest ended with {status}", seconds)

    def log(self) -> str:
        """What pytest printed last."""
        return (self._folder / "log").read_text(encoding="utf-8", errors="replace")

    def _in_child(self, tests: Sequence[str], writer: int, keeps_bytecode: bool) -> None:
        status = _BROKEN
        try:
            os.setsid()
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.chdir(self.root)
            log = os.open(self._folder / "log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(log, 1)
            os.dup2(log, 2)
            for name in [name for name in sys.modules if name.split(".")[0] == "tests"]:
                del sys.modules[name]
            sys.path.insert(0, str(self.root))
            os.environ["PYTHONPATH"] = str(self.root)
            sys.dont_write_bytecode = not keeps_bytecode
            if not keeps_bytecode:
                os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
            first = _FirstFailure()
            options = [f"--basetemp={self._folder / 'tmp'}", *_OPTIONS]
            status = int(pytest.main([*options, *tests], plugins=[first]))
            if not str(getattr(sys.modules.get("lidr"), "__file__", "")).startswith(str(self.root)):
                status = _ELSEWHERE
            os.write(writer, json.dumps(first.name).encode())
        except BaseException:
            os.write(2, traceback.format_exc().encode())
            status = _BROKEN
        finally:
            sys.stdout.flush()
            os._exit(status)


class _FirstFailure:
    def __init__(self) -> None:
        self.name: str | None = None

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed and self.name is None:
            self.name = report.nodeid

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed and self.name is None:
            self.name = f"{report.nodeid} (cannot be loaded)"


@contextlib.contextmanager
def work_copy(root: Path = ROOT, loaded_once: Iterable[str] = _LOADED_ONCE) -> Iterator[WorkCopy]:
    """Copy the project, and load what every trial needs."""
    if "lidr" in sys.modules:
        raise RuntimeError("lidr is loaded in this process, so that trials would test it and not their copy")
    os.environ |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_DISABLE_TELEMETRY": "1"}
    os.environ.pop("LIDR_DATA", None)  # the tests that everybody can run are to notice
    os.environ.pop("LIDR_PROVE", None)
    with TemporaryDirectory(prefix="lidr-mutants-", ignore_cleanup_errors=True) as name:
        copied = WorkCopy(Path(name))
        for part in _COPIED:
            if (root / part).is_dir():
                shutil.copytree(root / part, copied.root / part, ignore=shutil.ignore_patterns("__pycache__"))
            elif (root / part).exists():
                copied.root.mkdir(exist_ok=True)
                shutil.copy2(root / part, copied.root / part)
        compileall.compile_dir(copied.root, quiet=2)
        for package in loaded_once:
            with contextlib.suppress(ImportError):
                importlib.import_module(package)
        # The same examples in every trial, and the first that fails is enough: to make it smaller takes long.
        settings.register_profile("mutants", phases=[Phase.explicit, Phase.generate], derandomize=True, database=None)
        settings.load_profile("mutants")
        yield copied


@contextlib.contextmanager
def _changed(path: Path, text: str) -> Iterator[None]:
    before = path.read_text(encoding="utf-8")
    # Its bytecode is found by time of change and size alone, and two mutants of one second can have the same size.
    Path(importlib.util.cache_from_source(str(path))).unlink(missing_ok=True)
    path.write_text(text, encoding="utf-8")
    try:
        yield
    finally:
        path.write_text(before, encoding="utf-8")


def _wait(pid: int, until: float) -> int | None:
    """Its exit status, None where it is still running then."""
    while time.monotonic() < until:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    return None
