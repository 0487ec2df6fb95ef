"""A Jenkins for tests, over real HTTP, as strict as the real one and stricter.

It knows the endpoints this project uses and answers everything else as Jenkins does: 404 for an
unknown path, 405 for a wrong method, 401 and 403, 403 without a crumb, 400 with X-Error for what a
form got wrong, 500 where Jenkins' code throws. Faults can be queued for the next requests.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree

from tests.jenkins.http_answers import Answer, as_json, failure, page
from tests.jenkins.jobs import FOLDER_CLASS, JOB_CLASS, Build, Input, Item, Queued

USER, TOKEN = "ada", "11f0c0ffee-very-secret"
CRUMB_FIELD, SESSION_COOKIE = "Jenkins-Crumb", "JSESSIONID.c0ffee11"
ROOT = "/jenkins/"


@dataclass
class Request:
    method: str
    path: str  # below the root
    query: dict[str, str]
    body: bytes
    headers: dict[str, str]
    user: str

    def form(self) -> dict[str, str]:
        found = parse_qs(self.body.decode(), keep_blank_values=True)
        return {name: values[-1] for name, values in found.items()}

    def session(self) -> str:
        """The session that its cookie names, "" without one."""
        cookie = SimpleCookie(self.headers.get("Cookie", "")).get(SESSION_COOKIE)
        return cookie.value if cookie else ""


@dataclass
class StandIn:
    items: dict[str, Item] = field(default_factory=dict)
    queue: dict[int, Queued] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)  # for the next requests, "" is none
    seen: list[Request] = field(default_factory=list)
    answers: list[tuple[str, str, Any]] = field(default_factory=list)  # gate, verb, values
    crumbs: bool = True  # whether there is a crumb issuer
    sessions: set[str] = field(default_factory=set)
    begun: int = 0  # sessions so far
    stale: int = 0  # so many crumbs are handed out whose session is forgotten before they come back
    cookies: bool = True  # False: a proxy drops them
    forbidden: set[str] = field(default_factory=set)  # paths that this user may not use
    drops: str = ""  # an element whose plugin this Jenkins does not have
    wfapi: bool = True  # whether the Pipeline: REST API plugin is there
    url: str = ""

    # -- routing --

    def answer(self, request: Request) -> Answer:
        for pattern, methods in ROUTES:
            found = re.fullmatch(pattern, request.path)
            if found is None:
                continue
            if request.method not in methods:
                return page(405, "Method Not Allowed")
            if request.path in self.forbidden:
                return page(
                    403,
                    "Forbidden",
                    X_You_Are_Authenticated_As=request.user,
                    X_Required_Permission="hudson.model.Item.Configure",
                )
            if request.method == "POST" and not self._crumb_fits(request):
                return page(
                    403,
                    "Error 403 No valid crumb was included in the request",
                    **self.session(request)[1],
                )
            try:
                methods[request.method](self, request, found)
            except Answer as answer:
                return answer
        return page(404, "Not Found")

    def _crumb_fits(self, request: Request) -> bool:
        if not self.crumbs:
            return True
        session = request.session()
        given = request.headers.get(CRUMB_FIELD)
        return session in self.sessions and given == crumb_of(request.user, session)

    def session(self, request: Request) -> tuple[str, dict[str, str]]:
        """The request's session, a new one where it names none that is known, and its cookie."""
        session = request.session()
        if session in self.sessions:
            return session, {}
        self.begun += 1
        session = f"node0{self.begun}"
        self.sessions.add(session)
        if not self.cookies:
            return session, {}
        return session, {"Set-Cookie": f"{SESSION_COOKIE}={session}; Path={ROOT[:-1]}; HttpOnly"}

    def item(self, found: re.Match[str]) -> tuple[str, Item]:
        parts = found["item"].strip("/").split("/")[1::2]
        name = "/".join(unquote(part) for part in parts)
        if name not in self.items:
            raise page(404, "Not Found")
        return name, self.items[name]

    def build(self, found: re.Match[str]) -> Build:
        _, item = self.item(found)
        for build in item.builds:
            if build.number == int(found["number"]):
                return build
        raise page(404, "Not Found")

    def pipeline(self, found: re.Match[str]) -> Build:
        if not self.wfapi:
            raise page(404, "Not Found")
        return self.build(found)

    def input(self, found: re.Match[str], request: Request) -> tuple[Build, Input]:
        build = self.build(found)
        for one in build.waiting():
            if one.id == unquote(found["gate"]):
                if one.answered:
                    raise failure("This input has been already given")
                if one.submitters and request.user not in one.submitters:
                    raise failure(f"You need to be {','.join(one.submitters)} to submit this.")
                return build, one
        raise page(404, "Not Found")


