"""Ports that several stages share."""

from __future__ import annotations

from fieldloom import Port, Variable
from fieldloom.contracts import field_port

TRAJECTORIES = field_port("Trajectories: populations of meshes, meshes or grids with fields over time.", many=True)
CAPTIONS = Port(
    {
        "caption": Variable(("sample", "variant"), "string", description="descriptions of each trajectory"),
        "spans": Variable(("sample", "variant"), "string", description="where they name which quantity, as JSON"),
        "held_out_caption": Variable(("sample", "held_out"), "string", description="phrased as no training caption is"),
        "held_out_spans": Variable(("sample", "held_out"), "string", description="where these name which quantity"),
        "split": Variable(("sample",), "string", description="train, validation or test"),
    },
    "Captions, the split and the numbers of each trajectory.",
    attrs=("rules",),
)
MODEL = Port(description="A network: its weights, and its configuration as JSON in the attributes.")
PICTURES = Port(description="What was learned, drawn.", files=True)
