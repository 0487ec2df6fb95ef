"""Where Jenkins is and who we are there: from the environment or netrc, never from options."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from requests.utils import get_netrc_auth

from theseus_ci.errors import UsageError

TOKENS = ("JENKINS_TOKEN", "JENKINS_API_TOKEN")
HOW_TO_LOG_IN = (
    "set JENKINS_USER and JENKINS_TOKEN (an API token, made on the user's Security page), "
    "or a line for this host in ~/.netrc"
)


@dataclass(frozen=True)
class Login:
    """User and API token; neither is shown when it is printed."""

    user: str = field(repr=False)
    token: str = field(repr=False)
    source: str  # for messages


@dataclass(frozen=True)
class Address:
    """A Jenkins server's root, ending with a slash and without user information."""

    url: str
    login: Login | None

    def redact(self, text: str) -> str:
        """The text without our token, in any spelling it could come back in."""
        if self.login is None:
            return text
        user, token = self.login.user, self.login.token
        basic = base64.b64encode(f"{user}:{token}".encode()).decode()
        for secret in sorted({basic, token, quote(token, safe="")}, key=len, reverse=True):
            text = text.replace(secret, "***")
        return text


def from_environment(environment: Mapping[str, str], url: str | None) -> Address:
    """The address from --url or $JENKINS_URL, and the login for it.

    Raises UsageError for a missing or impossible URL, credentials in --url, half a login.
    """
    given, origin = (url, "--url") if url else (environment.get("JENKINS_URL", ""), "$JENKINS_URL")
    if not given:
        raise UsageError(
            "no Jenkins is named", remedy="set JENKINS_URL, such as https://jenkins.example.com/"
        )
    try:
        parts = urlsplit(given)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(
            f"{origin} is not the URL of a Jenkins",
            remedy="write it as https://jenkins.example.com/ or http://host:8080/jenkins/",
        )
    if parts.username is not None and origin == "--url":
        raise UsageError("--url must not hold credentials: others see it", remedy=HOW_TO_LOG_IN)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    authority = host if port is None else f"{host}:{port}"
    root = urlunsplit((parts.scheme, authority, parts.path.rstrip("/") + "/", "", ""))
    return Address(root, _login(environment, root, parts.username, parts.password))


def _login(
    environment: Mapping[str, str], root: str, url_user: str | None, url_token: str | None
) -> Login | None:
    user = environment.get("JENKINS_USER", "")
    variable = next((name for name in TOKENS if environment.get(name)), "")
    if user and variable:
        return Login(user, environment[variable], f"$JENKINS_USER and ${variable}")
    if variable:
        raise UsageError(f"${variable} is set, but JENKINS_USER is not", remedy=HOW_TO_LOG_IN)
    if url_user and url_token:
        return Login(unquote(url_user), unquote(url_token), "the user information in $JENKINS_URL")
    found = get_netrc_auth(root)
    if found is not None and (not user or found[0] == user):
        return Login(found[0], found[1], "netrc")
    if user:
        raise UsageError("JENKINS_USER is set, but no token for it", remedy=HOW_TO_LOG_IN)
    return None
