"""One request to Jenkins and its answer, or a precise error: the only place that sees HTTP.

Redirects are never followed: for a POST they lose the body, and most lead to a login page.
"""

from __future__ import annotations

import os
import re
from urllib.parse import urljoin, urlsplit

import requests
from requests.auth import HTTPBasicAuth

from theseus_ci.jenkins.address import HOW_TO_LOG_IN, Address
from theseus_ci.jenkins.errors import (
    AlreadyAnswered,
    Declined,
    JenkinsError,
    NoPermission,
    NotAllowed,
    NotFound,
    NotJenkins,
    ServerFault,
    Unauthorised,
    Unreachable,
)

CONNECT_SECONDS = 10.0
SIZE_LIMIT = 64 * 1024 * 1024  # bytes of one answer
CRUMB_REMEDY = (
    "a crumb is good only with the cookie and the login it was given with: does a proxy drop one?"
)
_AWAY = frozenset({502, 503, 504})
_TITLE = re.compile(r"<title[^>]*>\s*(.*?)\s*</title>", re.IGNORECASE | re.DOTALL)
_NOT_ALLOWED = ("need to be", "permission")
_ANSWERED = "already given"


class Transport:
    """Sends requests with login, crumb and time limit."""

    def __init__(self, address: Address, seconds: float) -> None:
        """`seconds`: how long each answer may take between two bytes."""
        self.address = address
        self._limits = (min(CONNECT_SECONDS, seconds), seconds)
        self._seconds = seconds
        self._session = requests.Session()
        self._crumb: dict[str, str] | None = None
        if address.login is not None:
            user, token = address.login.user.encode(), address.login.token.encode()
            self._session.auth = HTTPBasicAuth(user, token)  # as UTF-8; text would be Latin-1
        # Some companies' proxies ask for headers of their own; python-jenkins knows this variable
        # too, but logs what it holds, so it must not see it.
        for line in os.environ.pop("JENKINS_API_EXTRA_HEADERS", "").split("\n"):
            name, colon, value = line.partition(":")
            if colon:
                self._session.headers[name.strip()] = value.strip()

    def send(self, request: requests.Request) -> requests.Response:
        """The answer, when it is a good one. Raises JenkinsError."""
        if request.method != "POST":
            return self._checked(request)
        for first in (True, False):
            request.headers.update(self._fresh_crumb(renew=not first))
            try:
                return self._checked(request)
            except NoPermission as error:
                # The crumb filter refuses before anything is done, so asking again is safe.
                if not first or not error.crumb:
                    raise
        raise AssertionError("unreachable")

    def _fresh_crumb(self, *, renew: bool) -> dict[str, str]:
        if self._crumb is None or renew:
            url = urljoin(self.address.url, "crumbIssuer/api/json")
            try:
                answer = self._checked(requests.Request("GET", url))
            except NotFound:
                self._crumb = {}  # this Jenkins wants none
            else:
                found = parse_json(answer)
                if not isinstance(found, dict) or "crumbRequestField" not in found:
                    raise NotJenkins("the crumb issuer's answer holds no crumb")
                self._crumb = {str(found["crumbRequestField"]): str(found["crumb"])}
        return self._crumb

    def _checked(self, request: requests.Request) -> requests.Response:
        what = f"{request.method} {self._path(request.url)}"
        answer = self._exchange(request, what)
        problem = self._problem(answer, what)
        if problem is not None:
            raise problem
        return answer

    def _exchange(self, request: requests.Request, what: str) -> requests.Response:
        prepared = self._session.prepare_request(request)
        settings = self._session.merge_environment_settings(prepared.url, {}, True, None, None)
        host = urlsplit(self.address.url).netloc
        try:
            answer = self._session.send(
                prepared, timeout=self._limits, allow_redirects=False, **settings
            )
            answer._content = _read(answer, what)
        except requests.exceptions.SSLError as error:
            raise JenkinsError(
                f"{what}: no trusted TLS connection to {host}: {_cause(error)}",
                remedy="with an authority of your own: REQUESTS_CA_BUNDLE=FILE",
            ) from None
        except requests.exceptions.ProxyError as error:
            raise Unreachable(
                f"{what}: the proxy did not let us through to {host}: {_cause(error)}",
                remedy="check HTTPS_PROXY, or name the host in NO_PROXY",
            ) from None
        except requests.exceptions.Timeout:
            raise Unreachable(f"{what}: no answer from {host} in {self._seconds:g} s") from None
        except requests.exceptions.RequestException as error:
            raise Unreachable(f"{what}: cannot reach {host}: {_cause(error)}") from None
        return answer

    def _problem(self, answer: requests.Response, what: str) -> JenkinsError | None:
        """What is wrong with the answer, None when it is a good one."""
        code = answer.status_code
        if code < 300:
            return self._page(answer, what) if is_html(answer) else None
        if code < 400:
            return self._redirected(answer, what)
        if code >= 500:
            return self._failed(answer, what)
        refusals = {401: self._unauthorised, 403: self._forbidden, 404: self._missing}
        return refusals.get(code, self._declined)(answer, what)

    def _page(self, answer: requests.Response, what: str) -> NotJenkins:
        return NotJenkins(
            f"{what}: an HTML page came instead of Jenkins' answer{self._words(answer)}",
            remedy="a proxy or a login page stands before Jenkins, or JENKINS_URL is wrong",
        )

    def _failed(self, answer: requests.Response, what: str) -> JenkinsError:
        code, said = answer.status_code, self._words(answer)
        if code in _AWAY:
            return Unreachable(f"{what}: Jenkins is not ready ({code}){said}")
        return ServerFault(
            f"{what}: an error inside Jenkins ({code}){said}",
            remedy="its log (Manage Jenkins, System Log) tells more",
        )

    def _unauthorised(self, answer: requests.Response, what: str) -> JenkinsError:
        login = self.address.login
        if login is None:
            return Unauthorised(f"{what}: Jenkins asks who we are (401)", remedy=HOW_TO_LOG_IN)
        return Unauthorised(
            f"{what}: Jenkins does not accept the user and token from {login.source} (401)",
            remedy="check that the API token has not been revoked",
        )

    def _forbidden(self, answer: requests.Response, what: str) -> JenkinsError:
        crumb = "valid crumb" in answer.text
        return NoPermission(
            f"{what}: Jenkins refuses (403){self._words(answer)}",
            remedy=CRUMB_REMEDY if crumb else self._permission(answer),
            crumb=crumb,
        )

    def _missing(self, answer: requests.Response, what: str) -> JenkinsError:
        return NotFound(
            f"{what}: not found (404)", remedy="or hidden from this user: Jenkins tells no more"
        )

    def _redirected(self, answer: requests.Response, what: str) -> JenkinsError:
        target = urljoin(str(answer.url), answer.headers.get("Location", ""))
        there = urlsplit(target)
        if re.search(r"login|signin|sso|oauth|saml|securityRealm", there.path, re.IGNORECASE):
            return Unauthorised(
                f"{what}: sent to a login page ({there.hostname}{there.path})", remedy=HOW_TO_LOG_IN
            )
        return NotJenkins(
            f"{what}: redirected to {there.scheme}://{there.hostname}{there.path}",
            remedy="set JENKINS_URL to the URL at which Jenkins itself answers",
        )

    def _declined(self, answer: requests.Response, what: str) -> JenkinsError:
        message = f"{what}: Jenkins declines ({answer.status_code}){self._words(answer)}"
        said = answer.headers.get("X-Error", "").lower()
        if _ANSWERED in said:
            return AlreadyAnswered(message)
        if any(words in said for words in _NOT_ALLOWED):
            return NotAllowed(message)
        return Declined(message)

    def _permission(self, answer: requests.Response) -> str:
        user = answer.headers.get("X-You-Are-Authenticated-As", "")
        needed = answer.headers.get("X-Required-Permission", "")
        if user == "anonymous" and self.address.login is None:
            return HOW_TO_LOG_IN
        told = f"{user or 'this user'} lacks " if user or needed else "the user lacks "
        return told + (f"the permission {needed}" if needed else "a permission in Jenkins")

    def _words(self, answer: requests.Response) -> str:
        """What the answer says for itself, in one line."""
        text = answer.headers.get("X-Error", "")
        if not text and is_html(answer):
            title = _TITLE.search(answer.text)
            text = f"“{title[1]}”" if title else ""
        elif not text and answer.status_code >= 400:
            text = answer.text
        text = " ".join("".join(c if c.isprintable() else " " for c in text[:2000]).split())
        return f": {self.address.redact(text)[:300]}" if text else ""

    def _path(self, url: str | None) -> str:
        """The part below Jenkins' root, without the query: that may hold values of parameters."""
        return urlsplit(url or "").path.removeprefix(urlsplit(self.address.url).path) or "/"


