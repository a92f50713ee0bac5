"""Fixtures for tests of flows, offered to every pytest session where fieldloom is installed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One Prefect server for all tests of the session, so that each flow does not start its own."""
    import prefect.settings as prefect_settings
    from fieldloom_storage import Store

    from .engine.prefect_flow import drain_client
    from .engine.server import embedded_server

    if configured := prefect_settings.PREFECT_API_URL.value():
        yield configured
        return
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(embedded_server(Store(tmp_path_factory.mktemp("prefect") / "store")))
        stack.enter_context(prefect_settings.temporary_settings({prefect_settings.PREFECT_API_URL: url}))
        os.environ["PREFECT_API_URL"] = url  # for child processes
        stack.callback(os.environ.pop, "PREFECT_API_URL", None)
        yield url
        drain_client()  # before the server goes