# -- endpoints --


def crumb(jenkins: StandIn, request: Request, found: re.Match[str]) -> None:
    if not jenkins.crumbs:
        raise page(404, "Not Found")
    session, cookie = jenkins.session(request)
    if jenkins.stale > 0:
        jenkins.stale -= 1
        jenkins.sessions.remove(session)
    value = crumb_of(request.user, session)
    raise as_json({"crumb": value, "crumbRequestField": CRUMB_FIELD}, **cookie)


def crumb_of(user: str, session: str) -> str:
    """As Jenkins' DefaultCrumbIssuer makes it: good for one user in one session."""
    return hashlib.sha256(f"{user};127.0.0.1;{session}".encode()).hexdigest()


def describe_item(jenkins: StandIn, request: Request, found: re.Match[str]) -> None:
    name, item = jenkins.item(found)
    tree = request.query.get("tree", "")
    shown: dict[str, Any] = {"_class": item.kind}
    if tree == "name":
        shown["name"] = name.rpartition("/")[2]
    elif tree == "property[parameterDefinitions[name]]":
        shown["property"] = [{}]
        if item.parameters:
            shown["property"] += [{"parameterDefinitions": [{"name": n} for n in item.parameters]}]
    elif builds := re.fullmatch(r"allBuilds\[(.*)\]\{(\d+),(\d+)\}", tree):
        if item.kind == JOB_CLASS:
            newest = sorted(item.builds, key=lambda build: -build.number)
            chosen = newest[int(builds[2]) : int(builds[3])]
            shown["allBuilds"] = [_build_fields(build, builds[1]) for build in chosen]
    else:
        raise AssertionError(f"a tree that the stand-in does not know: {tree}")
    raise as_json(shown)


def _build_fields(build: Build, fields: str) -> dict[str, Any]:
    known = {
        "number": build.number,
        "building": build.now.building,
        "result": build.now.result,
        "queueId": build.queue_id,
        "artifacts[fileName,relativePath]": [
            {"fileName": path.rpartition("/")[2], "relativePath": path} for path in build.artefacts
        ],
    }
    names = re.findall(r"\w+(?:\[[^\]]*\])?", fields)
    return {name.partition("[")[0]: known[name] for name in names}


def read_config(jenkins: StandIn, request: Request, found: re.Match[str]) -> None:
    _, item = jenkins.item(found)
    raise Answer(200, item.xml, "application/xml;charset=utf-8")


def write_config(jenkins: StandIn, request: Request, found: re.Match[str]) -> None:
    _, item = jenkins.item(found)
    item.xml = as_saved(request.body, jenkins.drops)
    raise Answer(200)


def create(jenkins: StandIn, request: Request, found: re.Match[str]) -> None:
    folder = ""
    if found["item"]:
        folder, item = jenkins.item(found)
        if item.kind != FOLDER_CLASS:
            raise page(404, "Not Found")
    name = request.query.get("name")
    if not name:
        raise failure("Query parameter 'name' is required")
    if "xml" not in request.headers.get("Content-Type", ""):
        raise failure("No mode given")
    full = f"{folder}/{name}".strip("/")
    if full in jenkins.items:
        raise failure(f"A job already exists with the name ‘{name}’".encode().decode("latin-1"))
    xml = as_saved(request.body, jenkins.drops)
    kind = FOLDER_CLASS if "folder.Folder" in xml else JOB_CLASS
    jenkins.items[full] = Item(kind, xml)
    raise Answer(200)


