"""What a kubeconfig file says about one API server: its address, whom to trust, who we are.

Only what works without a terminal or a plug-in is understood: certificates and tokens, inline or
as files. `exec` and `auth-provider` entries are refused rather than ignored, since ignoring them
would talk to the server as nobody.
"""

from __future__ import annotations

import base64
import binascii
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


class KubeconfigError(Exception):
    """The file cannot be read, or does not name a usable cluster and user."""


@dataclass(frozen=True)
class Access:
    """How to reach one API server. `tls` is None for a plain http:// server."""

    server: str
    tls: ssl.SSLContext | None
    token: str | None


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
        tls = _tls(cluster, user, path.parent) if server.startswith("https://") else None
        token = _token(user, path.parent)
    except (OSError, ssl.SSLError, binascii.Error) as error:
        raise KubeconfigError(f"{path}: {error}") from error
    return Access(server=server.rstrip("/"), tls=tls, token=token)


def _entry(config: dict[str, Any], section: str, key: str, name: Any, path: Path) -> dict[str, Any]:
    for item in config.get(section) or []:
        if item.get("name") == name:
            return item.get(key) or {}
    raise KubeconfigError(f"{path}: no entry {name!r} in {section}")


def _tls(cluster: dict[str, Any], user: dict[str, Any], folder: Path) -> ssl.SSLContext:
    authority = _material(cluster, "certificate-authority", folder)
    context = ssl.create_default_context(cadata=authority.decode("ascii") if authority else None)
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    certificate = _material(user, "client-certificate", folder)
    key = _material(user, "client-key", folder)
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
