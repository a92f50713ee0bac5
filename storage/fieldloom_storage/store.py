"""The store: immutable artifacts by content digest, action records, checkpoints; the only writer of its folder.

Layout on disk (format 1)::

    store.json                    format marker
    objects/<aa>/<digest>.zarr/   plain Zarr v3 and manifest.json; never modified
    keys/<aa>/<action key>.json   port -> digest; created exclusively, the first writer wins
    checkpoints/<action key>/     unfinished work of long stages
    runs/                         the ledger and the reports
    pins/  leases/  tmp/          what gc must keep; who works on what; staging and trash

What is visible is whole: data is written below ``tmp/``, flushed, and renamed into place; the action record
comes last. Nothing else is ever updated in place.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import canonical, files, locks
from .errors import ArtifactNotFound, CorruptArtifact, StoreError, StoreFormatError
from .ledger import Ledger
from .profile import Profile, Stream

if TYPE_CHECKING:
    import xarray as xr

FORMAT = 1
_FOLDERS = ("objects", "keys", "checkpoints", "runs", "pins", "leases", "prefect", "tmp")


@dataclass(frozen=True, slots=True)
class Artifact:
    """A stored Dataset or DataTree: its content digest, its folder, logical and stored size in bytes."""

    digest: str
    path: Path
    nbytes: int
    stored: int


@dataclass(frozen=True, slots=True)
class Record:
    """What one action produced: ``outputs`` maps each port to an artifact's digest."""

    key: str
    outputs: dict[str, str]
    meta: dict[str, Any]


