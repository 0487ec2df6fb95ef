"""From a kubeconfig (or a pod's own credentials) to a connection."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import yaml
from kubernetes import client, config
from kubernetes.config.config_exception import ConfigException
from kubernetes.dynamic import DynamicClient

from theseus_ci.errors import ConfigError
from theseus_ci.model import PodNetwork

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the client's is six times slower
_UNUSABLE = (
    ConfigException,
    OSError,
    yaml.YAMLError,
    ValueError,  # no text at all
    TypeError,
    AttributeError,
)
_NONE = "set KUBECONFIG or give --kubeconfig; `theseus-ci sandbox up` prints one"
_NO_ROOM = (  # the client takes certificates from files alone, tempfile finds no folder for them
    "where it holds certificates, they need a file for a moment: free disk space, or set TMPDIR to "
    "a folder that has some, such as /dev/shm"
)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.ENOENT)
POD_NETWORK_EXTENSION = "theseus-ci.io/pod-network"


class Connection(NamedTuple):
    """A client, and what the kubeconfig says about the place it leads to."""

    client: DynamicClient
    server: str
    namespace: str
    pod_network: PodNetwork | None


class _Entries(NamedTuple):
    """Parts of kubeconfigs."""

    contexts: list[dict[str, Any]]
    clusters: list[dict[str, Any]]
    current: str


class _NoDiscovery:
    """The kinds are known (`kinds.py`): asking the server which it has would cost two requests."""

    def __init__(self, client: DynamicClient, cache_file: str | None) -> None:
        pass


def connect(kubeconfig: str | None = None, context: str | None = None) -> Connection:
    """Connect as kubectl would: `kubeconfig`, $KUBECONFIG, ~/.kube/config, or in-cluster.

    No request is made yet. Raises ConfigError when there is nothing usable.
    """
    settings = client.Configuration()
    settings.retries = False
    paths = _kubeconfig_paths(kubeconfig)
    if not any(path.exists() for path in paths) and os.environ.get("KUBERNETES_SERVICE_HOST"):
        config.load_incluster_config(client_configuration=settings)
        namespace_file = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
        return _connection(settings, namespace_file.read_text(encoding="utf-8").strip(), None)
    where = os.pathsep.join(map(str, paths))
    try:
        config.load_kube_config(config_file=where, context=context, client_configuration=settings)
        entries = _merged(paths)
    except _UNUSABLE as error:
        raise ConfigError(
            f"no usable kubeconfig: {error}",
            where=where,
            remedy=_NO_ROOM if getattr(error, "errno", 0) in _FULL else _NONE,
        ) from error
    chosen = _named(entries.contexts, context or entries.current).get("context", {})
    cluster = _named(entries.clusters, str(chosen.get("cluster", ""))).get("cluster", {})
    return _connection(settings, chosen.get("namespace") or "default", _pod_network(cluster))


def _connection(
    settings: client.Configuration, namespace: str, pod_network: PodNetwork | None
) -> Connection:
    api = client.ApiClient(settings)
    dynamic = DynamicClient(api, discoverer=_NoDiscovery)
    return Connection(dynamic, str(settings.host), namespace, pod_network)


def _kubeconfig_paths(kubeconfig: str | None) -> list[Path]:
    given = kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
    return [Path(part).expanduser() for part in given.split(os.pathsep) if part]


def _merged(paths: list[Path]) -> _Entries:
    """What the client does not tell of the kubeconfigs. As for kubectl, the first to say a thing
    is the one that counts."""
    merged = _Entries([], [], "")
    for path in paths:
        if path.exists():
            content = yaml.load(path.read_bytes(), Loader=_Loader) or {}  # noqa: S506 (it is safe)
            merged.contexts.extend(content.get("contexts") or [])
            merged.clusters.extend(content.get("clusters") or [])
            current = merged.current or str(content.get("current-context") or "")
            merged = merged._replace(current=current)
    return merged


def _named(entries: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next((entry for entry in entries if entry.get("name") == name), {})


def _pod_network(cluster: dict[str, Any]) -> PodNetwork | None:
    extension = _named(cluster.get("extensions") or [], POD_NETWORK_EXTENSION).get("extension")
    if extension is None:
        return None
    try:
        return msgspec.convert(extension, PodNetwork)
    except msgspec.ValidationError as error:
        raise ConfigError(f"kubeconfig extension {POD_NETWORK_EXTENSION}: {error}") from error
