"""The forms that names, hosts and addresses must have: Kubernetes', HTTP's and ours."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
SUBDOMAIN = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
QUALIFIED = rf"({LABEL}/)?{SUBDOMAIN}"
FIELD_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
HOST = (
    r"([A-Za-z0-9_]([-A-Za-z0-9_]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([-A-Za-z0-9_]*[A-Za-z0-9_])?)*\.?"
    r"|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?"
)
URL = r"[Hh][Tt][Tt][Pp][Ss]?://[^\s/?#@]+/?"
PATH = r"/[!-~]*"

_NAME_LENGTH = 253


def label_problem(text: str) -> str | None:
    """Why `text` cannot name a Service or a namespace."""
    if re.fullmatch(LABEL, text):
        return None
    return f"{_shown(text)} must be at most 63 of a-z, 0-9 and '-', and begin and end with a-z, 0-9"


def name_problem(text: str) -> str | None:
    """Why `text` cannot name a Deployment, a VirtualService or a Gateway."""
    if len(text) <= _NAME_LENGTH and re.fullmatch(SUBDOMAIN, text):
        return None
    return f"{_shown(text)} must be of a-z, 0-9, '-' and '.', and begin and end with a-z, 0-9"


def qualified_problem(text: str) -> str | None:
    """Why `text` is not `name` or `namespace/name`."""
    namespace, slash, name = text.rpartition("/")
    if slash and label_problem(namespace):
        return f"{_shown(text)}: the namespace {label_problem(namespace)}"
    if name_problem(name):
        return f"{_shown(text)}: the form is name or namespace/name, and {name_problem(name)}"
    return None


def token_problem(text: str) -> str | None:
    """Why `text` cannot name a header or a cookie."""
    return None if re.fullmatch(FIELD_NAME, text) else f"{_shown(text)} is no name that HTTP allows"


def host_problem(text: str) -> str | None:
    """Why `text` cannot be a Host header."""
    if re.fullmatch(HOST, text) and _port_fits(f"//{text}"):
        return None
    if "://" in text:
        return f"{_shown(text)} is a URL: give its host alone"
    return f"{_shown(text)} is not a host, such as reviews.example.com or reviews.example.com:8080"


def url_problem(text: str) -> str | None:
    """Why `text` cannot be an entrypoint."""
    if re.match(r"[^/]*//[^/]*@", text):
        return "must not hold a user or password: the state would show it; use a header"
    if re.fullmatch(URL, text) and _port_fits(text):
        return None
    if re.match(r"https?://[^/?#]+[/?#]", text):
        return f"{_shown(text)} must end after the host and port: paths belong to the checks"
    return f"{_shown(text)} is not an http:// or https:// URL, such as http://127.0.0.1:8080"


def path_problem(text: str) -> str | None:
    """Why `text` cannot be the path of a request."""
    return None if re.fullmatch(PATH, text) else f"{_shown(text)} must start with / without blanks"


def version_problem(text: str) -> str | None:
    """Why nothing can be named after the version `text`."""
    if re.search(r"[A-Za-z0-9]", text) and text.isprintable() and text == text.strip():
        return None
    return f"{_shown(text)} is not a version: write letters or digits, such as 1.4.2"


def _port_fits(url: str) -> bool:
    try:
        return urlsplit(url).hostname is not None and urlsplit(url).port != 0
    except ValueError:
        return False


def _shown(text: str) -> str:
    return repr(text) if text else "an empty text"
