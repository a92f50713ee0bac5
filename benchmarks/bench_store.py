"""The store: throughput against NumPy and xarray in the same run, small arrays, bit flips, gc under fire."""

import random
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import xarray as xr
from fieldloom_storage import Store, Stream
from fieldloom_storage.verify import verify
from measure import ENVIRONMENT, Row, interleaved, tree


def cpu(function):
    start = time.process_time()
    function()
    return time.process_time() - start


def throughput():
    """Put and get of 256 MiB of float32 against ``numpy.save``/``load`` and ``to_zarr`` with its defaults."""
    smooth = np.sin(np.linspace(0, 60, 64 * 1024 * 1024, dtype=np.float32))
    noise = np.random.default_rng(0).standard_normal(64 * 1024 * 1024, dtype=np.float32)
    data = xr.Dataset({"u": (("t", "y", "x"), (smooth + 0.05 * noise).reshape(64, 1024, 1024))})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)

        def fresh(name):
            """Remove the last round's files: their pages would crowd the cache that both sides use."""
            shutil.rmtree(path / name, ignore_errors=True)
            return path / name

        def put():
            store = Store(fresh("store"), durable=False)
            return cpu(lambda: store.put(data))

        def get():
            store = Store(path / "store")
            digest = next(store.digests())
            return cpu(lambda: store.open(digest).load())

        def zarr():
            target = fresh("zarr")
            with warnings.catch_warnings(action="ignore"):
                return cpu(lambda: data.to_zarr(target))

        functions = {
            "put": put, "save": lambda: cpu(lambda: np.save(Path(folder, "u.npy"), data["u"].values)),
            "zarr": zarr,
            "get": get, "load": lambda: cpu(lambda: np.load(Path(folder, "u.npy"))),
        }  # fmt: skip
        for function in functions.values():
            function()
        seconds = interleaved(5, **functions)
    against_save, against_zarr = seconds["save"] / seconds["put"], seconds["zarr"] / seconds["put"]
    against_load = seconds["load"] / seconds["get"]
    gib = 0.25
    yield Row("store put, digest and checksums included, against `numpy.save`", "≥ 0.35x",
              f"{against_save:.2f}x ({seconds['put'] / gib:.2f} against {seconds['save'] / gib:.2f} CPU s/GiB)",
              against_save >= 0.35)  # fmt: skip
    yield Row("… against `to_zarr` with its defaults", "≥ 5x", f"{against_zarr:.1f}x", against_zarr >= 5)
    yield Row("store get, every checksum verified, against `numpy.load`", "≥ 0.35x",
              f"{against_load:.2f}x ({seconds['get'] / gib:.2f} against {seconds['load'] / gib:.2f} CPU s/GiB)",
              against_load >= 0.35)  # fmt: skip


def small_arrays():
    """1,000 arrays of 10 kB in one Dataset."""
    data = xr.Dataset({f"v{i}": ("x", np.random.default_rng(i).random(2500, np.float32)) for i in range(1000)})
    with tempfile.TemporaryDirectory() as folder:
        count = iter(range(100))
        ours = lambda: cpu(lambda: Store(Path(folder, f"s{next(count)}")).put(data))  # noqa: E731
        peer = lambda: cpu(lambda: data.to_zarr(Path(folder, f"z{next(count)}.zarr")))  # noqa: E731
        seconds = interleaved(5, ours=ours, peer=peer)
    yield Row("1,000 arrays of 10 kB", "≤ 0.5 s", f"{seconds['ours']:.2f} s (xarray {seconds['peer']:.2f} s)",
              seconds["ours"] <= 0.5)  # fmt: skip


def flips():
    """200 random single-bit flips anywhere in objects and records."""
    generator, found = random.Random(0), 0
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder, "s"), durable=False)
        for i in range(3):
            values = np.random.default_rng(i).random((30, 2000))
            digest = store.put(xr.Dataset({"u": (("t", "x"), values), "k": ("x", np.arange(2000))})).digest
            store.record(f"{i:040d}", {"out": digest}, {})
        files = [p for name in ("objects", "keys") for p in (store.root / name).rglob("*") if p.is_file()]
        small, large = [p for p in files if p.stat().st_size < 10_000], [p for p in files if p.stat().st_size >= 10_000]
        for i in range(200):
            path = generator.choice(large if i % 2 else small)
            intact = path.read_bytes()
            at = generator.randrange(len(intact))
            path.chmod(0o644)
            path.write_bytes(intact[:at] + bytes([intact[at] ^ (1 << generator.randrange(8))]) + intact[at + 1 :])
            name = path.stem if "keys" in path.parts else next(p for p in path.parts if p.endswith(".zarr"))[:-5]
            found += {problem.name for problem in verify(store)} == {name}
            path.write_bytes(intact)
    yield Row("single-bit flips in 200 random places", "every one found and named", f"{found} of 200", found == 200)


