"""How captions speak about smoke in a box: one wording to train on, one held out for tests."""

from __future__ import annotations

from .compose import Wording

TRAINING = Wording(
    openings=(
        "simulate smoke in a closed box",
        "show me smoke that rises in a box",
        "please generate buoyant smoke",
        "give me rising smoke",
        "smoke in a square box",
        "this is a two-dimensional simulation of smoke",
        "a 2D box of smoke",
        "hot smoke rises in still air",
        "predict how smoke moves",
        "I want to see smoke rise",
    ),
    scenes=(
        "smoke rises in a closed box",
        "show me how the smoke rises",
        "simulate buoyant smoke in two dimensions",
        "the air is at rest in the beginning",
        "please generate smoke in a box",
        "this is a box of smoke seen from the side",
        "smoke is lifted by its buoyancy and rolls up",
    ),
    titles=("smoke", "buoyant smoke", "smoke in a box", "2D smoke", "rising smoke", "simulate smoke"),
    phrases={
        "count": (
            "with {plumes}",
            "that begins as {plumes}",
            "in {plumes}",
            "starting from {plumes}",
            "({plumes})",
            "made of {plumes}",
            "where {plumes} can be seen",
        ),
        "buoyancy": (
            "with a buoyancy of {buoyancy}",
            "at buoyancy {buoyancy}",
            "with a buoyancy factor of {buoyancy}",
            "with buoyancy = {buoyancy}",
            "under a buoyancy of {buoyancy}",
            "lifted by {buoyancy}",
            "(buoyancy {buoyancy})",
            "with an upward acceleration of {buoyancy}",
        ),
    },
    sentences={
        "count": (
            "the box holds {plumes}",
            "I can see {plumes}",
            "it begins with {plumes}",
            "the first frame shows {plumes}",
            "in the beginning we see {plumes}",
            "the number of plumes is {number}",
            "we count {plumes}",
        ),
        "buoyancy": (
            "the buoyancy is {buoyancy}",
            "the buoyancy factor is {buoyancy}",
            "the buoyancy equals {buoyancy}",
            "smoke of unit density is lifted with {buoyancy}",
            "the upward acceleration is {buoyancy}",
            "it rises with a buoyancy of {buoyancy}",
        ),
    },
    labels={
        "count": (
            "{plumes}",
            "plumes: {number}",
            "plumes = {number}",
            "number of plumes {number}",
            "{plumes} of smoke",
        ),
        "buoyancy": (
            "buoyancy {buoyancy}",
            "buoyancy = {buoyancy}",
            "buoyancy: {buoyancy}",
            "buoyancy={buoyancy}",
            "buoyancy factor {buoyancy}",
            "upward acceleration {buoyancy}",
        ),
    },
)

HELD_OUT = Wording(
    openings=(
        "could you draw some smoke",
        "what happens to smoke in a room",
        "picture warm smoke drifting up",
    ),
    scenes=(
        "imagine smoke that is trapped in a square",
        "here is a picture of smoke about to go up",
    ),
    titles=("smoke study", "case"),
    phrases={
        "count": ("consisting of {plumes}", "which at first forms {plumes}"),
        "buoyancy": ("pushed up by a buoyancy equal to {buoyancy}", "if its buoyancy is set to {buoyancy}"),
    },
    sentences={
        "count": ("start with {plumes}", "at first there should be {plumes}"),
        "buoyancy": ("let the buoyancy be {buoyancy}", "use {buoyancy} for the buoyancy factor"),
    },
    labels={
        "count": ("count of plumes {number}", "showing {plumes}"),
        "buoyancy": ("buoyancy of {buoyancy}", "factor of buoyancy: {buoyancy}"),
    },
)

NOUNS = (("plume", "plumes"), ("cloud", "clouds"), ("puff", "puffs"), ("plume of smoke", "plumes of smoke"))
"""One and many."""

DETAILS = (
    "the largest plume is {size} and {shape}, and lies in the {place}",
    "a {size} {shape} plume is in the {place}",
    "in the {place} there is a {size} and {shape} cloud",
    "the {place} holds a {size} {shape} one",
    "{place}: {size}, {shape}",
    "one of them, {size} and {shape}, is found in the {place}",
)
"""Sentences on single plumes; the first is for the largest only."""

FACTS = (
    "show {frames} frames",
    "the simulation lasts {duration}",
    "the box is {side} wide",
    "the viscosity is {viscosity}",
    "I need {frames} frames over {duration}",
    "the walls are closed",
)
"""Sentences with numbers that are none of the quantities."""
