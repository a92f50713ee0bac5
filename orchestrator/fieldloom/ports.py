"""Do two ports agree, and does data keep its port's contract?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from . import contracts
from .errors import PortError, did_you_mean
from .stage import Port, Variable
from .units import same

if TYPE_CHECKING:
    import xarray as xr

_KINDS = {
    "float": frozenset("f"),
    "int": frozenset("iu"),
    "number": frozenset("fiuc"),
    "bool": frozenset("b"),
    "string": frozenset("SUOT"),
    "time": frozenset("mM"),
    "any": frozenset("fiucbSUOTmM"),
}
_LETTERS = {"float": "f", "int": "i", "uint": "u", "complex": "c", "bool": "b", "datetime": "M", "timedelta": "m"}
Sizes = dict[str, int]


def disagreements(offered: Port, wanted: Port, promised: Sizes) -> Iterator[str]:
    """Say why data of port ``offered`` cannot go into port ``wanted``.

    Parameters
    ----------
    promised : dict of str to int
        Sizes that the offering instance promises.
    """
    if wanted.tree != offered.tree:
        yield f"it wants a {_form(wanted)} and gets a {_form(offered)}"
        return
    if not _contract_fits(offered, wanted.contract):
        yield f"it wants a {wanted.contract} and gets a {offered.contract}"
        return
    for name, want in wanted.variables.items():
        have = offered.variables.get(name)
        if have is None:
            if not (want.optional or offered.open):
                yield f"it wants variable {name!r}, which is not offered; {did_you_mean(name, offered.variables)}"
        elif have.optional and not want.optional:
            yield f"it wants variable {name!r}, which may be absent"
        else:
            yield from _variable_disagreements(name, have, want)
    for attr in wanted.attrs:
        if attr not in offered.attrs and not offered.open:
            yield f"it wants attribute {attr!r}, which is not offered"
    for dim, size in wanted.sizes.items():
        if isinstance(size, int) and promised.get(dim, size) != size:
            yield f"it wants {size} along {dim!r} and gets {promised[dim]}"


def _contract_fits(offered: Port, wanted: str) -> bool:
    """A population is also a mesh; what promises nothing, or an open field, may turn out to be anything."""
    kind = offered.contract
    unknown = not kind or (kind == "field" and offered.open)
    return unknown or wanted in ("", "field", kind) or (kind, wanted) == ("population", "mesh")


def _form(port: Port) -> str:
    return "DataTree" if port.tree else "Dataset"


def _variable_disagreements(name: str, have: Variable, want: Variable) -> Iterator[str]:
    if want.dims != (...,) and have.dims != (...,) and have.dims != want.dims:
        yield f"variable {name!r} should have dims ({_listed(want)}) and has ({_listed(have)})"
    if not _fits(have.dtype, want.dtype):
        yield f"variable {name!r} should be {want.dtype} and is {have.dtype}"
    if want.units and have.units and not same(want.units, have.units):
        yield f"variable {name!r} should be in {want.units!r} and is in {have.units!r}"


def _listed(variable: Variable) -> str:
    return ", ".join(map(str, variable.dims))


def _fits(have: str, want: str) -> bool:
    """Tell whether data of dtype (or kind) ``have`` is of dtype (or kind) ``want``."""
    if have in _KINDS or want in _KINDS:
        return bool(_kinds(have) & _kinds(want))
    return have == want


def _kinds(dtype: str) -> frozenset[str]:
    """Kinds (NumPy's letters) that a kind's or a dtype's name allows."""
    name = dtype.rstrip("0123456789").partition("[")[0].rstrip("0123456789")
    return _KINDS.get(dtype) or frozenset(_LETTERS.get(name, "O"))


def promised_sizes(ports: Mapping[str, Port], params: Any, symbols: Sizes) -> dict[str, Sizes]:
    """Sizes that each output port promises, with symbols replaced by parameters or by the inputs' sizes."""
    promises: dict[str, Sizes] = {}
    for name, port in ports.items():
        promises[name] = {}
        for dim, size in port.sizes.items():
            value = size if isinstance(size, int) else getattr(params, size, symbols.get(size))
            if isinstance(value, int):
                promises[name][dim] = value
    return promises


def bind_symbols(port: Port, promised: Sizes, params: Any, symbols: Sizes) -> Iterator[str]:
    """Give the symbols of an input port the sizes that it will get; say where two ports disagree."""
    for dim, symbol in port.sizes.items():
        if isinstance(symbol, str) and dim in promised:
            expected = getattr(params, symbol, None)
            expected = expected if isinstance(expected, int) else symbols.setdefault(symbol, promised[dim])
            if expected != promised[dim]:
                yield f"{dim!r} should be {symbol} = {expected} and is {promised[dim]}"


def check(data: xr.Dataset | xr.DataTree, port: Port, owner: str) -> None:
    """Check data against its port's contract.

    Parameters
    ----------
    owner : str
        Stage and port, for the message.

    Raises
    ------
    PortError
        With everything that is wrong.
    """
    import xarray as xr

    if port.tree != isinstance(data, xr.DataTree):
        raise PortError(f"{owner} should be a {_form(port)}, got a {type(data).__name__}")
    if port.tree:
        return
    assert isinstance(data, xr.Dataset)
    problems = [*_violations(data, port)]
    if port.contract and not problems:  # it reads variables that must be there
        problems = [*contracts.violations(data, port.contract)]
    if problems:
        raise PortError(f"{owner} breaks its contract:\n  " + "\n  ".join(problems))


def _violations(data: xr.Dataset, port: Port) -> Iterator[str]:
    for name, want in port.variables.items():
        if name not in data.variables:
            if not want.optional:
                yield f"variable {name!r} is missing; {did_you_mean(name, map(str, data.variables))}"
            continue
        found = data[name]
        kind = getattr(found.dtype, "kind", "O")
        have = Variable(tuple(map(str, found.dims)), _kind_name(kind, str(found.dtype), want), found.attrs.get("units"))
        yield from _variable_disagreements(name, have, want)
        if want.units and not have.units:
            yield f"variable {name!r} has no attribute 'units'; it should be {want.units!r}"
    if not port.extra and (unknown := {str(v) for v in data.variables} - set(port.variables)):
        yield f"variables {sorted(unknown)} are not part of the contract"
    for attr in port.attrs:
        if attr not in data.attrs:
            yield f"attribute {attr!r} is missing"
    for dim, size in port.sizes.items():
        if isinstance(size, int) and data.sizes.get(dim, size) != size:
            yield f"dimension {dim!r} should be {size} long and is {data.sizes[dim]}"
    if port.files:
        yield from _file_violations(data)


def _kind_name(kind: str, dtype: str, want: Variable) -> str:
    if want.dtype not in _KINDS:
        return dtype
    return next((name for name, kinds in _KINDS.items() if kind in kinds), "any")


def _file_violations(data: xr.Dataset) -> Iterator[str]:
    for name, variable in data.data_vars.items():
        if variable.dtype != "uint8" or variable.ndim != 1:
            yield f"variable {name!r} should be a file's bytes (uint8, one dimension)"
        for attr in ("filename", "media_type"):
            if attr not in variable.attrs:
                yield f"variable {name!r} lacks the attribute {attr!r} of a file"
