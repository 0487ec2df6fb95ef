"""What a server directory holds for its clients: certificates, tokens, and the kubeconfig."""

from __future__ import annotations

import base64
import csv
import os
import secrets
from pathlib import Path

import trustme
import yaml

from theseus_ci.sandbox import network

HOSTS = ("127.0.0.1", "localhost")
ADMIN = "theseus-admin"
POD_NETWORK_EXTENSION = "theseus-ci.io/pod-network"


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, in one step."""
    temporary = path.with_name(f".{path.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)


def create_certificates(directory: Path) -> tuple[Path, Path]:
    """Make a CA and a server certificate; returns (certificate chain, key).

    The CA's key is not kept.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority = trustme.CA(organization_name="theseus-ci sandbox")
    server = authority.issue_cert(*HOSTS)
    chain = b"".join(blob.bytes() for blob in server.cert_chain_pems)
    write_private(directory / "ca.crt", authority.cert_pem.bytes().decode())
    write_private(directory / "server.crt", chain.decode())
    write_private(directory / "server.key", server.private_key_pem.bytes().decode())
    return directory / "server.crt", directory / "server.key"


def admin_token(tokens: Path) -> str:
    """The administrator's token, from the file if it is there; else the file is begun with one."""
    if tokens.exists():
        with tokens.open(encoding="utf-8", newline="") as lines:
            for row in csv.reader(lines):
                if len(row) > 1 and row[1] == ADMIN:
                    return row[0]
    token = secrets.token_urlsafe(32)
    present = tokens.read_text(encoding="utf-8") if tokens.exists() else ""
    write_private(tokens, f'{token},{ADMIN},{ADMIN},"system:masters"\n{present}')
    return token


def write_kubeconfig(path: Path, url: str, authority: Path, token: str) -> None:
    """Write the administrator's kubeconfig.

    The cluster's extension tells tools outside the cluster how pods are reached: addresses of
    network `from` are served at the same host bits of network `to`, ports below 1024 that much
    higher.
    """
    pod_network = {
        "from": str(network.POD_NETWORK),
        "to": str(network.LOOPBACK_NETWORK),
        "privilegedPortOffset": network.PRIVILEGED_PORT_OFFSET,
    }
    cluster = {
        "server": url,
        "certificate-authority-data": base64.b64encode(authority.read_bytes()).decode(),
        "extensions": [{"name": POD_NETWORK_EXTENSION, "extension": pod_network}],
    }
    context = {"cluster": "sandbox", "user": ADMIN, "namespace": "default"}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "sandbox", "cluster": cluster}],
        "contexts": [{"name": "sandbox", "context": context}],
        "current-context": "sandbox",
        "users": [{"name": ADMIN, "user": {"token": token}}],
    }
    write_private(path, yaml.safe_dump(config, sort_keys=False))
