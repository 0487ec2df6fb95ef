"""What a kubeconfig file says about one API server: its address, whom to trust, who we are.

Only what works without a terminal or a plug-in is understood: certificates and tokens, inline or
as files. `exec` and `auth-provider` entries are refused rather than ignored, since ignoring them
would talk to the server as nobody.
"""

from __future__ import annotations

import base64
import ssl
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml


class KubeconfigError(Exception):
    """The file cannot be read, or does not name a usable cluster and user."""


@dataclass(frozen=True)
class Access:
    """How to reach one API server. `tls` is None for a plain http:// server.

    Two are equal when the files they were read from said the same.
    """

    server: str
    tls: ssl.SSLContext | None = field(compare=False)
    token: str | None
    material: tuple[bytes | None, ...]


def load_access(path: Path) -> Access:
    """Read the current context of the kubeconfig at `path`; raises KubeconfigError."""
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise KubeconfigError(f"{path}: {error}") from error
    if not isinstance(config, dict):
        raise KubeconfigError(f"{path}: not a kubeconfig file")
    context = _entry(config, "contexts", "context", config.get("current-context"), path)
    cluster = _entry(config, "clusters", "cluster", context.get("cluster"), path)
    user = _entry(config, "users", "user", context["user"], path) if context.get("user") else {}
    server = cluster.get("server")
    if not isinstance(server, str) or not server.startswith(("http://", "https://")):
        raise KubeconfigError(f"{path}: the cluster has no http(s) server address")
    for plugin in ("exec", "auth-provider"):
        if plugin in user:
            raise KubeconfigError(f"{path}: users[].user.{plugin} is not supported here")
    try:
        material = (
            _material(cluster, "certificate-authority", path.parent),
            _material(user, "client-certificate", path.parent),
            _material(user, "client-key", path.parent),
        )
        trusting = bool(cluster.get("insecure-skip-tls-verify"))
        tls = _tls(*material, trusting=trusting) if server.startswith("https://") else None
        token = _token(user, path.parent)
    except (OSError, ValueError) as error:  # ssl.SSLError and binascii.Error are such
        raise KubeconfigError(f"{path}: {error}") from error
    return Access(server.rstrip("/"), tls, token, material)


def _entry(config: dict[str, Any], section: str, key: str, name: Any, path: Path) -> dict[str, Any]:
    for item in config.get(section) or []:
        if item.get("name") == name:
            return item.get(key) or {}
    raise KubeconfigError(f"{path}: no entry {name!r} in {section}")


def _tls(
    authority: bytes | None, certificate: bytes | None, key: bytes | None, *, trusting: bool
) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority.decode("ascii") if authority else None)
    if trusting:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if certificate and key:
        # The ssl module takes certificates from files only; this one is readable by us alone.
        with tempfile.NamedTemporaryFile(suffix=".pem") as pem:
            pem.write(certificate.rstrip() + b"\n" + key)
            pem.flush()
            context.load_cert_chain(pem.name)
    return context


def _token(user: dict[str, Any], folder: Path) -> str | None:
    if user.get("token"):
        return str(user["token"])
    if user.get("tokenFile"):
        return folder.joinpath(str(user["tokenFile"])).read_text(encoding="ascii").strip()
    return None


def _material(entry: dict[str, Any], key: str, folder: Path) -> bytes | None:
    """The bytes of `KEY-data` (base64), else of the file named by `KEY`, else None."""
    if entry.get(f"{key}-data"):
        return base64.b64decode(entry[f"{key}-data"], validate=True)
    if entry.get(key):
        return folder.joinpath(str(entry[key])).read_bytes()
    return None
