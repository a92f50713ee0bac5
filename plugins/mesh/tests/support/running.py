"""Run one stage as the engine does, and open what it made."""

from fieldloom.testing import StageContract
from fieldloom_storage import Store


def run(stage_id, folder, data=None, **params):
    """Outputs of a stage: port to Dataset.

    ``data`` are the inputs by port; a list goes to a port that takes many.
    """
    store = Store(folder / "store", durable=False)
    contract = StageContract()
    contract.stage_id = stage_id
    contract.inputs = lambda: data or {}
    return {port: store.open(digest) for port, digest in contract.run_stage(store, **params).items()}
