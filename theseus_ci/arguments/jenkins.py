"""Help and options of `jenkins` and its actions."""

from __future__ import annotations

import argparse
from pathlib import Path

from theseus_ci.quantities import Duration

DESCRIPTION = """\
Sets up the pipeline job of a repository, shows and answers the gates that builds wait at, follows
a build, and fetches the performance baseline of the last promoted one. Which Jenkins, and who you
are there, comes from JENKINS_URL, JENKINS_USER and JENKINS_TOKEN (or JENKINS_API_TOKEN), or from
~/.netrc: never from options."""
EXAMPLES = """\
examples:
  theseus-ci jenkins install team/reviews --repository https://git.example.com/reviews.git
  theseus-ci jenkins gates team/reviews
  theseus-ci jenkins approve team/reviews --gate Promote --parameter REASON=checked
  theseus-ci jenkins watch team/reviews --build --log
  theseus-ci jenkins baseline team/reviews --output baseline.json"""
WATCH_CODES = """\
exit codes: 0 SUCCESS; 1 FAILURE or UNSTABLE; 3 ABORTED, NOT_BUILT, or not known. Ctrl-C ends the
watching; the build goes on.

example:
  theseus-ci jenkins watch team/reviews --number 17 --log"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.epilog = EXAMPLES
    actions = parser.add_subparsers(dest="action", metavar="ACTION", title="actions", required=True)
    _install(_action(actions, "install", "create or update a pipeline job, folders included"))
    _gates(_action(actions, "gates", "the gates that running builds of a job wait at"))
    _approve(_action(actions, "approve", "answer a gate: the build goes on"))
    _reject(
        _action(actions, "reject", "answer a gate with no: the pipeline takes the release back")
    )
    _watch(_action(actions, "watch", "follow a build; the exit code is its result"))
    _baseline(_action(actions, "baseline", "the baseline of the last promoted build, as a file"))


def _action(
    actions: argparse._SubParsersAction[argparse.ArgumentParser], name: str, summary: str
) -> argparse.ArgumentParser:
    parser = actions.add_parser(
        name, help=summary, description=summary[0].upper() + summary[1:] + "."
    )
    parser.add_argument("job", metavar="JOB", help="its full name, as team/reviews, or its URL")
    group = parser.add_argument_group("server")
    group.add_argument("--url", help="of Jenkins (default: $JENKINS_URL)")
    group.add_argument(
        "--timeout",
        type=_duration,
        default=Duration(30),
        metavar="TIME",
        help="how long Jenkins may leave a request without an answer (default: 30s)",
    )
    return parser


def _install(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "A job that exists keeps all that is not named here: triggers, other parameters, and so\n"
        "on. The global library configuration is printed: the REST interface cannot set it.\n\n"
        "example:\n  theseus-ci jenkins install team/reviews --dry-run \\\n"
        "    --repository https://git.example.com/reviews.git --credentials git-reader \\\n"
        "    --parameter VERSION= --parameter FLOW:choice=canary,blue-green"
    )
    parser.add_argument("--repository", required=True, metavar="URL", help="Git, the Jenkinsfile's")
    parser.add_argument("--branch", default="main", help="default: main")
    parser.add_argument(
        "--script", default="Jenkinsfile", metavar="PATH", help="in the repository (Jenkinsfile)"
    )
    parser.add_argument(
        "--credentials", default="", metavar="ID", help="of Jenkins' credentials for the repository"
    )
    parser.add_argument("--description", help="of the job (default: as it is)")
    parser.add_argument(
        "--parameter",
        action="append",
        default=[],
        metavar="NAME[:KIND]=DEFAULT",
        help="a parameter of the job; KIND is string, boolean or choice (values by commas)",
    )
    parser.add_argument("--dry-run", action="store_true", help="show the difference, do nothing")
    parser.add_argument(
        "--library-repository",
        default="<Git URL of the theseus-ci repository>",
        metavar="URL",
        help="Git, this project's, for the printed library configuration",
    )
    parser.add_argument(
        "--library-version", metavar="TAG", help="default: the tag of this very version"
    )


def _number(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--number", type=_positive, metavar="N", help="of the build (default: all that run)"
    )


def _gates(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "example:\n  theseus-ci jenkins gates team/reviews --json"
    _number(parser)
    parser.add_argument("--json", action="store_true", help="for programs")


def _approve(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "Parameters that are not given get their defaults.\n\nexample:\n"
        "  theseus-ci jenkins approve team/reviews --gate Promote --parameter REASON=checked"
    )
    _gate(parser)
    parser.add_argument(
        "--parameter",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="what the gate asks; NAME alone takes the variable of that name",
    )


def _reject(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "example:\n  theseus-ci jenkins reject team/reviews --number 17"
    _gate(parser)


def _gate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--gate", metavar="ID", help="of the gate (default: the only one)")
    _number(parser)


def _watch(parser: argparse.ArgumentParser) -> None:
    parser.epilog = WATCH_CODES
    parser.add_argument("--number", metavar="N", help="of the build, or last (default: last)")
    parser.add_argument("--build", action="store_true", help="start a build and follow that one")
    parser.add_argument(
        "--parameter",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="with --build; NAME alone takes the variable of that name",
    )
    parser.add_argument("--log", action="store_true", help="print its log to the standard output")
    times: tuple[tuple[str, Duration, str], ...] = (
        ("--deadline", Duration(24 * 3600), "how long to follow, the queue included (24h)"),
        ("--outage", Duration(600), "how long Jenkins may be away, to restart for example (10m)"),
        ("--interval", Duration(3), "between two looks (3s)"),
    )
    for name, default, text in times:
        parser.add_argument(name, type=_duration, default=default, metavar="TIME", help=text)


def _baseline(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "example:\n  theseus-ci jenkins baseline team/reviews --output baseline.json"
    parser.add_argument(
        "--output", type=Path, default=Path("baseline.json"), metavar="FILE", help="baseline.json"
    )
    parser.add_argument(
        "--service", default="", help="when builds of the job release several services"
    )
    parser.add_argument(
        "--builds", type=_positive, default=100, metavar="N", help="to look at, newest first (100)"
    )


def _duration(text: str) -> Duration:
    try:
        value = Duration.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if value <= 0:
        raise argparse.ArgumentTypeError("it must be above 0")
    return value


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return int(text)
