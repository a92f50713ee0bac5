"""The store keeps its contract, and what a crash, a full disk or a race can do to it."""

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from fieldloom_storage import CorruptArtifact, Profile, Store, StoreFormatError, UnsupportedData, canonical
from fieldloom_storage.gc import collect
from fieldloom_storage.layout import chunk_shape
from fieldloom_storage.testing import StoreContract
from fieldloom_storage.verify import verify
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst


class TestStore(StoreContract):
    pass


def child(program, *arguments, **options):
    return subprocess.Popen([sys.executable, "-c", program, *map(str, arguments)], **options)


PUT = """
import sys, numpy as np, xarray as xr
from fieldloom_storage import Store
store = Store(sys.argv[1])
print("ready", flush=True)
data = xr.Dataset({f"v{i}": (("t", "x"), np.full((40, 20000), float(i + int(sys.argv[2])))) for i in range(6)})
artifact = store.put(data)
store.record("a" * 40, {"out": artifact.digest}, {})
print("done", flush=True)
"""


@pytest.mark.parametrize("delay", [0.0, 0.01, 0.03, 0.06, 0.1, 0.15, 0.25])
def test_killed_writer_leaves_nothing_visible(tmp_path, delay):
    Store(tmp_path / "s")
    process = child(PUT, tmp_path / "s", 0, stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    time.sleep(delay)
    process.kill()
    process.wait()
    store = Store(tmp_path / "s")
    assert list(verify(store)) == []
    record = store.lookup("a" * 40)
    if record:
        assert len(store.open(record.outputs["out"]).load()) == 6
    assert child(PUT, tmp_path / "s", 0, stdout=subprocess.DEVNULL).wait() == 0
    assert store.lookup("a" * 40)
    collect(store, grace=3600)
    assert list((store.root / "tmp").iterdir()) == []


def test_concurrent_writers_of_one_key_end_with_one_record(tmp_path):
    Store(tmp_path / "s")
    processes = [child(PUT, tmp_path / "s", i, stdout=subprocess.DEVNULL) for i in range(3)]
    assert [p.wait() for p in processes] == [0, 0, 0]
    store = Store(tmp_path / "s")
    assert list(verify(store)) == []
    assert len(store.open(store.lookup("a" * 40).outputs["out"]).load()) == 6


def test_full_disk_is_a_clear_error_and_leaves_nothing(tmp_path):
    program = """
import sys, resource, signal, numpy as np, xarray as xr
from fieldloom_storage import Store, StoreFull
store = Store(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    store.put(xr.Dataset({"u": ("x", np.zeros(100_000))}))
except StoreFull as error:
    print(error)
"""
    result = subprocess.run([sys.executable, "-c", program, str(tmp_path / "s")], capture_output=True, text=True)
    assert "no space left" in result.stdout, result.stderr
    assert "Nothing was committed" in result.stdout
    assert list(Store(tmp_path / "s").digests()) == []
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


@pytest.mark.skipif(os.getuid() == 0 and not shutil.which("setpriv"), reason="root ignores permissions without setpriv")
def test_read_only_store_reads_and_refuses_to_write(tmp_path):
    store = Store(tmp_path / "s")
    digest = store.put(xr.Dataset({"v": 1})).digest
    store.record("a" * 40, {"out": digest}, {})
    program = f"""
import xarray as xr
from fieldloom_storage import Store, StoreReadOnly
store = Store({str(tmp_path / "s")!r})
print(int(store.open(store.lookup("a" * 40).outputs["out"]).v))
try:
    store.put(xr.Dataset({{"v": 2}}))
except StoreReadOnly as error:
    print(error)
"""
    folders = [p for p in [store.root, *store.root.rglob("*")] if p.is_dir()]
    for folder in folders:
        folder.chmod(0o555)
    drop = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search"]
    command = [*(drop if os.getuid() == 0 else []), sys.executable, "-c", program]
    result = subprocess.run(command, capture_output=True, text=True)
    for folder in folders:
        folder.chmod(0o755)
    assert result.stdout.startswith("1\n"), result.stderr
    assert "read-only" in result.stdout


def test_newer_format_and_foreign_folders_are_refused(tmp_path):
    store = Store(tmp_path / "s")
    (store.root / "store.json").write_bytes(canonical.seal({"format": 99}))
    with pytest.raises(StoreFormatError, match="format 99"):
        Store(tmp_path / "s")
    (store.root / "store.json").write_text("{}")
    with pytest.raises(StoreFormatError, match="damaged"):
        Store(tmp_path / "s")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").touch()
    with pytest.raises(StoreFormatError, match="not empty"):
        Store(tmp_path / "other")
    with pytest.raises(StoreFormatError, match="there is no store at"):
        Store(tmp_path / "absent", create=False)


def test_two_processes_two_stores_one_digest(tmp_path):
    program = """
import sys
from fieldloom_storage import Store
from fieldloom_storage.testing import example
import xarray as xr
print(Store(sys.argv[1]).put(example()).digest)
print(Store(sys.argv[1]).put(xr.DataTree.from_dict({"/a": example(), "/a/b": example()[["u"]]})).digest)
"""
    runs = [
        subprocess.run([sys.executable, "-c", program, str(tmp_path / name)], capture_output=True, text=True,
                       check=True, env={**os.environ, "PYTHONHASHSEED": seed}).stdout
        for name, seed in (("one", "1"), ("two", "2"))
    ]  # fmt: skip
    assert runs[0] == runs[1]
    assert len(set(runs[0].split())) == 2


def test_random_single_bit_flips_are_all_found(tmp_path):
    store = Store(tmp_path / "s", durable=False)
    data = xr.Dataset({"u": (("t", "x"), np.random.default_rng(0).random((30, 4000)))}, {"t": np.arange(30)})
    artifact = store.put(data)
    files = [p for p in artifact.path.rglob("*") if p.is_file()]
    generator = random.Random(0)
    for _ in range(60):
        path = generator.choices(files, [p.stat().st_size for p in files])[0]
        intact = path.read_bytes()
        at, bit = generator.randrange(len(intact)), 1 << generator.randrange(8)
        path.chmod(0o644)
        path.write_bytes(intact[:at] + bytes([intact[at] ^ bit]) + intact[at + 1 :])
        found = list(verify(store))
        assert [problem.name for problem in found] == [artifact.digest] * len(found) != []
        path.write_bytes(intact)


def test_forked_readers_work(tmp_path):
    store = Store(tmp_path / "s", durable=False)
    data = store.open(store.put(xr.Dataset({"u": ("x", np.arange(1000.0))})).digest)
    assert float(data.u.sum()) == 499500
    pid = os.fork()
    if pid == 0:
        os._exit(0 if float(data.u[:10].sum()) == 45 else 1)
    assert os.waitpid(pid, 0)[1] == 0


def test_lossy_profile_is_recorded_and_names_other_content(tmp_path):
    data = xr.Dataset(
        {"u": ("x", np.random.default_rng(0).random(1000).astype(np.float32)), "k": ("x", np.arange(1000))}
    )
    lossy = Store(tmp_path / "l", profile=Profile("lossy", keepbits=7))
    artifact = lossy.put(data)
    found = lossy.open(artifact.digest)
    assert found.u.attrs["quantization_keepbits"] == 7
    np.testing.assert_allclose(found.u, data.u, rtol=2.0**-8)
    np.testing.assert_array_equal(found.k, data.k)
    assert artifact.stored < 0.75 * data.nbytes
    assert artifact.digest != Store(tmp_path / "f").put(data).digest
    with pytest.raises(ValueError, match="keepbits"):
        Profile("fast", keepbits=7)


def test_streaming_needs_one_chunk_of_memory(tmp_path):
    """An array of 4x the cap goes through a stream while the process may allocate no more than the cap."""
    program = """
import sys, resource, numpy as np, xarray as xr
from fieldloom_storage import Store, Stream
store = Store(sys.argv[1], durable=False)
store.put(xr.Dataset({"warm": 1}))
cap = 256 * 2**20
resource.setrlimit(resource.RLIMIT_DATA, (cap, cap))
blocks = (xr.Dataset({"u": (("t", "x"), np.full((8, 2**20), i, np.float32))}) for i in range(32))
artifact = store.put(Stream("t", blocks))
data = store.open(artifact.digest)
print(artifact.nbytes, sum(float(data.u[i, 5]) for i in range(0, 256, 8)))
"""
    result = subprocess.run([sys.executable, "-c", program, str(tmp_path / "s")], capture_output=True, text=True,
                            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"})  # fmt: skip
    assert result.stdout.split() == [str(2**30), "496.0"], result.stderr


def test_gc_racing_writers_and_readers_loses_nothing(tmp_path):
    """Readers that looked a key up can read it, whatever gc does meanwhile. The benchmark does this for a minute."""
    program = """
import sys, time, random, numpy as np, xarray as xr
from fieldloom_storage import ArtifactNotFound, CorruptArtifact, Store
from fieldloom_storage.gc import collect
root, role, end = sys.argv[1], sys.argv[2], time.time() + 6
store, bad, good = Store(root, durable=False), 0, 0
while time.time() < end:
    i = random.randrange(8)
    if role == "write":
        store.record(f"{i:040d}", {"out": store.put(xr.Dataset({"v": ("x", np.full(50, float(i)))})).digest}, {})
    elif role == "gc":
        collect(store, grace=1.0)
    elif (record := store.lookup(f"{i:040d}")) is not None:
        try:
            bad += float(store.open(record.outputs["out"]).v.sum()) != 50.0 * i
            good += 1
        except (ArtifactNotFound, CorruptArtifact, OSError):
            bad += 1
    time.sleep(0.0 if role == "read" else random.random() * (2.0 if role == "write" else 0.02))
print(bad, good)
"""
    roles = ["write", "write", "read", "gc"]
    processes = [child(program, tmp_path / "s", role, stdout=subprocess.PIPE, text=True) for role in roles]
    outputs = [process.communicate()[0].split() for process in processes]
    assert outputs[2][0] == "0"
    assert int(outputs[2][1]) > 50
    assert list(verify(Store(tmp_path / "s"))) == []


@given(st.lists(st.integers(0, 300), min_size=1, max_size=4), st.sampled_from([1, 2, 4, 8]), st.integers(16, 4096))
def test_chunks_are_contiguous_and_no_larger_than_asked(shape, itemsize, target):
    chunk = chunk_shape(tuple(shape), itemsize, target)
    split = [i for i, (c, n) in enumerate(zip(chunk, shape, strict=True)) if c < n]
    assert all(chunk[i] == 1 for i in range(len(shape)) if split and i < max(split) and shape[i] > 0)
    assert np.prod(chunk) * itemsize <= max(target, itemsize)


@settings(max_examples=40, deadline=None)
@given(npst.arrays(npst.floating_dtypes(sizes=(32, 64), endianness="<") | npst.integer_dtypes(endianness="<"),
                   npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=6)))  # fmt: skip
def test_any_numeric_array_round_trips(tmp_path_factory, values):
    store = Store(tmp_path_factory.mktemp("h"), durable=False)
    dims = tuple("abc"[: values.ndim])
    artifact = store.put(xr.Dataset({"v": (dims, values)}))
    found = store.open(artifact.digest)["v"]
    assert found.dtype == values.dtype
    np.testing.assert_array_equal(found.values, values)
    assert list(verify(store, [artifact.digest])) == []


def test_artifact_of_another_version_is_refused(tmp_path):
    store = Store(tmp_path / "s")
    artifact = store.put(xr.Dataset({"v": 1}))
    path = artifact.path / "manifest.json"
    manifest = canonical.unseal(path.read_bytes())
    path.chmod(0o644)
    path.write_bytes(canonical.seal({**manifest, "format": 2}))
    with pytest.raises(CorruptArtifact, match="newer"):
        store.open(artifact.digest)


def test_canonical_json_is_canonical():
    assert canonical.dumps({"b": (1, np.float64(2)), "a": np.arange(2)}) == b'{"a":[0,1],"b":[1,2.0]}'
    sealed = canonical.seal({"x": 1})
    assert canonical.unseal(sealed) == {"x": 1}
    for i in range(len(sealed)):
        with pytest.raises(ValueError, match=r"."):
            canonical.unseal(sealed[:i] + bytes([sealed[i] ^ 2]) + sealed[i + 1 :])
    with pytest.raises(TypeError):
        canonical.dumps({1: 2})


def test_multi_index_is_refused_with_advice(tmp_path):
    data = xr.Dataset({"v": (("x", "y"), np.zeros((2, 2)))}, {"x": [0, 1], "y": [0, 1]}).stack(z=("x", "y"))
    with pytest.raises(UnsupportedData, match="reset_index"):
        Store(tmp_path / "s").put(data)


def test_killed_holder_frees_its_lease(tmp_path):
    store = Store(tmp_path / "s")
    program = "import sys, time; from fieldloom_storage import Store; l = Store(sys.argv[1]).lease('k'); print(l, flush=True); time.sleep(60)"
    process = child(program, store.root, stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    assert store.is_leased("k")
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert store.lease("k") is not None


def test_ledger_survives_its_writer(tmp_path):
    program = """
import sys, os
from fieldloom_storage import Store
store = Store(sys.argv[1])
store.ledger.start_run({"id": "r", "flow": "f", "status": "running", "started": 1.0, "info": {"a": 1}})
os.kill(os.getpid(), 9)
"""
    child(program, tmp_path / "s").wait()
    row = Store(tmp_path / "s").ledger.run("r")
    assert row["status"] == "running"
    assert json.dumps(row["info"]) == '{"a": 1}'
    assert Path(tmp_path / "s" / "runs" / "ledger.db").exists()


def test_put_replaces_a_damaged_artifact(tmp_path):
    store = Store(tmp_path / "s")
    data = xr.Dataset({"u": ("x", np.arange(9.0))})
    artifact = store.put(data)
    (artifact.path / "u" / "c" / "0").unlink()
    xr.testing.assert_identical(store.open(store.put(data).digest), data)


def test_swapped_chunks_and_changed_metadata_are_errors(tmp_path):
    store = Store(tmp_path / "s", durable=False)
    rows = np.arange(6.0).reshape(3, 2)
    big = store.put(xr.Dataset({"u": (("t", "x"), np.repeat(rows, 2**20, axis=1))}))
    one, two = (big.path / "u" / "c" / str(i) / "0" for i in (0, 1))
    one.rename(one.with_name("t"))
    two.rename(one)
    one.with_name("t").rename(two)
    with pytest.raises(CorruptArtifact, match="checksum"):
        store.open(big.digest).u[0].load()
    small = store.put(xr.Dataset({"v": ("x", np.arange(5))}))
    metadata = small.path / "zarr.json"
    metadata.chmod(0o644)
    metadata.write_bytes(metadata.read_bytes().replace(b"[5]", b"[4]"))
    with pytest.raises(CorruptArtifact, match=r"zarr\.json has changed"):
        store.open(small.digest)


def test_strangers_in_the_store_are_named(tmp_path):
    store = Store(tmp_path / "s")
    artifact = store.put(xr.Dataset({"v": 1}))
    for path in ("objects/extra", "keys/aa.json", "objects/zz/x"):
        (store.root / path).parent.mkdir(exist_ok=True)
        (store.root / path).touch()
    (artifact.path / "empty").mkdir()
    assert {(p.name, p.file) for p in verify(store)} == {
        ("objects", "extra"), ("objects", "zz/x"), ("keys", "aa.json"), (artifact.digest, "empty"),
    }  # fmt: skip


def test_many_processes_open_one_new_store(tmp_path):
    program = """
import sys
from fieldloom_storage import Store
store = Store(sys.argv[1])
store.ledger.start_run({"id": sys.argv[2], "flow": "f", "status": "running", "started": 1.0, "info": {}})
for i in range(5):
    store.ledger.update_run("0", {f"{sys.argv[2]}-{i}": 1})
"""
    assert child(program, tmp_path / "s", 0).wait() == 0
    shutil.rmtree(tmp_path / "s" / "objects")
    processes = [child(program, tmp_path / "s", i) for i in range(1, 7)]
    assert [p.wait() for p in processes] == [0] * 6
    assert len(Store(tmp_path / "s").ledger.run("0")["info"]) == 35


def test_gc_spares_the_staging_of_a_living_writer(tmp_path):
    store = Store(tmp_path / "s")

    def blocks():
        yield xr.Dataset({"u": ("t", np.zeros(3))})
        collect(Store(tmp_path / "s"), grace=-1)
        yield xr.Dataset({"u": ("t", np.ones(3))})

    from fieldloom_storage import Stream

    assert float(store.open(store.put(Stream("t", blocks())).digest).u.sum()) == 3.0


@pytest.mark.parametrize("name", ["objects", "keys", "checkpoints", "runs", "pins", "leases", "tmp"])
def test_store_makes_a_deleted_folder_again(tmp_path, name):
    Store(tmp_path / "s").put(xr.Dataset({"v": 1}))
    shutil.rmtree(tmp_path / "s" / name)
    store = Store(tmp_path / "s")
    digest = store.put(xr.Dataset({"v": 2})).digest
    store.record("a" * 40, {"out": digest}, {})
    assert store.ledger.runs() == []
    assert list(verify(store)) == []