_RACE = """
import sys, time, random, numpy as np, xarray as xr
from fieldloom_storage import ArtifactNotFound, CorruptArtifact, Store
from fieldloom_storage.gc import collect
root, role, end = sys.argv[1], sys.argv[2], time.time() + float(sys.argv[3])
store, bad, good = Store(root, durable=False), 0, 0
while time.time() < end:
    i = random.randrange(12)
    if role == "write":
        store.record(f"{i:040d}", {"out": store.put(xr.Dataset({"v": ("x", np.full(50, float(i)))})).digest}, {})
        time.sleep(random.random() * 1.5)
    elif role == "gc":
        good += len(collect(store, grace=1.0).artifacts)
        time.sleep(0.01)
    elif (record := store.lookup(f"{i:040d}")) is not None and random.random() < 0.3:
        try:
            bad += float(store.open(record.outputs["out"]).v.sum()) != 50.0 * i
            good += 1
        except (ArtifactNotFound, CorruptArtifact, OSError):
            bad += 1
        time.sleep(random.random() * 0.5 if i < 6 else 0)
print(bad, good)
"""


def gc_race(seconds=60):
    """Garbage collection racing three writers and two readers."""
    with tempfile.TemporaryDirectory() as folder:
        roles = ["write", "write", "write", "read", "read", "gc"]
        processes = [subprocess.Popen([sys.executable, "-c", _RACE, folder + "/s", role, str(seconds)], text=True,
                                      stdout=subprocess.PIPE, env=ENVIRONMENT) for role in roles]  # fmt: skip
        results = [tuple(map(int, process.communicate()[0].split())) for process in processes]
        damage = len(list(verify(Store(folder + "/s"))))
    dangling, reads = sum(r[0] for r in results[3:5]), sum(r[1] for r in results[3:5])
    yield Row(f"gc racing 3 writers and 2 readers for {seconds} s", "0 dangling reads",
              f"{dangling} of {reads:,} reads, {results[5][1]} collected, {damage} damaged after",
              dangling == 0 and damage == 0)  # fmt: skip


_STREAM = """
import sys, resource, numpy as np, xarray as xr
from fieldloom_storage import Store, Stream
store = Store(sys.argv[1], durable=False)
cap = 256 * 2**20
resource.setrlimit(resource.RLIMIT_DATA, (cap, cap))
blocks = (xr.Dataset({"u": (("t", "x"), np.full((8, 2**20), i, np.float32))}) for i in range(32))
artifact = store.put(Stream("t", blocks))
data = store.open(artifact.digest)
total = sum(float(data.u[i:i + 8].max()) for i in range(0, 256, 8))
assert total == sum(range(32)), total
print(artifact.nbytes)
"""


def streaming():
    """An array of four times the memory cap, written and read."""
    with tempfile.TemporaryDirectory() as folder:
        cost = tree([sys.executable, "-c", _STREAM, folder + "/s"], memory=True)
    ok = cost.stdout.strip() == str(2**30)
    yield Row("stream of 1 GiB, written and read under a cap of 256 MiB of data", "peak ≤ cap",
              f"{'done' if ok else cost.stderr[-200:]}; resident peak {cost.peak / 2**20:.0f} MiB, libraries included", ok)  # fmt: skip


_DIGESTS = """
import sys
import xarray as xr
from fieldloom_storage import Store
from fieldloom_storage.testing import example
store = Store(sys.argv[1])
tree = xr.DataTree.from_dict({"/a": example(), "/a/b": example()[["u"]]})
print(store.put(example()).digest, store.put(tree).digest)
"""


def digests():
    """Two processes, two stores, strings, datetimes, attributes and a tree."""
    with tempfile.TemporaryDirectory() as folder:
        found = {
            tree([sys.executable, "-c", _DIGESTS, f"{folder}/{i}"], PYTHONHASHSEED=str(i)).stdout for i in (1, 2, 3)
        }
    yield Row("same content, three processes, three stores", "equal digests", f"{len(found)} distinct", len(found) == 1)


assert Stream  # used in the child programs above