def as_saved(body: bytes, dropped: str) -> str:
    """config.xml as Jenkins writes it: its own layout, and the plugins' names added."""
    text = body.decode()
    assert text.startswith("<?xml version='1.1'"), "Jenkins reads 1.0 too, but we send what it has"
    try:
        root = ElementTree.fromstring(text.partition("?>")[2])
    except ElementTree.ParseError:
        raise page(500, "Oops!") from None
    for parent in list(root.iter()):
        for child in [one for one in parent if one.tag == dropped]:
            parent.remove(child)
    root.set("plugin", "workflow-job@1540")
    for element in root.iter("definition"):
        element.set("plugin", "workflow-cps@4100")
    for element in root.iter("scm"):
        element.set("plugin", "git@5.7.0")
        if element.find("submoduleCfg") is None:
            ElementTree.SubElement(element, "submoduleCfg", {"class": "empty-list"})
    ElementTree.indent(root, "    ")
    return "<?xml version='1.1' encoding='UTF-8'?>\n" + ElementTree.tostring(root, "unicode")


def start_build(jenkins: StandIn, request: Request, found: re.Match[str]) -> None:
    name, item = jenkins.item(found)
    parameterised = found["verb"] == "buildWithParameters"
    if item.parameters and not parameterised:
        raise page(400, "Nothing is submitted")
    if parameterised and not item.parameters:
        raise page(500, "Oops!")
    if request.query:
        raise AssertionError(f"values in the URL, where logs keep them: {request.query}")
    number = max(jenkins.queue, default=40) + 1
    queued = jenkins.queue.pop(0, Queued(name, build=1))  # 0: what a test has prepared
    jenkins.queue[number] = queued
    for build in item.builds:
        if build.number == queued.build:
            build.queue_id = number
    jenkins.answers.append((name, found["verb"], request.form()))
    raise Answer(201, Location=f"{jenkins.url}queue/item/{number}/")


def queue_item(jenkins: StandIn, request: Request, found: re.Match[str]) -> None:
    queued = jenkins.queue.get(int(found["number"]))
    if queued is None or queued.forgotten:
        raise page(404, "Not Found")
    if queued.why:
        raise as_json({"_class": "hudson.model.Queue$BuildableItem", "why": queued.why.pop(0)})
    if queued.cancelled:
        raise as_json({"_class": "hudson.model.Queue$LeftItem", "why": None, "cancelled": True})
    executable = {"number": queued.build, "url": f"{jenkins.url}job/…/{queued.build}/"}
    raise as_json({"why": None, "cancelled": False, "executable": executable})


def describe_build(jenkins: StandIn, request: Request, found: re.Match[str]) -> None:
    build = jenkins.build(found)
    frame = build.move()
    raise as_json({"number": build.number, "building": frame.building, "result": frame.result})


def stages(jenkins: StandIn, request: Request, found: re.Match[str]) -> None:
    frame = jenkins.pipeline(found).now
    raise as_json({"id": found["number"], "status": frame.status, "stages": frame.stages})


def stage_node(jenkins: StandIn, request: Request, found: re.Match[str]) -> None:
    build = jenkins.pipeline(found)
    if found["node"] not in build.nodes:
        raise page(404, "Not Found")
    raise as_json({"id": found["node"], "stageFlowNodes": build.nodes[found["node"]]})


def pending(jenkins: StandIn, request: Request, found: re.Match[str]) -> None:
    build = jenkins.pipeline(found)
    raise as_json(
        [
            {
                "id": one.id,
                "proceedText": "Proceed",
                "message": one.message,
                "inputs": one.parameters,
                "proceedUrl": f"{ROOT}…/wfapi/inputSubmit?inputId={one.id}",
                "abortUrl": f"{ROOT}…/input/{one.id}/abort",
                "redirectApprovalUrl": f"{ROOT}…/input/",
            }
            for one in build.waiting()
        ]
    )


def proceed(jenkins: StandIn, request: Request, found: re.Match[str]) -> None:
    build, gate = jenkins.input(found, request)
    values: Any = None
    if found["verb"] == "proceed":
        form = request.form()
        if "json" not in form:
            raise page(400, "This page expects a form submission")
        values = {}
        for one in json.loads(form["json"]).get("parameter", []):
            definition = next((p for p in gate.parameters if p["name"] == one["name"]), None)
            if definition is None:
                raise page(500, "Oops!")
            boolean = definition["type"] == "BooleanParameterDefinition"
            if isinstance(one["value"], bool) != boolean:
                raise page(500, "Oops!")
            values[one["name"]] = one["value"]
    build.settled.add(gate.id)
    jenkins.answers.append((gate.id, found["verb"], values))
    raise Answer(200)


