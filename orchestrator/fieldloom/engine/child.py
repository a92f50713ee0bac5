"""``python -m fieldloom.engine.child``: run one job in a process that can be killed.

The job comes as one line of JSON on standard input, which then stays open: when it closes, or the kernel says
that the parent died, this process ends. Events and the result go out as lines of JSON on what was standard
output; whatever the stage prints goes to standard error.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import threading
from typing import Any

from .parent import die_with_parent


def main() -> None:
    """Read the job, run it, report."""
    protocol = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    lock = threading.Lock()

    def emit(kind: str, data: dict[str, Any]) -> None:
        with lock:
            protocol.write(json.dumps({"kind": kind, "data": data}) + "\n")
            protocol.flush()

    order = json.loads(sys.stdin.readline())
    die_with_parent(order["parent"])
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    sys.path[:] = order["path"]
    _run(order["job"], emit, stop)


def _run(document: dict[str, Any], emit: Any, stop: threading.Event) -> None:
    from ..errors import Cancelled, FieldloomError
    from .work import Job, open_store, perform

    job = Job(**document)
    if job.memory:
        resource.setrlimit(resource.RLIMIT_DATA, (job.memory, job.memory))
    try:
        result = perform(job, open_store(job), emit, stop.is_set)
    except Cancelled as error:
        emit("cancelled", {"message": str(error)})
    except (FieldloomError, OSError) as error:
        emit("failed", {"message": str(error)})
    else:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        emit("done", result | {"cpu_seconds": usage.ru_utime + usage.ru_stime})


def _end_with_stdin() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    main()
