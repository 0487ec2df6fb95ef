"""The manifest to release, as begin has seen it."""

from __future__ import annotations

import hashlib

import msgspec

from theseus_ci.config.types import Config
from theseus_ci.errors import ConfigError, ManifestError
from theseus_ci.manifest import Release, read_manifest, rename
from theseus_ci.rollout.state import State


def read_release(config: Config, namespace: str) -> Release:
    """Read the manifest of the configuration. Raises ConfigError, ManifestError."""
    if config.manifest is None:
        raise ConfigError(
            "no manifest: which Deployment is to be released?",
            where="theseus.yaml: manifest",
            remedy="give the file, folder or '-' that holds the candidate's Deployment",
        )
    return read_manifest(config.manifest, deployment=config.deployment, namespace=namespace)


def digest(release: Release) -> str:
    """Identifies what the manifest says."""
    content = [release.deployment, *release.companions, *([release.hpa] if release.hpa else [])]
    return hashlib.sha256(msgspec.json.encode(content, order="deterministic")).hexdigest()[:16]


def load_release(config: Config, state: State) -> Release:
    """The release that begin has planned. Raises ManifestError when the manifest has changed."""
    release = read_release(config, state.namespace)
    if state.candidate.deployment != release.name and config.version:
        release = rename(release, config.version)
    found = digest(release)
    if found != state.manifest_digest:
        raise ManifestError(
            f"{config.manifest} has changed since begin (digest {found}, planned "
            f"{state.manifest_digest}): releasing something else than was planned is refused",
            remedy="restore the manifest, or run theseus-ci rollback and begin again",
        )
    return release
