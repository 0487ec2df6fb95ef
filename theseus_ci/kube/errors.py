"""What the API server's refusals mean here; everything else it says becomes a theseus error."""

from __future__ import annotations

import json

from theseus_ci.errors import (
    AlreadyExists,
    CannotKnow,
    ClusterUnavailable,
    Forbidden,
    Rejected,
    StaleObject,
    UsageError,
)
from theseus_ci.kinds import Kind


def status_message(body: bytes) -> tuple[str, str]:
    """Reason and message of a Status object, or of whatever else came."""
    try:
        status = json.loads(body)
    except ValueError:
        status = None
    if isinstance(status, dict):
        return str(status.get("reason", "")), str(status.get("message", ""))
    return "", body[:300].decode("utf-8", "replace").strip()


def rbac_rule(kind: Kind, verb: str) -> str:
    """The rule, as YAML, that allows `verb` on `kind`."""
    return (
        f"- apiGroups: [{json.dumps(kind.group)}]\n  resources: [{kind.plural}]\n  verbs: [{verb}]"
    )


def translate(
    status: int,
    body: bytes,
    *,
    what: str,
    kind: Kind,
    verb: str,
    server: str,
    namespace: str | None,
) -> CannotKnow | UsageError:
    """The error for an HTTP status; `what` names the act and its object in words."""
    reason, message = status_message(body)
    if status == 409:
        exists = reason == "AlreadyExists"
        return AlreadyExists(f"{what}: {message}") if exists else StaleObject(f"{what}: {message}")
    if status == 404 and verb in ("update", "patch"):
        return StaleObject(f"{what}: the object is gone")
    if status == 401:
        return ClusterUnavailable(
            f"{what}: {server} does not accept these credentials (401 {message})",
            remedy="renew the token or certificate of the kubeconfig's current user",
        )
    if status == 403:
        rule = rbac_rule(kind, verb)
        return Forbidden(
            f"{what}: {message or 'forbidden'}",
            rule=rule,
            remedy=f"add this rule to {_role(namespace)} of the user that runs theseus-ci "
            f"(theseus-ci doctor lists all that is missing):\n{rule}",
        )
    if status in (400, 413, 422):
        return Rejected(f"{what}: the API server refuses the object: {message}")
    return ClusterUnavailable(
        f"{what}: {server} answered {status} {reason} {message}".rstrip(),
        remedy="try again once the API server is healthy: kubectl get --raw /readyz",
    )


def _role(namespace: str | None) -> str:
    return f"a Role in namespace {namespace}" if namespace else "a ClusterRole"
