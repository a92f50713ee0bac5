"""The contract of a store, as a test class to subclass: any backend must pass it.

>>> class TestMyStore(StoreContract):                      # doctest: +SKIP
...     def make_store(self, path):
...         return MyStore(path)
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from . import checkpoints
from .errors import ArtifactNotFound, CorruptArtifact, UnsupportedData
from .gc import collect
from .profile import Profile, Stream
from .store import Store
from .verify import repair, verify


def example() -> xr.Dataset:
    """Make a Dataset with every kind of variable that a store keeps exactly."""
    rng = np.random.default_rng(0)
    node = {
        "flag": np.array([True, False, True, True, False]),
        "label": np.array(["a", "", "bé", "c" * 40, "日本"]),
        "day": np.array(["2020-01-01", "NaT", "1969-12-31", "2100-07-01", "2000-02-29"], "datetime64[ns]"),
        "lapse": np.array([1, 2, -3, 4, 5], "timedelta64[s]"),
        "phase": np.arange(5) * (1 + 2j),
        "index": np.arange(5, dtype=np.int16),
        "big_endian": np.arange(5, dtype=">f8"),
    }
    fields = {
        "u": (("time", "node"), rng.standard_normal((7, 5)).astype(np.float32), {"units": "m s-1"}),
        "fortran": (("node", "time"), np.asfortranarray(rng.standard_normal((5, 7)))),
        "empty": (("none", "node"), np.zeros((0, 5))),
        "scalar": ((), 3.5),
        "text": ((), "hello"),
        "nan": ("node", np.array([np.nan, np.inf, -np.inf, -0.0, 0.0])),
    }
    coords = {"time": np.linspace(0, 1, 7), "name": ("node", list("abcde")), "x": ("node", rng.random(5)), "level": 5}
    variables: dict[str, Any] = {name: ("node", values) for name, values in node.items()}
    attrs = {"title": "example", "sizes": [1, 2], "ratio": np.float32(0.5), "nested": {"a": [True, None]}}
    return xr.Dataset(variables | fields, coords, attrs)


def assert_same(found: Any, expected: xr.Dataset) -> None:
    """Compare values, dims, coordinates and attributes; a string array may change its NumPy type."""
    xr.testing.assert_equal(found, expected)
    assert set(found.coords) == set(expected.coords)
    assert found["u"].attrs == expected["u"].attrs
    assert found.attrs == {**expected.attrs, "ratio": 0.5}


class StoreContract:
    """Override :meth:`make_store`; every test opens its own."""

    def make_store(self, path: Path, profile: Profile | None = None) -> Store:
        """Open the store under test at ``path``."""
        return Store(path, profile=profile, durable=False)

    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return self.make_store(tmp_path / "store")

    @pytest.mark.parametrize("profile", [Profile(), Profile("compact")], ids=["fast", "compact"])
    def test_round_trip_of_every_kind_of_variable(self, tmp_path: Path, profile: Profile) -> None:
        """What is read is what was stored, and what xarray.open_zarr reads."""
        store = self.make_store(tmp_path / "store", profile)
        artifact = store.put(example())
        assert_same(store.open(artifact.digest), example())
        plain = xr.open_zarr(artifact.path, chunks=None)
        xr.testing.assert_identical(store.open(artifact.digest), plain)

    def test_round_trip_of_a_tree(self, store: Store) -> None:
        """A DataTree comes back with its groups and attributes."""
        tree = xr.DataTree.from_dict(
            {
                "/": xr.Dataset(attrs={"a": 1}),
                "/x": example()[["index"]],
                "/x/y": xr.Dataset({"v": ("k", np.arange(3))}),
            }
        )
        found = store.open(store.put(tree).digest)
        assert isinstance(found, xr.DataTree)
        assert found.attrs == {"a": 1}
        assert set(found.groups) == {"/", "/x", "/x/y"}
        xr.testing.assert_equal(found["/x/y"].to_dataset(), tree["/x/y"].to_dataset())

    def test_digest_names_the_content_and_not_the_layout(self, tmp_path: Path) -> None:
        """Another profile, memory order, chunking or store gives the same digest; so does what was read back."""
        one, other = self.make_store(tmp_path / "1"), self.make_store(tmp_path / "2", Profile("compact"))
        artifact = one.put(example())
        assert other.put(example()).digest == artifact.digest
        assert other.put(one.open(artifact.digest)).digest == artifact.digest
        assert one.put(example().assign(fortran=example()["fortran"].copy())).digest == artifact.digest

    @pytest.mark.parametrize(
        "change",
        [
            lambda d: d.assign(scalar=3.25),
            lambda d: d.rename(u="v"),
            lambda d: d.assign_attrs(title="other"),
            lambda d: d.rename(node="point"),
            lambda d: d.astype({"index": np.int32}),
            lambda d: d.drop_vars("x"),
            lambda d: d.reset_coords("x"),
            lambda d: d.assign(label=d.label.copy(data=["a", "", "b", "c", "d"])),
            lambda d: d.assign(u=d.u.assign_attrs(units="km h-1")),
            lambda d: d.assign(day=d.day + np.timedelta64(1, "ns")),
        ],
    )
    def test_any_change_of_content_changes_the_digest(self, store: Store, change: Any) -> None:
        """Values, names, dims, dtypes, attributes and coordinates all count."""
        try:
            changed = change(example())
        except ValueError:  # astype of a whole Dataset: this xarray takes no mapping
            changed = example().assign(index=example()["index"].astype(np.int32))
        assert store.put(changed).digest != store.put(example()).digest

    def test_stream_equals_the_whole(self, store: Store) -> None:
        """Blocks along the first dimension give the artifact that the whole array gives."""
        whole = xr.Dataset(
            {"u": (("time", "x"), np.random.default_rng(1).random((50, 9))), "k": ("x", np.arange(9))},
            {"time": np.arange(50.0)},
            {"a": 1},
        )
        for size in (1, 7, 50):
            blocks = (whole.isel(time=slice(i, i + size)) for i in range(0, 50, size))
            assert store.put(Stream("time", blocks)).digest == store.put(whole).digest

    def test_lazy_reads_of_parts(self, store: Store) -> None:
        """Slices, steps, negative steps, single items and lists read what NumPy would."""
        values = np.random.default_rng(2).random((11, 6, 5))
        data: Any = store.open(store.put(xr.Dataset({"u": (("a", "b", "c"), values)})).digest)
        for key in [
            (slice(2, 9, 3),),
            (3, slice(None), slice(4, None, -2)),
            (slice(0, 0),),
            (slice(None), [4, 1], 2),
            (-1, -2, -3),
            (slice(None, None, -1),),
        ]:
            np.testing.assert_array_equal(data["u"][key].values, values[key])

    def test_stream_copies_what_its_producer_reuses(self, store: Store) -> None:
        """A solver may yield views of one buffer and overwrite it."""
        buffer = np.zeros((1, 3))

        def blocks() -> Any:
            for i in range(4):
                buffer[:] = i
                yield xr.Dataset({"u": (("t", "x"), buffer)})

        data: Any = store.open(store.put(Stream("t", blocks())).digest)
        np.testing.assert_array_equal(data["u"][:, 0], [0, 1, 2, 3])

    @pytest.mark.parametrize(
        "second",
        [
            {"u": (("t", "x"), np.ones((1, 2)))},
            {"u": (("t", "x"), np.ones((1, 3), np.int64))},
            {"v": (("t", "x"), np.ones((1, 2), np.int64))},
            {"u": (("x", "t"), np.ones((2, 1), np.int64))},
            {"u": (("t", "x"), np.ones((1, 2), np.int64), {"units": "m"})},
        ],
    )
    def test_blocks_of_a_stream_must_agree(self, store: Store, second: Any) -> None:
        """Another dtype, shape, name, order of dims or attribute is an error, not a conversion."""
        first = xr.Dataset({"u": (("t", "x"), np.ones((1, 2), np.int64))})
        with pytest.raises(UnsupportedData):
            store.put(Stream("t", [first, xr.Dataset(second)]))
        with pytest.raises(UnsupportedData, match="no variable of the stream has the dimension"):
            store.put(Stream("tme", [first]))

    def test_units_of_time_on_numbers_stay_attributes(self, store: Store) -> None:
        """A duration in seconds as a float comes back as a float, here and through xarray."""
        artifact = store.put(xr.Dataset({"run_time": ("x", [1.5, 2.5], {"units": "seconds"})}))
        for found in (store.open(artifact.digest), xr.open_zarr(artifact.path, chunks=None, decode_timedelta=False)):
            assert found["run_time"].dtype == float
            assert found["run_time"].attrs == {"units": "seconds"}

    def test_times_keep_their_resolution(self, store: Store) -> None:
        """Years that nanoseconds cannot reach are stored and read."""
        times = np.array(["0900-01-01", "5000-06-01"], "datetime64[s]")
        found: Any = store.open(store.put(xr.Dataset({"t": ("x", times)})).digest)
        assert found["t"].dtype == "datetime64[s]"
        np.testing.assert_array_equal(found["t"].values, times)

    def test_index_out_of_bounds_is_an_error(self, store: Store) -> None:
        """Not another row."""
        found: Any = store.open(store.put(xr.Dataset({"u": (("a", "b"), np.zeros((5, 2)))})).digest)
        with pytest.raises(IndexError):
            found["u"][5].load()

    @pytest.mark.parametrize("name", ["../up", "", "..", ".", "a/../../b", "/etc/passwd"])
    def test_names_do_not_lead_out_of_the_store(self, store: Store, name: str) -> None:
        """Keys, digests, leases, runs, pins and variables are names, not paths."""
        digest = store.put(xr.Dataset({"v": 1})).digest
        calls: list[Any] = [
            lambda: store.record(name, {"o": digest}, {}),
            lambda: store.lookup(name),
            lambda: store.open(name),
            lambda: store.lease(name),
            lambda: store.forget_run(name),
            lambda: store.pin(name),
            lambda: store.unpin(name),
            lambda: checkpoints.clear(store, name),
            lambda: store.put(xr.Dataset({name: 1})),
        ]
        for call in calls:
            with pytest.raises((ArtifactNotFound, UnsupportedData)):
                call()
        assert digest in store

    def test_what_cannot_be_stored_exactly_is_refused(self, store: Store) -> None:
        """Object arrays, odd attributes and ragged streams are errors that name the variable; nothing is left."""
        bad = [
            xr.Dataset({"o": ("x", np.array([1, "a"], object))}),
            xr.Dataset({"v": ("x", [1.0], {"a": object()})}),
            xr.Dataset({"w": ("x", np.zeros(2, np.longdouble))}),
            Stream("time", []),
            xr.Dataset({"s": ("x", [1.0], {"scale_factor": 2.0})}),
            xr.Dataset({"f": ("x", [1.0], {"_FillValue": 1.0})}),
            xr.Dataset({"h": ("x", [1.0], {"units": "hours since 2000-01-01"})}),
            xr.Dataset({"a": 1}, attrs={"coordinates": "a"}),
            xr.Dataset({"d": 1}, attrs={"at": np.datetime64("2020-01-01")}),
            xr.Dataset({"t": ("x", ["\ud800"])}),
            xr.Dataset({1: 2}),
            xr.Dataset({"zarr.json": 2}),
            Stream("time", [xr.Dataset({"u": (("x", "time"), np.zeros((2, 2)))})]),
            {"not": "data"},
        ]
        for data in bad:
            with pytest.raises(UnsupportedData):
                store.put(data)  # type: ignore[arg-type]  # wrong on purpose
        assert list(store.digests()) == []
        assert list((store.root / "tmp").iterdir()) == []

    def test_first_record_wins(self, store: Store) -> None:
        """A key is recorded once; who comes later gets what is there."""
        one, two = store.put(xr.Dataset({"v": 1})), store.put(xr.Dataset({"v": 2}))
        assert store.lookup("a" * 40) is None
        store.record("a" * 40, {"out": one.digest}, {})
        assert store.record("a" * 40, {"out": two.digest}, {}).outputs == {"out": one.digest}
        found = store.lookup("a" * 40)
        assert found is not None
        assert found.outputs == {"out": one.digest}
        with pytest.raises(ArtifactNotFound):
            store.record("b" * 40, {"out": "0" * 40}, {})

    def test_every_flipped_byte_is_found_and_named(self, store: Store) -> None:
        """Verify names artifact and variable; reading the damaged chunk is an error, not wrong data."""
        artifact = store.put(example())
        store.record("a" * 40, {"out": artifact.digest}, {})
        assert list(verify(store)) == []
        for path in sorted(p for p in store.root.rglob("*") if p.is_file() and p.parts[-4:-3] != ("runs",)):
            if "objects" not in path.parts and "keys" not in path.parts:
                continue
            intact = path.read_bytes()
            path.chmod(0o644)
            path.write_bytes(bytes([intact[0] ^ 1]) + intact[1:])
            problems = list(verify(store))
            assert problems, path
            if "/c" in str(path):
                assert problems[0].variable == path.relative_to(artifact.path).parts[0]
                with pytest.raises(CorruptArtifact):
                    store.open(artifact.digest).load()
            path.write_bytes(intact)
        assert list(verify(store)) == []

    def test_missing_and_truncated_chunks_are_errors(self, store: Store) -> None:
        """No fill values for what is gone; repair removes the artifact and its record."""
        artifact = store.put(example())
        store.record("a" * 40, {"out": artifact.digest}, {})
        chunk = artifact.path / "u" / "c" / "0" / "0"
        os.truncate(chunk, 8)
        with pytest.raises(CorruptArtifact):
            store.open(artifact.digest)
        chunk.unlink()
        with pytest.raises(CorruptArtifact, match="missing"):
            store.open(artifact.digest)
        repair(store, verify(store))
        assert artifact.digest not in store
        assert store.lookup("a" * 40) is None
        assert store.put(example()).digest == artifact.digest

    def test_gc_keeps_what_runs_and_pins_reach(self, store: Store) -> None:
        """Only what nobody needs goes, with its records; a dry run removes nothing."""
        kept, pinned, lost = (store.put(xr.Dataset({"v": i})).digest for i in range(3))
        store.record("a" * 40, {"out": lost}, {})
        store.pin(pinned)
        store.ledger.start_run({"id": "r", "flow": "f", "status": "done", "started": 0.0, "info": {}})
        row = dict.fromkeys(("step", "stage", "flow", "key", "status", "seconds", "stored", "finished", "code"))
        store.ledger.write_instances([{**row, "run": "r", "name": "n", "outputs": {"out": kept}, "info": {}}])
        assert collect(store, grace=-1, dry_run=True).artifacts == (lost,)
        assert collect(store, grace=3600).artifacts == ()
        assert collect(store, grace=-1).artifacts == (lost,)
        assert set(store.digests()) == {kept, pinned}
        assert store.lookup("a" * 40) is None
        store.forget_run("r")
        store.unpin(pinned)
        assert set(collect(store, grace=-1).artifacts) == {kept, pinned}

    def test_a_lease_has_one_holder(self, store: Store) -> None:
        """A second taker gets nothing until the first lets go."""
        lease = store.lease("k")
        assert lease is not None
        assert store.lease("k") is None
        assert store.is_leased("k")
        lease.release()
        assert not store.is_leased("k")
        again = store.wait_for_lease("k", lambda: False)
        assert again is not None
        again.release()

    def test_checkpoints_keep_the_newest(self, store: Store) -> None:
        """The newest intact state is found; a damaged one is passed over; clearing removes them."""
        assert checkpoints.latest(store, "k") is None
        for step in (1, 2, 30):
            checkpoints.save(store, "k", step, xr.Dataset({"v": step}))
        found = checkpoints.latest(store, "k")
        assert found is not None
        assert (found[0], int(found[1]["v"])) == (30, 30)
        checkpoints.save(store, "k", 4, xr.Dataset({"v": 4}))  # does not remove a newer one
        chunk = store.root / "checkpoints" / "k" / "000000000030.zarr" / "v" / "c"
        os.truncate(chunk, 0)
        found = checkpoints.latest(store, "k")
        assert found is not None
        assert found[0] == 4
        checkpoints.save(store, "k", 30, xr.Dataset({"v": 31}))  # replaces a damaged one
        found = checkpoints.latest(store, "k")
        assert found is not None
        assert int(found[1]["v"]) == 31
        checkpoints.clear(store, "k")
        assert checkpoints.latest(store, "k") is None

    def test_sizes_are_accounted_for(self, store: Store) -> None:
        """Logical and stored bytes are known for each artifact and in all."""
        artifact = store.put(xr.Dataset({"v": ("x", np.zeros(1000))}))
        assert artifact.nbytes == 8000
        assert artifact.stored >= 8000
        assert store.usage()["nbytes"] == 8000
        assert store.usage()["artifacts"] == 1
