"""The command line. Parsing is cheap; each command imports what it needs when it runs."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import sys
from typing import TYPE_CHECKING

from fieldloom_storage import StoreError

from ..errors import FieldloomError

if TYPE_CHECKING:
    _Commands = argparse._SubParsersAction[argparse.ArgumentParser]

EXIT_CODES = """\
exit codes:
  0    done
  1    a stage failed, or verify found damage
  2    the spec or the command is wrong
  3    the environment is: store, plugin, server
  130  interrupted; the same command goes on from there
"""


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code; errors become one clear message on standard error."""
    arguments = parser().parse_args(argv)
    if not getattr(arguments, "command", None):
        parser().print_help()
        return 0
    module, _, function = arguments.command.partition(":")
    try:
        code = getattr(importlib.import_module(f".{module}", __package__), function)(arguments)
    except (FieldloomError, StoreError) as error:
        sys.stderr.write(f"{error}\n")
        code = getattr(error, "exit_code", 3)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        code = 130
    except BrokenPipeError:  # `fieldloom log | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = 0
    except OSError as error:
        sys.stderr.write(f"{error.strerror or error}: {error.filename}\n" if error.filename else f"{error}\n")
        code = 3
    if os.environ.get("FIELDLOOM_ABANDONED"):  # a stage that does not stop would keep the process alive
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        os._exit(code or 0)
    return code or 0


def parser() -> argparse.ArgumentParser:
    """Build the parser; the docs render it, too."""
    root = argparse.ArgumentParser(
        prog="fieldloom",
        description="Run scientific workflows from YAML flow specs.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    root.add_argument("--version", action="version", version=_version())
    commands = root.add_subparsers(title="commands", metavar="COMMAND")

    for add in (_add_flow_commands, _add_run_commands, _add_store_commands, _add_plugin_commands):
        add(commands)
    return root


def _add_flow_commands(commands: _Commands) -> None:
    run = _command(commands, "run", "flows:run", "run a flow spec; what was done before is reused")
    _spec_arguments(run)
    run.add_argument("--workers", type=_positive, metavar="N", help="instances at once (default: number of cores)")
    run.add_argument("--profile", choices=["fast", "compact"], default="fast", help="compression of new artifacts")
    run.add_argument("--quiet", action="store_true", help="print the summary only")
    _json_argument(run)
    plan = _command(commands, "plan", "flows:plan", "show what would run, why, and at what cost")
    _spec_arguments(plan)
    _json_argument(plan)
    validate = _command(commands, "validate", "flows:validate", "check a flow spec and list every error with its place")
    _spec_arguments(validate)
    _json_argument(validate)
    graph = _command(commands, "graph", "flows:graph", "draw the flow")
    _spec_arguments(graph)
    graph.add_argument("--format", choices=["text", "mermaid", "dot", "svg"], default="text")
    graph.add_argument("-o", "--output", metavar="FILE", help="write to a file")
    schema = _command(commands, "schema", "flows:schema", "write the JSON schema that editors check specs with")
    schema.add_argument("-o", "--output", metavar="FILE", help="write to a file")
    _plugin_arguments(schema)


def _add_run_commands(commands: _Commands) -> None:
    show = _command(commands, "show", "runs:show", "list runs, or show one: its instances and artifacts")
    show.add_argument("run", nargs="?", help="run id, its beginning, or 'latest'; all runs if not given")
    show.add_argument("name", nargs="?", help="an instance or instance.port: print its dataset")
    _store_argument(show)
    _json_argument(show)
    opened = _command(
        commands, "open", "runs:open_", "write the files of an instance to a folder, or print its Zarr path"
    )
    _run_arguments(opened)
    opened.add_argument("name", help="an instance, or instance.port")
    opened.add_argument("--to", metavar="DIR", help="where to write its files (pictures, meshes)")
    log = _command(commands, "log", "runs:log", "print the log of a run")
    _run_arguments(log)
    log.add_argument("--instance", metavar="NAME", help="only this instance")
    _json_argument(log)
    diff = _command(commands, "diff", "runs:diff", "compare two runs: parameters, versions, metrics, timings")
    diff.add_argument("before", nargs="?", default="latest~1", help="run id (default: the one before the latest)")
    diff.add_argument("after", nargs="?", default="latest", help="run id (default: latest)")
    _store_argument(diff)
    _json_argument(diff)
    report = _command(commands, "report", "runs:report", "write the report of a run again and print its path")
    _run_arguments(report)
    report.add_argument("-o", "--output", metavar="FILE", help="write it here instead of into the store")


def _add_store_commands(commands: _Commands) -> None:
    verify = _command(commands, "verify", "stores:verify", "check every stored byte; names what is damaged")
    verify.add_argument("digest", nargs="*", help="artifacts to check (default: all)")
    verify.add_argument(
        "--repair", action="store_true", help="remove what is damaged, so that the next run makes it again"
    )
    _store_argument(verify)
    _json_argument(verify)
    gc = _command(commands, "gc", "stores:gc", "remove artifacts that no kept run needs")
    gc.add_argument("--keep-last", type=_positive, metavar="N", help="forget all runs of a flow but the last N")
    gc.add_argument("--older-than", metavar="AGE", help="forget runs older than this (30d, 12h)")
    gc.add_argument("--grace", metavar="AGE", default="1h", help="spare what was used within this time (default 1h)")
    gc.add_argument("--dry-run", action="store_true", help="only say what would go")
    _store_argument(gc)
    _json_argument(gc)


def _add_plugin_commands(commands: _Commands) -> None:
    plugins = _command(commands, "plugins", "plugins:plugins", "list the installed plugins, and why one is set aside")
    _plugin_arguments(plugins)
    _json_argument(plugins)
    stages = _command(commands, "stages", "plugins:stages", "list the stages, or document one")
    stages.add_argument("stage", nargs="?", help="a stage id")
    _plugin_arguments(stages)
    _json_argument(stages)
    new = _command(commands, "new-plugin", "plugins:new_plugin", "write a complete plugin to start from")
    new.add_argument("name", help="its name: lower-case letters, digits and _")
    new.add_argument("--to", metavar="DIR", default=".", help="parent folder (default: here)")
    doctor = _command(commands, "doctor", "plugins:doctor", "check the installation, and say what to install")
    _json_argument(doctor)


def _command(commands: _Commands, name: str, function: str, text: str) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    command.set_defaults(command=function)
    return command


def _spec_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("spec", help="the flow spec, a YAML file")
    command.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="override a param (a.b=3) or a place in the spec (stages.wake.with.duration=8)",
    )
    _store_argument(command)
    _plugin_arguments(command)


def _run_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("run", nargs="?", default="latest", help="run id, its beginning, or 'latest' (default)")
    _store_argument(command)


def _store_argument(command: argparse.ArgumentParser) -> None:
    command.add_argument("--store", metavar="DIR", help="the store (default: $FIELDLOOM_STORE or .fieldloom)")


def _plugin_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("--plugin", action="append", metavar="NAME", help="load only this plugin (repeatable)")
    command.add_argument("--no-plugin", action="append", metavar="NAME", help="do not load this plugin (repeatable)")


def _json_argument(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="print JSON, for scripts")


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _version() -> str:
    from .. import __version__

    return f"fieldloom {__version__}"
