"""The stage: what a plugin author writes. Importing this module imports neither xarray nor torch nor Prefect."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import EllipsisType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_type_hints

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from .context import Context

Offer = dict[str, "Variable"]


def param(default: Any, description: str, *, unit: str | None = None, **bounds: Any) -> Any:
    """Declare a stage parameter.

    Parameters
    ----------
    default : Any
        ``...`` makes the parameter required.
    description : str
        One line; it becomes the JSON schema, the reference page and the error message.
    unit : str, optional
        The unit that ``run`` sees, in UDUNITS style (``"m s-1"``). The spec may then say ``"10 cm/s"``.
    **bounds
        ``gt``, ``ge``, ``lt``, ``le``, ``min_length``, ``pattern``, ...: see :func:`pydantic.Field`.
    """
    extra: Any = {"unit": unit} if unit else None
    return Field(default, description=description, json_schema_extra=extra, **bounds)


def path_param(default: Any, description: str) -> Any:
    """Declare a parameter that names a file or folder outside the store; annotate it as ``str``.

    A relative path starts at the folder that fieldloom is called in. What the file holds enters the action key,
    its place does not: moving it recomputes nothing, changing it does. See :meth:`Stage.files`.
    """
    return Field(default, description=description, json_schema_extra={"path": True})


class StageParams(BaseModel):
    """Base of every stage's parameters: immutable, and unknown names are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True)
class Variable:
    """What a port promises, or asks, of one variable.

    Parameters
    ----------
    dims : tuple of str
        Dimensions in order; ``...`` as the only item stands for any.
    dtype : {"float", "int", "number", "bool", "string", "time", "any"} or a NumPy name
        Kind, or exact dtype.
    units : str, optional
        Units in UDUNITS style. Compared by meaning: ``m/s`` is ``m s-1``.
    description : str
        Shown in the reference.
    optional : bool
        An input that need not be there; an output that may be absent.
    """

    dims: tuple[str | EllipsisType, ...]
    dtype: str = "float"
    units: str | None = None
    description: str = ""
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Port:
    """The data contract of an input or output: an xarray Dataset (or, with ``many``, several).

    Parameters
    ----------
    variables : mapping of str to Variable
        Variables and coordinates.
    sizes : mapping of str to int or str
        Sizes of dimensions. A string is a symbol: a parameter of that name, or a size that all ports of the
        stage share.
    attrs : tuple of str
        Attributes of the Dataset that must be there.
    contract : str
        What the variables form together: ``"mesh"``, ``"grid"``, ``"population"`` or nothing; data is validated
        against it. :mod:`fieldloom.contracts` makes such ports.
    many : bool
        Input only: the port takes any number of instances (``step.*``), as a :class:`~fieldloom.Collection`.
    optional : bool
        Input only: ``input_ports`` may leave the port out for some parameters.
    extra : bool
        Whether the Dataset may hold variables that are not listed.
    open : bool
        Output only: what it holds is known when it runs, so that planning lets everything pass that asks for it.
    tree : bool
        The data is an xarray DataTree; its variables are not checked.
    files : bool
        The variables are files: ``uint8`` bytes with attributes ``filename`` and ``media_type``. Reports show
        pictures among them, and runs leave them in ``runs/<id>/files``.
    """

    variables: Mapping[str, Variable] = field(default_factory=dict)
    description: str = ""
    sizes: Mapping[str, int | str] = field(default_factory=dict)
    attrs: tuple[str, ...] = ()
    contract: str = ""
    many: bool = False
    optional: bool = False
    extra: bool = True
    open: bool = False
    tree: bool = False
    files: bool = False


@dataclass(frozen=True, slots=True)
class Resources:
    """What an instance of the stage needs.

    Parameters
    ----------
    cpus : int
        Threads; the engine runs as many instances at once as fit.
    gpu : {"no", "optional", "required"}
        Whether the stage can or must use a GPU.
    memory : int, optional
        Memory cap in bytes; the stage then runs in a process of its own.
    isolate : bool
        Run in a process of its own: for stages that hold the interpreter's lock, or may crash it.
    ranks : int
        Processes that run the instance together, with ``cpus`` threads each; :meth:`Stage.ranks` sets it.
    """

    cpus: int = 1
    gpu: Literal["no", "optional", "required"] = "no"
    memory: int | None = None
    isolate: bool = False
    ranks: int = 1


