"""``k8s-hub VERB ...``: finds the verb and passes its arguments on."""

import argparse
import errno
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from io import TextIOWrapper

from k8s_hub._version import __version__

VERBS = {
    "cull": (
        "k8s_hub.cli.cull",
        "stop idle servers of a JupyterHub; `cull explain USER` shows why a server stops or runs on",
    ),
    "doctor": (
        "k8s_hub.cli.doctor",
        "check a cluster and a hub for problems, and say how to solve them",
    ),
    "orphans": (
        "k8s_hub.cli.orphans",
        "list pods, Secrets and Services without a server; delete them on request",
    ),
    "volumes": (
        "k8s_hub.cli.volumes",
        "list claims and their owners; delete claims without an owner on request",
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code: 0, 1 for a failure, 2 for wrong usage, 128 and more for a signal."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # None: it is closed
            stream.reconfigure(errors="backslashreplace")  # names that the terminal's encoding lacks
    parser = parser_of(
        VERBS, prog="k8s-hub", description="A JupyterHub spawner and idle culler for Kubernetes."
    )
    parser.add_argument("--version", action="version", version=f"k8s-hub {__version__}")
    return run_verb(VERBS, parser.parse_args(arguments))


def parser_of(
    verbs: Mapping[str, tuple[str, str]], *, prog: str, description: str
) -> argparse.ArgumentParser:
    """Return the parser of a command with these verbs, each with its module and its purpose."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description=description,
        epilog="\n".join(f"  {verb:10}{purpose}" for verb, (_, purpose) in verbs.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("verb", choices=verbs, metavar="VERB", help=f"one of {', '.join(verbs)}")
    parser.add_argument(
        "arguments",
        nargs=argparse.REMAINDER,
        metavar="...",
        help=f"arguments of the verb: see {prog} VERB --help",
    )
    return parser


def run_verb(verbs: Mapping[str, tuple[str, str]], parsed: argparse.Namespace) -> int:
    """Import the verb's module, pass it the arguments, and return its exit code."""
    try:
        try:
            code = int(import_module(verbs[parsed.verb][0]).run(parsed.arguments))
        finally:  # also if the verb exits
            if sys.stdout is not None:  # None: it is closed
                sys.stdout.flush()
    except BrokenPipeError:  # the reader of the output, such as head, has ended
        _discard_output()
        return 128 + signal.SIGPIPE
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        _discard_output()
        print(f"k8s-hub: the output cannot be written: {error.strerror}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:  # the verb does not handle signals yet, and has started nothing
        return 128 + signal.SIGINT
    return code


def _discard_output() -> None:
    """Lead the output to nowhere, for the interpreter's own flush at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
