"""``python -m fieldloom.engine.server_child PARENT``: Prefect's API on a free loopback port.

The port is bound before it is announced on standard output (``PORT <n>``), and announced once the
application is ready; so nobody has to poll.
"""

from __future__ import annotations

import gc
import os
import socket
import sys
import threading
from typing import Any

from .parent import die_with_parent


def main() -> None:
    """Serve until the parent ends or says so."""
    die_with_parent(int(sys.argv[1]))
    gc.disable()  # importing makes a million objects that stay: collecting in between costs a CPU second
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    import uvicorn
    from prefect.server.api.server import create_app

    class Server(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            gc.freeze()
            gc.enable()
            sys.stdout.write(f"PORT {listener.getsockname()[1]}\n")
            sys.stdout.flush()

    threading.Thread(target=_end_with_parent, args=(int(sys.argv[1]),), daemon=True).start()
    app = create_app(ephemeral=True, final=False)
    config = uvicorn.Config(app, log_level="error", lifespan="on", timeout_graceful_shutdown=1, access_log=False)
    Server(config).run(sockets=[listener])


def _end_with_parent(parent: int) -> None:
    """Where the kernel does not tell of a parent's death, look every second."""
    import time

    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(0)


if __name__ == "__main__":
    main()