def log(jenkins: StandIn, request: Request, found: re.Match[str]) -> None:
    frame = jenkins.build(found).now
    start = int(request.query.get("start", "0"))
    start = 0 if start > len(frame.log) else start
    more = {"X-More-Data": "true"} if frame.building else {}
    raise Answer(
        200, frame.log[start:], "text/plain;charset=UTF-8", X_Text_Size=str(len(frame.log)), **more
    )


def artefact(jenkins: StandIn, request: Request, found: re.Match[str]) -> None:
    build = jenkins.build(found)
    path = unquote(found["path"])
    if path not in build.artefacts:
        raise page(404, "Not Found")
    raise Answer(200, build.artefacts[path], "application/json")


Endpoint = Callable[[StandIn, Request, "re.Match[str]"], None]
_ITEM = r"(?P<item>(?:job/[^/]+/)+)"
_BUILD = _ITEM + r"(?P<number>\d+)/"
ROUTES: list[tuple[str, dict[str, Endpoint]]] = [
    (r"crumbIssuer/api/json", {"GET": crumb}),
    (r"(?P<item>(?:job/[^/]+/)*)createItem", {"POST": create}),
    (r"queue/item/(?P<number>\d+)/api/json", {"GET": queue_item}),
    (_ITEM + r"api/json", {"GET": describe_item}),
    (_ITEM + r"config\.xml", {"GET": read_config, "POST": write_config}),
    (_ITEM + r"(?P<verb>build|buildWithParameters)", {"POST": start_build}),
    (_BUILD + r"api/json", {"GET": describe_build}),
    (_BUILD + r"wfapi/describe/?", {"GET": stages}),
    (_BUILD + r"execution/node/(?P<node>\d+)/wfapi/describe", {"GET": stage_node}),
    (_BUILD + r"wfapi/pendingInputActions", {"GET": pending}),
    (_BUILD + r"input/(?P<gate>[^/]+)/(?P<verb>proceed|proceedEmpty|abort)", {"POST": proceed}),
    (_BUILD + r"logText/progressiveText", {"GET": log}),
    (_BUILD + r"artifact/(?P<path>.+)", {"GET": artefact}),
]
FAULTS: dict[str, Callable[[], Answer]] = {
    "login page": lambda: page(200, "Sign in - Example SSO"),
    "login redirect": lambda: Answer(302, Location="https://sso.example.com/login?from=%2F"),
    "moved": lambda: Answer(301, Location="https://ci.example.com/"),
    "starting": lambda: page(503, "Jenkins is getting ready to work"),
    "oops": lambda: page(500, "Oops!"),
    "not json": lambda: Answer(200, "it works", "text/plain"),
    "echo": lambda: page(500, f"bad token {TOKEN}"),
}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    jenkins: StandIn

    def do_GET(self) -> None:
        self._handle()

    def do_POST(self) -> None:
        self._handle()

    def do_PUT(self) -> None:
        self._handle()

    def _handle(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(size)
        fault = self.jenkins.faults.pop(0) if self.jenkins.faults else ""
        if fault == "reset":
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()
            self.close_connection = True
            return
        if fault == "silence":
            self.connection.recv(1)  # until the client gives up
            self.close_connection = True
            return
        self._send(FAULTS[fault]() if fault else self._answer(body))

    def _answer(self, body: bytes) -> Answer:
        parts = urlsplit(self.path)
        if not parts.path.startswith(ROOT):
            return page(404, "Not Found")
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        login = self.headers.get("Authorization")
        right = "Basic " + base64.b64encode(f"{USER}:{TOKEN}".encode()).decode()
        request = Request(
            self.command, parts.path[len(ROOT) :], query, body, dict(self.headers.items()), USER
        )
        self.jenkins.seen.append(request)
        if login is None:
            return page(403, "Authentication required", X_You_Are_Authenticated_As="anonymous")
        if login != right:
            return page(401, "Unauthorized", WWW_Authenticate='Basic realm="Jenkins"')
        return self.jenkins.answer(request)

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.code)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: object) -> None:
        """Silence."""


@contextmanager
def serving(jenkins: StandIn, tls: ssl.SSLContext | None = None) -> Iterator[StandIn]:
    """The stand-in on a free loopback port, until the block ends."""
    handler = type("Bound", (Handler,), {"jenkins": jenkins})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    jenkins.url = f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}{ROOT}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield jenkins
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
