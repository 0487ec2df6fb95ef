"""How a person repeats what a stage saw, while the rollout stands."""

from __future__ import annotations

import shlex

from theseus_ci.config.performance import Request
from theseus_ci.mesh import headers
from theseus_ci.rollout.context import Rollout
from theseus_ci.rollout.readiness import selector_text


def load(rollout: Rollout) -> str:
    """A request such as the load sends: its first, or one of a path that the application answers
    where the user's load tool alone knows what it asks for."""
    performance = rollout.config.performance
    if performance is not None and performance.requests:
        return request(rollout, performance.requests[0])
    return request(rollout, Request(path=rollout.view.path))


def request(rollout: Rollout, asked: Request) -> str:
    """One request to the candidate; the secret is read from the cluster, and never shown.

    "" where there is no entrypoint to send it to.
    """
    config, state = rollout.config, rollout.state
    entrypoints = config.all_entrypoints()
    if not entrypoints:
        return ""
    words = ["curl", "-sS", "-i"]
    if asked.method != "GET":
        words += ["-X", asked.method]
    if config.host:
        words += ["-H", f"Host: {config.host}"]
    for name, value in asked.headers.items():
        words += ["-H", f"{name}: {value}"]
    if asked.body:
        words += ["--data-raw", asked.body]
    words += ["-H", f"{headers.TO}: {headers.TO_CANDIDATE}"]
    url = shlex.quote(f"{entrypoints[0].rstrip('/')}{asked.path}")
    route = state.routes.virtual_services[0]
    secret = (
        f"SECRET=$(kubectl -n {route.namespace} get virtualservice {route.name} -o yaml |"
        f" sed -n '/{headers.KEY}:/{{n;s/.*exact: //p;q}}')"
    )
    return f'{secret}\n{shlex.join(words)} -H "{headers.KEY}: $SECRET" {url}'


def pods(rollout: Rollout) -> str:
    """Look at the candidate's pods, and at what they said before they died."""
    state = rollout.state
    selector = shlex.quote(selector_text(state.candidate.pod_labels))
    kubectl = f"kubectl -n {state.namespace}"
    return (
        f"{kubectl} describe deployment {state.candidate.deployment}\n"
        f"{kubectl} describe pods -l {selector}\n"
        f"{kubectl} logs --prefix --tail=50 -l {selector}"
    )