class Stage(ABC):
    """One step of a flow: a pure function of its inputs, parameters and seed.

    Subclasses set the class attributes and write :meth:`run`. They keep their module light: whatever is heavy
    (xarray, torch, vtk) is imported inside ``run``, or in modules that ``run`` imports.
    """

    cache_version: ClassVar[int] = 1
    """Bump it when results change for a reason that the code cannot show."""
    Params: ClassVar[type[StageParams]] = StageParams
    inputs: ClassVar[Mapping[str, Port]] = {}
    outputs: ClassVar[Mapping[str, Port]] = {}
    resources: ClassVar[Resources] = Resources()
    affects: ClassVar[tuple[str, ...]] = ()
    """Distributions whose version changes results, and so enters the key."""
    random: ClassVar[bool] = False
    """Whether the stage draws random numbers; only then does a seed enter its key."""
    device_matters: ClassVar[bool] = False
    """Whether CPU and GPU give different results; the device class then enters the key."""

    @abstractmethod
    def run(self, context: Context, params: Any, **inputs: Any) -> Mapping[str, Any]:
        """Compute the outputs.

        Parameters
        ----------
        context : Context
            Seed, progress, logger, device, scratch folder, checkpoints.
        params : StageParams
            An instance of ``Params``.
        **inputs : xarray.Dataset, xarray.DataTree or Collection
            One for each input port, opened lazily. They may not be modified.

        Returns
        -------
        mapping of str to xarray.Dataset, xarray.DataTree or Stream
            One for each output port.
        """

    @classmethod
    def input_ports(cls, params: Any) -> Mapping[str, Port]:
        """Refine ``inputs`` for given parameters, such as asking for the variable that they name."""
        return cls.inputs

    @classmethod
    def ranks(cls, params: Any) -> int:
        """How many processes run the stage together, for data-parallel training; see :meth:`Context.team`.

        Each calls :meth:`run` with the same inputs; what rank 0 returns is stored. As results depend on it, it should
        follow from ``params``.
        """
        return 1

    @classmethod
    def output_ports(cls, params: Any) -> Mapping[str, Port]:
        """Refine ``outputs`` for given parameters."""
        return cls.outputs

    @classmethod
    def files(cls, params: Any) -> Mapping[str, Path]:
        """Name every file outside the store that the stage will read; their content enters its key.

        The default lists what the parameters made by :func:`path_param` name: a file, or all files below a
        folder. Override it where a file refers to others.

        Raises
        ------
        FileNotFoundError
        """
        from .outside import files_below  # with the first stage that reads files

        found: dict[str, Path] = {}
        named = {name: getattr(params, name) for name in path_fields(cls.Params)}
        for field_name, path in named.items():
            if path is not None:
                prefix = f"{field_name}: " if len(named) > 1 else ""  # two files may share a name
                found |= {prefix + name: file for name, file in files_below(Path(path)).items()}
        return found


def path_fields(model: type[BaseModel]) -> tuple[str, ...]:
    """Names of the parameters made by :func:`path_param`."""
    return tuple(
        name
        for name, info in model.model_fields.items()
        if isinstance(info.json_schema_extra, dict) and info.json_schema_extra.get("path")
    )


def stage(
    *,
    outputs: Mapping[str, Port],
    inputs: Mapping[str, Port] | None = None,
    resources: Resources | None = None,
    cache_version: int = 1,
    affects: tuple[str, ...] = (),
    random: bool = False,
) -> Callable[[Callable[..., Mapping[str, Any]]], type[Stage]]:
    """Make a stage of a plain function ``(context, params, *, <input ports>) -> {output port: Dataset}``.

    The parameters' model is the annotation of ``params``. The arguments are the attributes of :class:`Stage`.
    """

    def decorate(function: Callable[..., Mapping[str, Any]]) -> type[Stage]:
        hints = {name: hint for name, hint in _hints(function).items() if name == "params"}
        body = {
            "__module__": function.__module__,
            "__qualname__": function.__qualname__,
            "__doc__": function.__doc__,
            "Params": hints.get("params", StageParams),
            "inputs": inputs or {},
            "outputs": outputs,
            "resources": resources or Resources(),
            "cache_version": cache_version,
            "affects": affects,
            "random": random,
            "run": lambda self, context, params, **data: function(context, params, **data),
        }
        return type(function.__name__, (Stage,), body)

    return decorate


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(function)
    except NameError:  # annotations of data (xarray) may exist for type checkers only
        scope = vars(__import__("sys").modules[function.__module__])
        annotation = function.__annotations__.get("params", "StageParams")
        return {"params": scope.get(annotation, StageParams) if isinstance(annotation, str) else annotation}