class Store:
    """A folder of artifacts that many processes of one machine may use at once.

    Parameters
    ----------
    path : path-like
        The folder; created with its layout unless ``create`` is False.
    profile : Profile
        How new artifacts are compressed.
    durable : bool
        Flush to disk before an artifact becomes visible, so that it survives a power failure. Without it
        a commit survives a killed process, but not a killed machine.

    Raises
    ------
    StoreFormatError
        If the folder is something else, or of a newer format.
    StoreReadOnly
        If it has to be created and cannot be.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, create: bool = True, profile: Profile | None = None, durable: bool = True
    ) -> None:
        self.root = Path(path).absolute()
        self.profile = profile or Profile()
        self.durable = durable
        self._open(create)

    def _open(self, create: bool) -> None:
        marker = self.root / "store.json"
        try:
            found = canonical.unseal(marker.read_bytes())["format"]
        except (FileNotFoundError, NotADirectoryError):
            if not create:
                raise StoreFormatError(
                    f"there is no store at {self.root} yet: run a flow first, or name one with --store"
                ) from None
            self._create(marker)
            return
        except (ValueError, KeyError) as error:
            raise StoreFormatError(f"{marker} is damaged: {error}") from error
        if found > FORMAT:
            raise StoreFormatError(
                f"{self.root} has store format {found}; this version reads up to {FORMAT}. "
                "Upgrade fieldloom, or choose another store."
            )
        if self._writable:
            self._make_folders()  # somebody may have deleted one

    def _create(self, marker: Path) -> None:
        with files.clear_errors("creating the store", self.root.parent):
            if self.root.exists() and not set(os.listdir(self.root)) <= {*_FOLDERS, marker.name}:
                raise StoreFormatError(f"{self.root} is not empty and not a fieldloom store; choose an empty folder")
            self.root.mkdir(parents=True, exist_ok=True)
            self._make_folders()
            files.write_new(marker, canonical.seal({"format": FORMAT}), self.root / "tmp", durable=self.durable)

    def _make_folders(self) -> None:
        for name in _FOLDERS:
            files.make_folder(self.root / name, durable=self.durable)

    # -- artifacts

    def put(self, data: xr.Dataset | xr.DataTree | Stream) -> Artifact:
        """Store ``data`` and return its artifact; equal content is stored once.

        Raises
        ------
        UnsupportedData
            If ``data`` cannot be stored exactly.
        StoreFull, StoreReadOnly
            If the disk refuses. Nothing is visible then.
        """
        with self.written(data, "storing an artifact") as (staged, manifest):
            digest: str = manifest["digest"]
            final = self._object(digest)
            files.make_folder(final.parent, durable=self.durable)
            with locks.shared(self._gate):
                os.utime(staged)  # a long flush must not make it old for gc
                self._move_in(staged, final)
            if self.durable:
                files.sync_directory(final.parent)
        return Artifact(digest, final, manifest["nbytes"], manifest["stored"])

    def _move_in(self, staged: Path, final: Path) -> None:
        """Rename a staged object into place. The same content from somebody else stays, unless it is damaged."""
        try:
            os.rename(staged, final)
        except OSError:
            if not final.is_dir():
                raise
        else:
            return
        try:
            self.path(final.stem)
        except StoreError:
            os.rename(final, staged.with_name("damaged"))  # goes with the staging folder
            os.rename(staged, final)
        else:
            os.utime(final)
            if self.durable:  # its writer may have been less careful
                files.sync_tree(final, 1)

    @contextlib.contextmanager
    def written(self, data: xr.Dataset | xr.DataTree | Stream, action: str) -> Iterator[tuple[Path, dict[str, Any]]]:
        """Write ``data`` to a staging folder, flushed to disk; the folder goes when the block ends."""
        from .writer import write_object

        with files.clear_errors(action, self.root), self.scratch() as staging:
            staged = staging / "object"
            manifest = write_object(staged, data, self.profile)
            with files.read_only_file(staged / "manifest.json") as write:
                write(canonical.seal(manifest))
            if self.durable:
                files.sync_tree(staged, len(manifest["files"]) + len(manifest["metadata"]) + 1)
            yield staged, manifest

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """Lend an empty folder on the store's file system; gone when the block ends, or by gc if this process dies."""
        folder = self.root / "tmp" / files.private_name()
        with files.clear_errors("making a scratch folder", self.root), locks.held_folder(folder):
            try:
                yield folder
            finally:
                files.remove_tree(folder)

    def path(self, digest: str) -> Path:
        """Folder of an artifact, which ``xarray.open_zarr`` opens; complete at least in its files' sizes.

        Raises
        ------
        ArtifactNotFound, CorruptArtifact
        """
        folder = self._object(digest)
        for name, (size, _) in self.manifest(digest)["files"].items():
            try:
                found = os.stat(folder / name).st_size
            except FileNotFoundError:
                raise CorruptArtifact(f"artifact {digest}: {name} is missing") from None
            if found != size:
                raise CorruptArtifact(f"artifact {digest}: {name} has {found:,} bytes, not {size:,}")
        return folder

    def open(self, digest: str) -> xr.Dataset | xr.DataTree:
        """Open an artifact lazily. Chunks are verified as they are read.

        Raises
        ------
        ArtifactNotFound, CorruptArtifact
        """
        from .reader import open_object

        return open_object(self.path(digest))

    def manifest(self, digest: str) -> dict[str, Any]:
        """Read the manifest of an artifact.

        Raises
        ------
        ArtifactNotFound, CorruptArtifact
        """
        from .reader import read_manifest

        try:
            return read_manifest(self._object(digest))
        except (FileNotFoundError, NotADirectoryError):
            raise ArtifactNotFound(f"artifact {digest} is not in {self.root}") from None

    def artifact(self, digest: str) -> Artifact:
        """Describe an artifact without opening it."""
        manifest = self.manifest(digest)
        return Artifact(digest, self._object(digest), manifest["nbytes"], manifest["stored"])

    def __contains__(self, digest: str) -> bool:
        return self._object(digest).is_dir()

    def digests(self) -> Iterator[str]:
        """List every artifact."""
        for folder in sorted((self.root / "objects").glob("*/*.zarr")):
            yield folder.stem

    # -- action records

    def lookup(self, key: str, *, touch: bool = True) -> Record | None:
        """Find what the action ``key`` produced; None if it never finished or an output is gone.

        With ``touch`` the outputs are kept fresh: gc with a grace of ``g`` seconds spares them for ``g`` more.
        """
        record = self._read_record(key)
        if record is None:
            return None
        if not touch:
            return record if all(digest in self for digest in record.outputs.values()) else None
        with locks.shared(self._gate) if self._writable else contextlib.nullcontext():
            return record if all(map(self._freshen, record.outputs.values())) else None

    def record(self, key: str, outputs: Mapping[str, str], meta: Mapping[str, Any]) -> Record:
        """Record that action ``key`` produced ``outputs``. The first writer wins: its record is returned.

        Raises
        ------
        ArtifactNotFound
            If an output is not in the store.
        """
        made = Record(key, dict(outputs), dict(meta))
        data = canonical.seal({"key": key, "outputs": made.outputs, "meta": made.meta})
        with files.clear_errors("recording an action", self.root):
            with locks.shared(self._gate):
                if missing := [digest for digest in outputs.values() if not self._freshen(digest)]:
                    raise ArtifactNotFound(f"action {key}: outputs {', '.join(missing)} are not in the store")
                if files.write_new(self._key(key), data, self.root / "tmp", durable=self.durable):
                    return made
            with locks.exclusive(self._gate):  # there is a record: it wins, unless it is damaged or leads nowhere
                winner = self._read_record(key)
                if winner is not None and all(map(self._freshen, winner.outputs.values())):
                    return winner
                files.replace(self._key(key), data, self.root / "tmp", durable=self.durable)
        return made

    def records(self) -> Iterator[tuple[str, Record | None]]:
        """List every action key with its record; None if the record is damaged."""
        for path in sorted((self.root / "keys").glob("*/*.json")):
            yield path.stem, self._read_record(path.stem)

    def forget(self, key: str) -> None:
        """Remove one action record: the action will run again."""
        self._key(key).unlink(missing_ok=True)

    def _read_record(self, key: str) -> Record | None:
        path = self._key(key)
        try:
            document = canonical.unseal(path.read_bytes())
            return Record(document["key"], document["outputs"], document["meta"])
        except (OSError, ValueError, KeyError, RecursionError):
            return None  # a damaged record is no record; verify names it

    def _freshen(self, digest: str) -> bool:
        try:
            os.utime(self._object(digest))
        except FileNotFoundError:
            return False
        except OSError:
            return digest in self  # read-only: nobody collects it from here
        return True

    # -- leases and pins

    def lease(self, name: str) -> locks.Lock | None:
        """Take the lease ``name`` (an action key, a run), or None if a living process holds it."""
        with files.clear_errors("taking a lease", self.root):
            return locks.try_lock(self._lease(name))

    def wait_for_lease(self, name: str, give_up: Callable[[], bool]) -> locks.Lock | None:
        """Wait for the lease ``name``; None once ``give_up()`` is true."""
        with files.clear_errors("taking a lease", self.root):
            return locks.wait_for_lock(self._lease(name), give_up)

    def is_leased(self, name: str) -> bool:
        """Tell whether a living process holds the lease ``name``."""
        return locks.is_held(self._lease(name))

    def pin(self, digest: str) -> None:
        """Keep an artifact whatever gc is told.

        Raises
        ------
        ArtifactNotFound
        """
        with files.clear_errors("pinning an artifact", self.root), locks.shared(self._gate):
            if not self._freshen(digest):  # fresh, so that a gc that has not seen the pin spares it
                raise ArtifactNotFound(f"artifact {digest} is not in {self.root}")
            (self.root / "pins" / files.checked(digest)).touch()

    def unpin(self, digest: str) -> None:
        """Undo :meth:`pin`."""
        with files.clear_errors("unpinning an artifact", self.root):
            (self.root / "pins" / files.checked(digest)).unlink(missing_ok=True)

    def pins(self) -> set[str]:
        """List the pinned artifacts."""
        return {path.name for path in (self.root / "pins").iterdir()}

    # -- runs and sizes

    @cached_property
    def ledger(self) -> Ledger:
        """The run ledger of this store."""
        with files.clear_errors("opening the run ledger", self.root):
            if not self._writable:
                return Ledger(self.root / "runs" / "ledger.db", read_only=True)
            with locks.exclusive(self._gate):  # SQLite's switch to WAL is no match for eight processes at once
                return Ledger(self.root / "runs" / "ledger.db")

    def forget_run(self, run_id: str) -> None:
        """Drop a run's record and folder; gc may then collect what only it needed."""
        folder = self.root / "runs" / files.checked(run_id)
        with files.clear_errors("forgetting a run", self.root):
            self.ledger.delete_run(run_id)
        files.remove_tree(folder)

    def usage(self) -> dict[str, int]:
        """Account for the store: number of artifacts, and bytes of artifacts, checkpoints, runs, staging."""
        counts = {"artifacts": 0, "nbytes": 0, "stored": 0}
        for digest in self.digests():
            with contextlib.suppress(StoreError):
                found = self.artifact(digest)
                counts = {
                    "artifacts": counts["artifacts"] + 1,
                    "nbytes": counts["nbytes"] + found.nbytes,
                    "stored": counts["stored"] + found.stored,
                }
        return counts | {name: files.tree_bytes(self.root / name) for name in ("checkpoints", "runs", "tmp")}

    def age(self, digest: str) -> float:
        """Seconds since an artifact was last stored, recorded or looked up; 0 if it is gone."""
        try:
            return time.time() - os.stat(self._object(digest)).st_mtime
        except FileNotFoundError:
            return 0.0

    @cached_property
    def _writable(self) -> bool:
        return os.access(self.root, os.W_OK)

    @cached_property
    def _gate(self) -> Path:
        return self.root / "leases" / "gate"

    def _lease(self, name: str) -> Path:
        return self.root / "leases" / f"{files.checked(name)}.lock"

    def _object(self, digest: str) -> Path:
        return self.root / "objects" / files.checked(digest)[:2] / f"{digest}.zarr"

    def _key(self, key: str) -> Path:
        return self.root / "keys" / files.checked(key)[:2] / f"{key}.json"
