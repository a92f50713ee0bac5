"""Prefect's server as our own child: it dies with us, keeps its database in the store, and calls nobody.

Prefect can start a server by itself, but one whose parent is killed lives on as an orphan.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from fieldloom_storage import Store
from fieldloom_storage.files import private_name

from ..errors import EngineError

_UNUSED_SERVICES = (
    "SCHEDULER",
    "LATE_RUNS",
    "FOREMAN",
    "CANCELLATION_CLEANUP",
    "CLEANUP_RECONCILER",
    "PAUSE_EXPIRATIONS",
    "REPOSSESSOR",
    "TRIGGERS",
    "EVENT_PERSISTER",
    "EVENT_LOGGER",
)
_SETTINGS = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_UI_ENABLED": "false",
    "PREFECT_SERVER_LOGGING_LEVEL": "ERROR",
    "PREFECT_SERVER_EVENTS_STREAM_OUT_ENABLED": "false",
    "PREFECT_SERVER_LOGS_STREAM_OUT_ENABLED": "false",
    # the default records task runs one by one: 4x the CPU
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "50",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "50",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
    **{f"PREFECT_SERVER_SERVICES_{name}_ENABLED": "false" for name in _UNUSED_SERVICES},
}


@contextlib.contextmanager
def embedded_server(store: Store) -> Iterator[str]:
    """Run a server for the time of the block; yields its API URL.

    The first process that uses a store gets the database that stays there; others at the same time get one
    that is thrown away (SQLite serves one Prefect server at a time).

    Raises
    ------
    EngineError
        If the server does not start.
    """
    lease = store.lease("prefect")
    with store.scratch() as private:
        template = _template_path()
        home = store.root / "prefect" if lease else private
        database = home / f"prefect-{version('prefect')}.db" if template.exists() else private / "prefect.db"
        migrated = _prepare(database, template, private)
        process = _start(home, database, migrated, private / "server.log")
        try:
            url = _await_url(process, private / "server.log")
            if not migrated:
                _keep_template(database, template)
            yield url
        finally:
            _stop(process)
            if lease:
                lease.release()


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.communicate(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()


def _template_path() -> Path:
    """An empty, migrated database: making one costs Prefect 8 CPU seconds, copying it none."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "fieldloom" / f"prefect-{version('prefect')}.db"


def _prepare(database: Path, template: Path, private: Path) -> bool:
    """Put a migrated database in place; False if the server has to migrate an empty one."""
    if database.exists():
        return True
    if not template.exists():
        return False
    shutil.copyfile(template, private / "copy.db")
    os.replace(private / "copy.db", database)
    return True


def _keep_template(database: Path, template: Path) -> None:
    """Save the freshly migrated database for later runs; without a cache folder, each migrates anew."""
    with contextlib.suppress(OSError, sqlite3.Error):
        template.parent.mkdir(parents=True, exist_ok=True)
        copy = template.parent / private_name()
        with contextlib.closing(sqlite3.connect(database)) as connection:
            connection.execute("VACUUM INTO ?", (str(copy),))  # a plain copy would miss what is in the WAL
        os.replace(copy, template)


def _start(home: Path, database: Path, migrated: bool, log: Path) -> subprocess.Popen[str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
    skip = {"PREFECT_SERVER_DATABASE_MIGRATE_ON_START": "false", "PREFECT_SERVER_REGISTER_BLOCKS_ON_START": "false"}
    environment = {
        **inherited,
        **_SETTINGS,
        **(skip if migrated else {}),
        "PREFECT_HOME": str(home),
        "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{database}",
        "OMP_NUM_THREADS": "1",
    }
    with open(log, "wb") as errors:  # a pipe that nobody reads would fill and stop the server
        return subprocess.Popen(
            [sys.executable, "-m", "fieldloom.engine.server_child", str(os.getpid())],
            env=environment,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )


def _await_url(process: subprocess.Popen[str], log: Path) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("PORT "):
            return f"http://127.0.0.1:{int(line.split()[1])}/api"
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-5:])
    raise EngineError(f"Prefect's embedded server did not start:\n{tail}\n`fieldloom doctor` checks the installation.")
