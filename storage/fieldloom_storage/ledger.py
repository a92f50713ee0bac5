"""The run ledger: what ran, what was reused, how long it took. SQLite in WAL mode, the system of record."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

_SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
    id TEXT PRIMARY KEY, flow TEXT, status TEXT, started REAL, finished REAL, info TEXT);
CREATE TABLE IF NOT EXISTS instances (
    run TEXT REFERENCES runs(id) ON DELETE CASCADE, name TEXT, step TEXT, stage TEXT, flow TEXT, key TEXT,
    status TEXT, seconds REAL, stored INTEGER, finished REAL, outputs TEXT, code TEXT, info TEXT,
    PRIMARY KEY (run, name));
CREATE TABLE IF NOT EXISTS code (digest TEXT PRIMARY KEY, functions TEXT);
CREATE INDEX IF NOT EXISTS by_name ON instances (flow, name, finished);
CREATE INDEX IF NOT EXISTS by_stage ON instances (stage, status, finished);
"""
_RUN = ("id", "flow", "status", "started", "finished", "info")
_INSTANCE = (
    "run",
    "name",
    "step",
    "stage",
    "flow",
    "key",
    "status",
    "seconds",
    "stored",
    "finished",
    "outputs",
    "code",
    "info",
)
_JSON = frozenset({"info", "outputs"})


class Ledger:
    """Runs and their instances, as plain dictionaries. Safe for several threads and processes."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._lock = threading.RLock()
        source = f"file:{quote(str(path))}?immutable=1" if read_only else f"file:{quote(str(path))}"
        self._db = sqlite3.connect(source, timeout=60, check_same_thread=False, isolation_level=None, uri=True)
        self._db.row_factory = sqlite3.Row
        if not read_only:
            for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
                self._db.execute(f"PRAGMA {pragma}")
            self._db.executescript(_SCHEMA)

    def close(self) -> None:
        self._db.close()

    # -- writing

    def start_run(self, run: dict[str, Any]) -> None:
        """Insert a run: ``id``, ``flow``, ``status``, ``started`` (seconds since 1970) and ``info`` (JSON)."""
        self._insert("INSERT", "runs", _RUN, [{"finished": None, **run}])

    def finish_run(self, run_id: str, status: str, finished: float) -> None:
        """Close a run."""
        with self._lock:
            self._db.execute("UPDATE runs SET status = ?, finished = ? WHERE id = ?", (status, finished, run_id))

    def update_run(self, run_id: str, info: dict[str, Any]) -> None:
        """Merge ``info`` into what is known of a run."""
        with self._transaction():
            merged = {**(self.run(run_id) or {}).get("info", {}), **info}
            self._db.execute("UPDATE runs SET info = ? WHERE id = ?", (json.dumps(merged), run_id))

    def write_instances(self, rows: Iterable[dict[str, Any]]) -> None:
        """Insert or replace instances (keys as in the table, ``outputs`` and ``info`` as JSON) in one go."""
        self._insert("INSERT OR REPLACE", "instances", _INSTANCE, rows)

    def write_code(self, digest: str, functions: dict[str, str]) -> None:
        """Remember the functions, with their hashes, behind a code digest."""
        with self._lock:
            self._db.execute("INSERT OR IGNORE INTO code VALUES (?, ?)", (digest, json.dumps(functions)))

    def delete_run(self, run_id: str) -> None:
        """Forget a run; gc may then remove what only it needed."""
        with self._lock:
            self._db.execute("DELETE FROM runs WHERE id = ?", (run_id,))

    def _insert(self, verb: str, table: str, columns: tuple[str, ...], rows: Iterable[dict[str, Any]]) -> None:
        values = [[json.dumps(row[c]) if c in _JSON else row[c] for c in columns] for row in rows]
        marks = ",".join("?" * len(columns))
        with self._transaction():
            self._db.executemany(f"{verb} INTO {table} ({','.join(columns)}) VALUES ({marks})", values)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """All or nothing, and nobody else writes meanwhile."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    # -- reading

    def run(self, run_id: str) -> dict[str, Any] | None:
        """Read one run."""
        rows = self._select("SELECT * FROM runs WHERE id = ?", run_id)
        return rows[0] if rows else None

    def runs(self) -> list[dict[str, Any]]:
        """Read every run, newest first."""
        return self._select("SELECT * FROM runs ORDER BY started DESC, id DESC")

    def unfinished(self) -> list[dict[str, Any]]:
        """Read the runs whose end was never recorded."""
        return self._select("SELECT * FROM runs WHERE status = 'running'")

    def instances(self, run_id: str) -> list[dict[str, Any]]:
        """Read the instances of a run in the order in which they finished."""
        return self._select("SELECT * FROM instances WHERE run = ? ORDER BY finished, rowid", run_id)

    def last_of_flow(self, flow: str) -> dict[str, dict[str, Any]]:
        """For each instance of ``flow``, the last time that it succeeded."""
        rows = self._select(
            "SELECT *, max(finished) AS newest FROM instances WHERE flow = ? AND status IN ('done', 'cached') "
            "GROUP BY name",
            flow,
        )
        return {row["name"]: row for row in rows}

    def costs(self) -> dict[str, tuple[float, int]]:
        """For each stage that ever ran: mean seconds and mean stored bytes of an instance."""
        rows = self._select(
            "SELECT stage, avg(seconds) AS seconds, avg(stored) AS stored FROM instances "
            "WHERE status = 'done' GROUP BY stage"
        )
        return {row["stage"]: (row["seconds"], int(row["stored"] or 0)) for row in rows}

    def made(self) -> dict[str, tuple[float, int]]:
        """For each action key that was ever computed: its seconds and stored bytes."""
        rows = self._select("SELECT key, seconds, stored FROM instances WHERE status = 'done' ORDER BY finished")
        return {row["key"]: (row["seconds"], row["stored"]) for row in rows}

    def functions(self, code: str) -> dict[str, str]:
        """Read the functions, with their hashes, behind a code digest; empty if it is unknown."""
        rows = self._select("SELECT functions FROM code WHERE digest = ?", code)
        return json.loads(rows[0]["functions"]) if rows else {}

    def artifacts(self, without_runs: Collection[str] = ()) -> set[str]:
        """List every artifact that a run in the ledger (but for ``without_runs``) produced or used."""
        rows = self._select("SELECT run, outputs FROM instances WHERE outputs != '{}'")
        return {digest for row in rows if row["run"] not in without_runs for digest in row["outputs"].values()}

    def _select(self, query: str, *parameters: Any) -> list[dict[str, Any]]:
        with self._lock:
            rows = self._db.execute(query, parameters).fetchall()
        return [{k: json.loads(row[k]) if k in _JSON and row[k] else row[k] for k in row.keys()} for row in rows]  # noqa: SIM118 - sqlite3.Row iterates over values
