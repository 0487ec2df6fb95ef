"""Help and options of `doctor`."""

from __future__ import annotations

import argparse

from theseus_ci.arguments import options

DESCRIPTION = """\
Asks whether a release can begin here, and says what mends each thing that stands in the way: the
files (theseus.yaml, flow, manifest), the API server (version, clock), every right that the
commands use, Istio, metrics for autoscalers, the lease, the service and its routes, sidecars, the
entrypoint, and last all that begin would refuse. Nothing is touched, and no rights beyond those of
a release are needed. Without a theseus.yaml only the place is looked at.

Missing rights are printed as YAML for somebody who may grant them. --rbac prints, without asking
any server, everything that releases need (what deploy/rbac.yaml has for namespace shop).

Exit code 0: begin would start, warnings or not; 2 and 3: what begin would end with."""
EXAMPLE = """\
examples:
  theseus-ci doctor
  theseus-ci doctor --json
  theseus-ci doctor --rbac --namespace shop --account ci/jenkins | kubectl apply -f -"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.epilog = EXAMPLE
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="the findings as JSON")
    form.add_argument(
        "--rbac", action="store_true", help="print the ServiceAccount, Roles and bindings needed"
    )
    parser.add_argument(
        "--account",
        metavar="[NAMESPACE/]NAME",
        help="with --rbac: a ServiceAccount that exists; by default theseus-ci is made",
    )
    options.add_config(parser, overrides=True)
    options.add_cluster(parser)
    options.add_state(parser)