def is_html(answer: requests.Response) -> bool:
    """Whether a page for people came; Jenkins' own answers to programs never are one."""
    return "html" in answer.headers.get("Content-Type", "").lower() and bool(answer.content.strip())


def parse_json(answer: requests.Response) -> object:
    """The answer's JSON. Raises NotJenkins."""
    try:
        value: object = answer.json()
    except ValueError:
        path = urlsplit(str(answer.url)).path
        raise NotJenkins(
            f"{answer.request.method} {path}: the answer is no JSON",
            remedy="does a proxy stand before Jenkins? is JENKINS_URL right?",
        ) from None
    return value


def _read(answer: requests.Response, what: str) -> bytes:
    pieces, size = [], 0
    for piece in answer.iter_content(64 * 1024):
        size += len(piece)
        if size > SIZE_LIMIT:
            answer.close()
            raise NotJenkins(f"{what}: the answer is larger than {SIZE_LIMIT // 2**20} MiB")
        pieces.append(piece)
    return b"".join(pieces)


def _cause(error: BaseException) -> str:
    """The innermost reason: the outer ones repeat URLs and addresses of objects."""
    while True:
        inner = getattr(error, "reason", None) or next(
            (one for one in reversed(error.args) if isinstance(one, BaseException)), None
        )
        if not isinstance(inner, BaseException):
            return str(error).partition(">: ")[2] or str(error)
        error = inner
