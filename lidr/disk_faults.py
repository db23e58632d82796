"""What a disk refuses: space, and locks. Said in one way, wherever it happens."""

from __future__ import annotations

import errno
import fcntl
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lidr.errors import StoreError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# Libraries that write by themselves (safetensors, torch, SQLite), and workers, say it in words alone.
# torch names no disk: it says that less was written than was given.
_SAID = re.compile(
    r"no space left|disk is full|quota exceeded|file too large|os error (28|27|122)\b"
    r"|inline_container\.cc.*unexpected pos|basic_ios::clear: iostream error",
    re.IGNORECASE,
)
_TOLD = "no space left"
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}


def is_full(error: BaseException) -> bool:
    """Whether an error says that a disk, a quota or a file has no room left."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in _FULL
    return _SAID.search(str(error)[:5000]) is not None


def is_told(error: BaseException) -> bool:
    """Whether an error is one that was made of `no_space`, which has named the place already."""
    return isinstance(error, StoreError) and str(error).startswith(_TOLD)


def no_space(error: BaseException, where: Path | str = "") -> str:
    """What to tell of such an error; `where` is named if the error names no file. Of a copy it names both, the one that
    is written last.
    """
    place = getattr(error, "filename2", None) or getattr(error, "filename", None) or where
    while_writing = f" while writing {place}" if place else ""
    return (
        f"{_TOLD}{while_writing}: finished rows are kept. Free some space on that disk, or move the store "
        "(--store FOLDER, or LIDR_STORE), then run the same command again"
    )


@contextmanager
def locked(path: Path, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold a lock of the kernel's alone, which ends with its process, however that ends.

    Args:
        path: the file that is locked; it is made.
        on_wait: told once when one must wait for another process.

    Raises:
        StoreError: the file system has no locks.
    """
    with _opened(path) as descriptor:
        if not _take(descriptor, path, fcntl.LOCK_EX | fcntl.LOCK_NB):
            on_wait()
            _take(descriptor, path, fcntl.LOCK_EX)
        yield


@contextmanager
def locked_now(path: Path, *, shared: bool = False) -> Iterator[bool]:
    """The same without waiting: yields whether it was free; `shared`: for all who share it, and nobody alone.

    Raises:
        StoreError: the file system has no locks.
    """
    with _opened(path) as descriptor:
        yield _take(descriptor, path, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)


@contextmanager
def locked_together(path: Path) -> Iterator[None]:
    """The same, shared: nobody holds it alone meanwhile.

    Raises:
        StoreError: the file system has no locks.
    """
    with _opened(path) as descriptor:
        _take(descriptor, path, fcntl.LOCK_SH)
        yield


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _take(descriptor: int, path: Path, how: int) -> bool:
    """Whether the lock is ours."""
    try:
        fcntl.flock(descriptor, how)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        raise StoreError(
            f"{path}: this file system has no file locks (flock), without which two processes would write at once. Use "
            "a folder on a disk that has them (--set runtime.store=FOLDER, or LIDR_STORE; for results --out FOLDER, "
            "for a Hub --root FOLDER)"
        ) from error
    return True
