"""TLS as a check wants it."""

from __future__ import annotations

import ssl
from pathlib import Path

from theseus_ci.config.smoke import Tls
from theseus_ci.errors import ConfigError


def client_context(tls: Tls, directory: Path) -> ssl.SSLContext:
    """Return a context for a client; paths start from `directory`.

    Raises ConfigError for files that are missing or hold something else.
    """
    try:
        ca = str(directory / Path(tls.ca).expanduser()) if tls.ca else None
        context = ssl.create_default_context(cafile=ca)
        if not tls.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if tls.client_cert:
            key = str(directory / Path(tls.client_key).expanduser()) if tls.client_key else None
            context.load_cert_chain(str(directory / Path(tls.client_cert).expanduser()), key)
    except OSError as error:  # ssl.SSLError is one
        files = ", ".join(filter(None, (tls.ca, tls.client_cert, tls.client_key)))
        raise ConfigError(f"cannot be used: {error} ({files})", where="tls") from error
    return context
