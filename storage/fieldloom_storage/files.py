"""Durable file operations: what is renamed into place has reached the disk before."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import ArtifactNotFound, StoreError, StoreFull, StoreReadOnly

if TYPE_CHECKING:
    from typing_extensions import Buffer

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")
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


def make_folder(path: Path, *, durable: bool) -> None:
    """Make one folder, with its entry in the parent flushed."""
    with contextlib.suppress(FileExistsError):
        path.mkdir()
        if durable:
            sync_directory(path.parent)


def write_new(path: Path, data: bytes, scratch: Path, *, durable: bool) -> bool:
    """Create ``path`` with ``data`` in one step; False if it was there already (the first writer wins)."""
    make_folder(path.parent, durable=durable)
    with _written_beside(data, scratch, durable=durable) as temporary:
        try:
            os.link(temporary, path)  # unlike rename, fails if the name is taken
        except FileExistsError:
            return False
    if durable:
        sync_directory(path.parent)
    return True


def replace(path: Path, data: bytes, scratch: Path, *, durable: bool) -> None:
    """Write ``path`` in one step, over whatever was there."""
    make_folder(path.parent, durable=durable)
    with _written_beside(data, scratch, durable=durable) as temporary:
        os.replace(temporary, path)
    if durable:
        sync_directory(path.parent)


@contextlib.contextmanager
def _written_beside(data: bytes, scratch: Path, *, durable: bool) -> Iterator[Path]:
    temporary = scratch / private_name()
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


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


def checked(name: str) -> str:
    """Return ``name`` if it may be part of a path.

    Raises
    ------
    ArtifactNotFound
        If it could lead out of its folder: nothing of that name is in the store.
    """
    if not _NAME.fullmatch(name):
        raise ArtifactNotFound(f"{name!r} names nothing in a store: use letters, digits, '.', '_' and '-'")
    return name


def private_name() -> str:
    """Name a file or folder so that nobody else has it; host and process are for people."""
    return f"{os.uname().nodename}-{os.getpid()}-{os.urandom(6).hex()}"


@contextlib.contextmanager
def clear_errors(action: str, root: Path) -> Iterator[None]:
    """Turn the operating system's refusals into the store's own errors, which say what to do."""
    try:
        yield
    except StoreError:
        raise
    except sqlite3.OperationalError as error:
        raise _from_sqlite(error, action, root) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise StoreFull(error.errno, _full(action, root)) from error
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise StoreReadOnly(error.errno, _read_only(action, root)) from error
        raise StoreError(f"{error.strerror or error} while {action}: {error.filename or root}") from error


def _from_sqlite(error: sqlite3.OperationalError, action: str, root: Path) -> Exception:
    text = str(error)
    if "full" in text:
        return StoreFull(errno.ENOSPC, _full(action, root))
    if "readonly" in text or "unable to open" in text:
        return StoreReadOnly(errno.EROFS, _read_only(action, root))
    return StoreError(f"{text} while {action} in {root}")


def _full(action: str, root: Path) -> str:
    return (
        f"no space left while {action}: {shutil.disk_usage(root).free:,} bytes are free in {root}. Nothing was "
        "committed. Free some space (`fieldloom gc` removes what no kept run needs) and run again."
    )


def _read_only(action: str, root: Path) -> str:
    return (
        f"cannot write while {action}: {root} is read-only for this user. "
        "Choose another store with --store, or change the folder's permissions."
    )
