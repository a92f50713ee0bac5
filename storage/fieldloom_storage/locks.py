"""Advisory locks that the kernel releases when their holder dies, ``kill -9`` included.

A lock is an exclusive ``flock`` on a file below ``leases/``. No heartbeat, no time-out, no stale lock.
On network file systems it is as good as their ``flock``.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path


class Lock:
    """One held lock; :meth:`release` or the end of the process gives it back."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path, self._descriptor = path, descriptor

    def release(self) -> None:
        """Remove the lock's file while still holding it, then let go. Idempotent."""
        if self._descriptor < 0:
            return
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        os.close(self._descriptor)
        self._descriptor = -1

    def __enter__(self) -> Lock:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def try_lock(path: Path) -> Lock | None:
    """Take the lock at ``path``, or return None if a living process holds it."""
    probes = 3  # is_held() of another process holds it for microseconds
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            if not probes:
                return None
            probes -= 1
            time.sleep(0.0005)
            continue
        if _still_names(path, descriptor):
            return Lock(path, descriptor)
        os.close(descriptor)  # the holder before us removed the file under our feet: again


def wait_for_lock(path: Path, give_up: Callable[[], bool] = lambda: False, poll: float = 0.05) -> Lock | None:
    """Wait for the lock at ``path``; None as soon as ``give_up()`` is true (asked every ``poll`` seconds)."""
    while (lock := try_lock(path)) is None:
        if give_up():
            return None
        time.sleep(poll)
    return lock


def is_held(path: Path) -> bool:
    """Tell whether a living process holds the lock at ``path``. Takes nothing."""
    return not _is_free(path, fcntl.LOCK_SH)


@contextlib.contextmanager
def held_folder(path: Path) -> Iterator[Path]:
    """Make the folder ``path`` and hold a lock on it: :func:`is_abandoned` is false while this process lives."""
    path.mkdir()
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield path
    finally:
        os.close(descriptor)


def is_abandoned(path: Path) -> bool:
    """Tell whether no living process holds the folder ``path``."""
    try:
        return _is_free(path, fcntl.LOCK_EX) and path.exists()
    except OSError:
        return False  # not ours to look into


def _is_free(path: Path, mode: int) -> bool:
    """Tell whether a lock on ``path`` could be had now; nobody holds what is not there."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


@contextlib.contextmanager
def shared(path: Path) -> Iterator[None]:
    """Hold the gate at ``path`` together with other sharers, and against :func:`exclusive`."""
    with _flocked(path, fcntl.LOCK_SH):
        yield


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the gate at ``path`` alone."""
    with _flocked(path, fcntl.LOCK_EX):
        yield


@contextlib.contextmanager
def _flocked(path: Path, mode: int) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, mode)
        yield
    finally:
        os.close(descriptor)


def _still_names(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False
