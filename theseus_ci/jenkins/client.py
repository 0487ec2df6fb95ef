"""A Jenkins server as this project uses it: jobs, builds, the queue, gates, logs, artefacts.

python-jenkins knows the endpoints it has; each request goes through `Transport`, which it cannot
do itself: time limits, crumbs, and errors told apart. What python-jenkins lacks is plain REST.
Jobs go by their full name, folders included: `team/app`. A branch `a/b` of a multibranch job is
called `team/app/a%2Fb`, as Jenkins calls it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote, unquote, urlsplit

import jenkins
import requests

from theseus_ci.errors import UsageError
from theseus_ci.jenkins.address import Address
from theseus_ci.jenkins.errors import JenkinsError, NotFound, NotJenkins, Unreachable
from theseus_ci.jenkins.transport import Transport, parse_json

XML = {"Content-Type": "application/xml; charset=utf-8"}
_Found = TypeVar("_Found")


@dataclass(frozen=True)
class LogPart:
    """A piece of a build's log."""

    data: bytes
    next: int  # where the next piece starts
    more: bool  # whether the build still writes


class Client:
    """Asks one server. Every method raises JenkinsError."""

    def __init__(self, address: Address, *, seconds: float = 30.0) -> None:
        self.address = address
        self._transport = Transport(address, seconds)
        self._library = jenkins.Jenkins(address.url)
        self._library.jenkins_request = self._for_library

    @property
    def user(self) -> str:
        """Who we are there, for messages."""
        return self.address.login.user if self.address.login else "anonymous"

    def page(self, name: str, number: int) -> str:
        """The build's page, for people."""
        return self.address.url + build_path(name, number)

    # -- jobs --

    def job_class(self, name: str) -> str | None:
        """The Java class of a job or folder, None when there is none."""
        try:
            found = self._json(f"{job_path(name)}api/json?tree=name")
        except NotFound:
            return None
        return str(found.get("_class", ""))

    def config(self, name: str) -> str:
        """A job's config.xml."""
        return str(self._ask(lambda: self._library.get_job_config(name)))

    def create(self, name: str, xml: str) -> None:
        """Create a job or folder from its config.xml."""
        folder, _, short = name.rpartition("/")
        path = f"{job_path(folder) if folder else ''}createItem?name={quote(short, safe='')}"
        self._post(path, data=xml.encode(), headers=XML)

    def reconfigure(self, name: str, xml: str) -> None:
        """Replace a job's config.xml."""
        self._ask(lambda: self._library.reconfig_job(name, xml))

    # -- builds --

    def build(self, name: str, number: int) -> dict[str, Any]:
        """What Jenkins tells of a build."""
        return self._dict(self._ask(lambda: self._library.get_build_info(name, number)))

    def builds(self, name: str, fields: str, first: int, count: int) -> list[dict[str, Any]]:
        """Builds from the `first` newest on (0: the last one), newest first."""
        query = quote(f"allBuilds[{fields}]{{{first},{first + count}}}", safe="[],{}")
        found = self._json(f"{job_path(name)}api/json?tree={query}")
        builds = found.get("allBuilds", found.get("builds"))
        if not isinstance(builds, list):
            raise NotJenkins(f"job {name}: Jenkins tells of no builds: is it a folder?")
        return [self._dict(build) for build in builds]

    def stages(self, name: str, number: int) -> dict[str, Any] | None:
        """The build's stages (wfapi/describe), None when this Jenkins does not tell them."""
        try:
            return self._dict(self._ask(lambda: self._library.get_build_stages(name, number)))
        except NotFound:
            return None

    def stage(self, name: str, number: int, node: str) -> dict[str, Any]:
        """One stage with its steps (stageFlowNodes)."""
        path = f"{build_path(name, number)}execution/node/{quote(node, safe='')}/wfapi/describe"
        return self._json(path)

    def artefact(self, name: str, number: int, path: str) -> bytes:
        """An archived file."""
        return self._get(f"{build_path(name, number)}artifact/{quote(path)}").content

    def log(self, name: str, number: int, start: int) -> LogPart:
        """What the build has written since byte `start`."""
        path = f"{build_path(name, number)}logText/progressiveText?start={start}"
        answer = self._get(path)
        size = answer.headers.get("X-Text-Size", "")
        if not size.isdigit():
            raise NotJenkins(f"GET {path}: the answer does not tell the log's size")
        return LogPart(answer.content, int(size), answer.headers.get("X-More-Data") == "true")

    # -- queue --

    def parameters(self, name: str) -> list[str]:
        """The names of a job's parameters."""
        query = quote("property[parameterDefinitions[name]]", safe="[]")
        found = self._json(f"{job_path(name)}api/json?tree={query}")
        return [
            str(one.get("name"))
            for part in found.get("property") or []
            for one in part.get("parameterDefinitions") or []
        ]

    def trigger(self, name: str, values: dict[str, str]) -> int:
        """Queue a build and return the queue item's number; values travel in the body.

        Jenkins drops values that the job does not ask for, so that is a UsageError here.
        """
        known = self.parameters(name)
        unknown = [key for key in values if key not in known]
        if unknown:
            raise UsageError(
                f"{name} has no parameter {unknown[0]!r}",
                remedy=f"it has: {', '.join(known) or 'none (yet: the first build may add some)'}",
            )
        method = "buildWithParameters" if known else "build"  # Jenkins insists on the right one
        try:
            answer = self._post(f"{job_path(name)}{method}", data=values)
        except Unreachable as error:
            raise JenkinsError(
                f"{error}; whether a build was queued is unknown",
                remedy=f"look before you start another: {self.address.url}{job_path(name)}",
            ) from error
        item = urlsplit(answer.headers.get("Location", "")).path.rstrip("/").rpartition("/")[2]
        if not item.isdigit():
            raise NotJenkins(f"job {name}: Jenkins does not tell which queue item it made")
        return int(item)

    def queued(self, item: int) -> dict[str, Any]:
        """A queue item; Jenkins forgets it five minutes after it has left the queue."""
        return self._dict(self._ask(lambda: self._library.get_queue_item(item)))

    # -- gates --

    def pending(self, name: str, number: int) -> list[dict[str, Any]]:
        """The inputs a build waits for."""
        path = f"{build_path(name, number)}wfapi/pendingInputActions"
        found = parse_json(self._get(path))
        if not isinstance(found, list):
            raise NotJenkins(f"GET {path}: the answer is no list of inputs")
        return [self._dict(one) for one in found]

    def proceed(self, name: str, number: int, gate: str, values: dict[str, str | bool]) -> None:
        """Let a build go on, with all its parameters."""
        path = f"{build_path(name, number)}input/{quote(gate, safe='')}/"
        if not values:
            self._post(f"{path}proceedEmpty", data={})
            return
        form = {"parameter": [{"name": key, "value": value} for key, value in values.items()]}
        self._post(f"{path}proceed", data={"json": json.dumps(form)})

    def abort(self, name: str, number: int, gate: str) -> None:
        """Answer a gate with no."""
        self._post(f"{build_path(name, number)}input/{quote(gate, safe='')}/abort", data={})

    # -- plumbing --

    def _for_library(
        self,
        request: requests.Request,
        add_crumb: bool = True,
        resolve_auth: bool = True,
        stream: bool | None = None,
    ) -> requests.Response:
        """What python-jenkins calls instead of its own sending."""
        return self._transport.send(request)

    def _ask(self, question: Callable[[], _Found]) -> _Found:
        try:
            return question()
        except jenkins.JenkinsException as error:  # an answer it could not read
            raise NotJenkins(self.address.redact(str(error))) from None

    def _get(self, path: str) -> requests.Response:
        return self._transport.send(requests.Request("GET", self.address.url + path))

    def _post(
        self, path: str, *, data: dict[str, str] | bytes, headers: dict[str, str] | None = None
    ) -> requests.Response:
        request = requests.Request(
            "POST", self.address.url + path, data=data, headers=dict(headers or {})
        )
        return self._transport.send(request)

    def _json(self, path: str) -> dict[str, Any]:
        return self._dict(parse_json(self._get(path)))

    def _dict(self, value: object) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise NotJenkins("an answer of another shape than Jenkins gives came")
        return value


def job_path(name: str) -> str:
    """`team/app` → `job/team/job/app/`."""
    return "".join(f"job/{quote(part, safe='')}/" for part in name.split("/"))


def build_path(name: str, number: int) -> str:
    """`team/app`, 7 → `job/team/job/app/7/`."""
    return f"{job_path(name)}{number}/"


def job_name(text: str, root: str) -> str:
    """The full name of a job given by name, or by a URL copied from the browser.

    Raises UsageError.
    """
    name = text
    if "://" in text:
        if not text.startswith(root):
            raise UsageError("the job's URL is not below that of this Jenkins", remedy=root)
        parts = urlsplit(text[len(root) :]).path.strip("/").split("/")
        pairs = zip(parts[::2], parts[1::2], strict=False)  # job/team/view/all/job/app/7
        name = "/".join(unquote(word) for kind, word in pairs if kind == "job")
    parts = name.strip("/").split("/")
    if not all(parts) or any(part in (".", "..") or part != part.strip() for part in parts):
        raise UsageError(f"{text!r} is not the name of a job", remedy="write it as team/app")
    return "/".join(parts)
