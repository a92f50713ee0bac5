"""What a Prefect UI shows of a run: a table of the stages, a link to the report, the pictures."""

from __future__ import annotations

import base64
from typing import Any

from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact

from ..files import pictures
from ..runs import Run
from ..session import Session

_PICTURES = 6
_PICTURE_BYTES = 300_000  # larger ones stay in the report


def publish(session: Session, status: str) -> None:
    """Create the artifacts of the current flow run."""
    run = Run(session.store, session.id)
    create_table_artifact(
        table=[_row(row) for row in run.instances.values()], key="stages", description=f"Run {run.id}: {status}"
    )
    create_link_artifact(link=(run.folder / "report.html").as_uri(), link_text="Report", key="report")
    shown: list[str] = []
    for picture in pictures(run):
        if len(shown) < _PICTURES and len(picture.data) <= _PICTURE_BYTES:
            uri = f"data:{picture.media_type};base64,{base64.b64encode(picture.data).decode()}"
            shown.append(f"**{picture.instance}**\n\n![{picture.caption}]({uri})")
    if shown:
        create_markdown_artifact("\n\n".join(shown), key="pictures", description="Pictures that the stages made")


def _row(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "instance": row["name"],
        "stage": row["stage"],
        "status": row["status"],
        "seconds": round(row["seconds"], 3) if row["seconds"] else "",
        "bytes": row["stored"] or "",
        "outputs": ", ".join(f"{port}: {digest[:10]}" for port, digest in row["outputs"].items()),
    }
