"""Durable file operations: what is renamed into place has reached the disk before."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import StoreError, StoreFull, StoreReadOnly

if TYPE_CHECKING:
    from typing_extensions import Buffer

_SYNC_WHOLE_FILE_SYSTEM_ABOVE = 16  # files; below, one fsync each is cheaper (measured)


def sync_directory(path: Path) -> None:
    """Flush the entries of one directory."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(root: Path, files: int) -> None:
    """Flush every file and directory below ``root``; ``files`` says how many there are."""
    if files > _SYNC_WHOLE_FILE_SYSTEM_ABOVE and _syncfs(root):
        return
    for folder, _, names in os.walk(root):
        for name in names:
            sync_directory(Path(folder, name))  # fsync takes any descriptor, of a file too
        sync_directory(Path(folder))


def _syncfs(path: Path) -> bool:
    """Flush the file system that holds ``path``; False where the platform has no ``syncfs``."""
    function = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if function is None:
        return False
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return function(descriptor) == 0  # type: ignore[no-any-return]  # ctypes is untyped
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def read_only_file(path: Path) -> Iterator[Callable[[Buffer], None]]:
    """Create a read-only file and yield the function that appends to it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444)

    def write(data: Buffer) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]

    try:
        yield write
    finally:
        os.close(descriptor)


def write_new(path: Path, data: bytes, scratch: Path, *, durable: bool) -> bool:
    """Create ``path`` with ``data`` in one step; False if it was there already (the first writer wins)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _write_beside(data, scratch, durable=durable)
    try:
        os.link(temporary, path)  # unlike rename, fails if the name is taken
    except FileExistsError:
        return False
    finally:
        temporary.unlink()
    if durable:
        sync_directory(path.parent)
    return True


def replace(path: Path, data: bytes, scratch: Path, *, durable: bool) -> None:
    """Write ``path`` in one step, over whatever was there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    os.replace(_write_beside(data, scratch, durable=durable), path)
    if durable:
        sync_directory(path.parent)


def _write_beside(data: bytes, scratch: Path, *, durable: bool) -> Path:
    temporary = scratch / private_name()
    with open(temporary, "wb") as file:
        file.write(data)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    return temporary


def remove_tree(path: Path) -> None:
    """Delete a directory that may hold read-only files; what another process removed first is fine."""
    shutil.rmtree(path, ignore_errors=True)


def tree_bytes(root: Path) -> int:
    """Add up the sizes of the files below ``root``."""
    total = 0
    for folder, _, names in os.walk(root):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += os.stat(os.path.join(folder, name)).st_size
    return total


def private_name() -> str:
    """Name a file or folder after its owner: ``<host>-<pid>-<random>``."""
    return f"{os.uname().nodename}-{os.getpid()}-{os.urandom(6).hex()}"


def owner_is_dead(name: str) -> bool:
    """Tell whether a :func:`private_name` names a process of this host that no longer lives."""
    host, _, pid = name.rpartition("-")[0].rpartition("-")
    if host != os.uname().nodename or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


@contextlib.contextmanager
def clear_errors(action: str, root: Path) -> Iterator[None]:
    """Turn the operating system's refusals into the store's own errors, which say what to do."""
    try:
        yield
    except StoreError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            free = shutil.disk_usage(root).free
            message = (
                f"no space left while {action}: {free:,} bytes are free in {root}. Nothing was committed. "
                "Free some space (`fieldloom gc` removes what no kept run needs) and run again."
            )
            raise StoreFull(error.errno, message) from error
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            message = (
                f"cannot write while {action}: {root} is read-only for this user. "
                "Choose another store with --store, or change the folder's permissions."
            )
            raise StoreReadOnly(error.errno, message) from error
        raise
