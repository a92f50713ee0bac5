"""Commands on the store: verify, gc."""

from __future__ import annotations

import time
from argparse import Namespace
from dataclasses import asdict

from fieldloom_storage import Store

from .. import printing
from ..errors import UsageError
from ..runs import default_store
from ..spec.model import _seconds


def verify(arguments: Namespace) -> int:
    """``fieldloom verify``."""
    from fieldloom_storage.verify import repair
    from fieldloom_storage.verify import verify as check

    store = Store(arguments.store or default_store(), create=False)
    problems = list(check(store, arguments.digest or None))
    if arguments.repair and problems:
        repair(store, problems)
    if arguments.json:
        printing.as_json([asdict(problem) for problem in problems])
    elif not problems:
        usage = store.usage()
        printing.line(
            f"{usage['artifacts']} artifacts, {printing.size(usage['stored'])}: every byte is as it was written"
        )
    else:
        for problem in problems:
            printing.line(str(problem))
        printing.line(
            "removed; the next run makes them again" if arguments.repair else "`fieldloom verify --repair` removes them"
        )
    return 1 if problems else 0


def gc(arguments: Namespace) -> int:
    """``fieldloom gc``."""
    from fieldloom_storage.gc import collect

    store = Store(arguments.store or default_store(), create=False)
    forgotten = _forgotten(store, arguments)
    if not arguments.dry_run:
        for run_id in forgotten:
            store.forget_run(run_id)
    found = collect(store, grace=_age(arguments.grace), dry_run=arguments.dry_run, without_runs=forgotten)
    if arguments.json:
        printing.as_json({"runs": forgotten, "artifacts": list(found.artifacts), "stored": found.stored})
        return 0
    would = "would remove" if arguments.dry_run else "removed"
    printing.line(f"{would} {len(forgotten)} runs and {len(found.artifacts)} artifacts ({printing.size(found.stored)})")
    usage = store.usage()
    printing.line(
        f"the store holds {usage['artifacts']} artifacts: {printing.size(usage['stored'])} stored, "
        f"{printing.size(usage['nbytes'])} of arrays; runs {printing.size(usage['runs'])}, "
        f"checkpoints {printing.size(usage['checkpoints'])}"
    )
    return 0


def _forgotten(store: Store, arguments: Namespace) -> list[str]:
    """Runs to forget; one that is going on is never among them."""
    doomed: list[str] = []
    seen: dict[str, int] = {}
    oldest = time.time() - _age(arguments.older_than) if arguments.older_than else None
    for row in store.ledger.runs():  # newest first
        seen[row["flow"]] = seen.get(row["flow"], 0) + 1
        too_many = arguments.keep_last is not None and seen[row["flow"]] > arguments.keep_last
        too_old = oldest is not None and row["started"] < oldest
        if (too_many or too_old) and not store.is_leased(f"run-{row['id']}"):
            doomed.append(row["id"])
    return doomed


def _age(text: str) -> float:
    try:
        return float(_seconds(text) if not text.replace(".", "").isdigit() else text)
    except ValueError:
        raise UsageError(f"{text!r} is not an age; write 30d, 12h or 90s") from None
