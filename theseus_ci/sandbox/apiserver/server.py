"""HTTP: from a request to the verb that carries it out."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, TextIO

from aiohttp import web

from theseus_ci.sandbox.apiserver import (
    decoding,
    deletion,
    documents,
    listing,
    protobuf,
    rbac,
    selectors,
    subresources,
    tables,
)
from theseus_ci.sandbox.apiserver.answers import Presenter, respond
from theseus_ci.sandbox.apiserver.errors import (
    ApiError,
    NoSuchPageError,
    Object,
    bad_request,
    internal,
    method_not_allowed,
    no_such_path,
    unsupported_media_type,
)
from theseus_ci.sandbox.apiserver.identity import TokenFile, User, impersonated
from theseus_ci.sandbox.apiserver.kinds import SUBRESOURCE_VERBS
from theseus_ci.sandbox.apiserver.options import WriteOptions, delete_options, write_options
from theseus_ci.sandbox.apiserver.pod_logs import PodLogs
from theseus_ci.sandbox.apiserver.request import (
    TABLE,
    Format,
    Route,
    negotiate,
    parse_route,
)
from theseus_ci.sandbox.apiserver.verbs import APPLY, Target, Verbs, Written
from theseus_ci.sandbox.apiserver.watch import View, Watcher, WatchOptions, check_parameters

BODY_LIMIT = 3 * 1024 * 1024
JSON_TYPES = ("application/json", "application/yaml", "*/*", "")
OPTION_KINDS = {"create": "CreateOptions", "update": "UpdateOptions", "patch": "PatchOptions"}
Answer = web.StreamResponse
logger = logging.getLogger(__name__)


class Server:
    """The HTTP face of one store."""

    def __init__(self, verbs: Verbs, tokens: TokenFile, log: TextIO | None = None) -> None:
        self._verbs = verbs
        self._tokens = tokens
        self._log = log
        self._logs = PodLogs(verbs)
        self._watchers: set[Watcher] = set()

    def application(self) -> web.Application:
        """The aiohttp application; its cleanup closes what the server opened."""
        application = web.Application(client_max_size=BODY_LIMIT)
        application.router.add_route("*", "/{path:.*}", self._handle)
        application.on_shutdown.append(self._end_watches)
        application.on_cleanup.append(self._close)
        return application

    async def _end_watches(self, _: web.Application) -> None:
        for watcher in self._watchers:
            watcher.stop()

    async def _close(self, _: web.Application) -> None:
        await self._logs.close()

    async def _handle(self, request: web.Request) -> Answer:
        begun = time.perf_counter()
        user: User | None = None
        code = 500
        try:
            user = self._identify(request)
            answer = await self._answer(request, user)
            code = answer.status
        except ApiError as problem:
            code = problem.code
            answer = respond(problem.status, status=code, headers=problem.headers)
        except NoSuchPageError:
            code = 404
            answer = web.Response(status=code, text="404 page not found\n")
        except web.HTTPRequestEntityTooLarge:
            code = 413
            error = ApiError(413, "RequestEntityTooLarge", f"limit is {BODY_LIMIT}")
            answer = respond(error.status, status=code)
        except Exception as problem:
            logger.exception("%s %s", request.method, request.path_qs)
            answer = respond(internal(str(problem)).status, status=code)
        finally:
            if self._log is not None:
                spent = int((time.perf_counter() - begun) * 1e6)
                name = user.name if user else "-"
                self._log.write(f"{request.method} {request.path_qs} {code} {name} {spent}\n")
        return answer

    def _identify(self, request: web.Request) -> User:
        """The caller, or whom the caller acts as; ApiError 401 or 403."""
        user = self._tokens.user(request.headers.get("Authorization", ""))
        groups = request.headers.getall("Impersonate-Group", [])
        acting = impersonated(request.headers, groups)
        if acting is None:
            if groups:
                raise internal("requested impersonation without a user name")
            return user
        wanted = [rbac.Attributes("impersonate", resource="users", name=acting.name)]
        wanted += [rbac.Attributes("impersonate", resource="groups", name=name) for name in groups]
        for attributes in wanted:
            rbac.check(self._verbs.store, user, attributes)
        return acting

    async def _answer(self, request: web.Request, user: User) -> Answer:
        route = parse_route(request.method, request.path, request.query)
        if route is None:
            verb = request.method.lower()
            rbac.check(self._verbs.store, user, rbac.Attributes(verb, path=request.path))
            return documents.answer(request, self._verbs.registry)
        name = route.name
        pinned = selectors.pinned_name(request.query.get("fieldSelector", ""))
        if not name and route.verb in ("list", "watch", "deletecollection"):
            name = pinned
        attributes = rbac.Attributes(
            route.verb, route.group, route.plural, route.subresource, route.namespace, name
        )
        if route.plural == "namespaces" and route.name:
            attributes = replace(attributes, namespace=route.name)
        rbac.check(self._verbs.store, user, attributes)
        target = self._target(route)
        if route.subresource:
            return await self._subresource(request, route, target)
        return await self._object(request, user, route, target)

    def _target(self, route: Route) -> Target:
        """What the path is about; ApiError 404 or 405, NoSuchPageError."""
        resource = self._verbs.registry.find(route.group, route.version, route.plural)
        if resource is None:
            known = route.group in self._verbs.registry.groups()
            raise no_such_path() if known else NoSuchPageError
        if bool(route.namespace) and not resource.namespaced:
            raise no_such_path()
        needs_namespace = resource.namespaced and not route.namespace
        if needs_namespace and (route.name or route.verb in ("create", "deletecollection")):
            raise method_not_allowed() if not route.name else no_such_path()
        if route.subresource:
            if route.subresource not in resource.subresources:
                raise no_such_path()
            verbs = SUBRESOURCE_VERBS[route.subresource]
        else:
            one = ("get", "update", "patch", "delete")
            many = ("list", "watch", "create", "deletecollection")
            fitting = one if route.name else many
            verbs = tuple(verb for verb in resource.verbs if verb in fitting)
        if route.verb not in verbs:
            raise method_not_allowed()
        return Target(resource, route.version, route.namespace, route.subresource)

    def _presenter(self, request: web.Request, target: Target) -> tuple[Presenter, Format]:
        form = negotiate(request.headers.get("Accept", ""))
        return Presenter(self._verbs, target, form, request.query.get("includeObject", "")), form

    async def _body(self, request: web.Request) -> Any:
        kind = request.content_type if "Content-Type" in request.headers else ""
        if kind == protobuf.CONTENT_TYPE:
            return protobuf.decode(await request.read())
        if kind not in JSON_TYPES:
            raise unsupported_media_type([*JSON_TYPES[:2], protobuf.CONTENT_TYPE])
        return decoding.parse(await request.read(), as_yaml=kind == "application/yaml")

    def _options(self, request: web.Request, verb: str, kind: str = "") -> WriteOptions:
        option_kind = "ApplyOptions" if kind == APPLY else OPTION_KINDS[verb]
        agent = request.headers.get("User-Agent", "")
        return write_options(request.query, agent, option_kind)

    async def _object(
        self, request: web.Request, user: User, route: Route, target: Target
    ) -> Answer:
        if target.resource.kind.endswith("Review"):
            body = await self._body(request)
            review = subresources.review(self._verbs, target, body, user)
            return respond(review, negotiate(request.headers.get("Accept", "")), status=201)
        actions: dict[str, Callable[[web.Request, Route, Target], Awaitable[Answer]]] = {
            "get": self._get,
            "list": self._list,
            "watch": self._watch,
            "create": self._write,
            "update": self._write,
            "patch": self._write,
            "delete": self._delete,
            "deletecollection": self._delete_collection,
        }
        return await actions[route.verb](request, route, target)

    async def _get(self, request: web.Request, route: Route, target: Target) -> Answer:
        presenter, form = self._presenter(request, target)
        return respond(presenter.one(self._verbs.get(target, route.name)), form)

    async def _list(self, request: web.Request, _: Route, target: Target) -> Answer:
        presenter, form = self._presenter(request, target)
        page = listing.list_page(self._verbs.store, target, request.query)
        return respond(presenter.many(page), form)

    async def _write(self, request: web.Request, route: Route, target: Target) -> Answer:
        presenter, form = self._presenter(request, target)
        written = await self._written(request, route, target)
        headers = _warnings(written)
        status = 201 if written.created else 200
        return respond(presenter.one(written.stored), form, status=status, headers=headers)

    async def _written(self, request: web.Request, route: Route, target: Target) -> Written:
        if route.verb == "patch":
            kind = request.content_type
            options = self._options(request, "patch", kind)
            body = await request.read()
            return self._verbs.patch(target, route.name, kind, body, options)
        options = self._options(request, route.verb)
        content = await self._body(request)
        if route.verb == "create":
            return self._verbs.create(target, content, options)
        return self._verbs.replace(target, route.name, content, options)

    async def _delete(self, request: web.Request, route: Route, target: Target) -> Answer:
        form = negotiate(request.headers.get("Accept", ""))
        options = delete_options(request.query, await self._optional_body(request))
        answer, _ = deletion.delete(self._verbs, target, route.name, options)
        if form.shape == TABLE and answer.get("kind") == "Status":
            answer = tables.status_table(answer)
        return respond(answer, form)

    async def _delete_collection(self, request: web.Request, _: Route, target: Target) -> Answer:
        presenter, form = self._presenter(request, target)
        options = delete_options(request.query, await self._optional_body(request))
        page = listing.list_page(self._verbs.store, target, request.query)
        for item in page.items:
            metadata = item.obj["metadata"]
            deletion.delete(self._verbs, target, metadata["name"], options)
        return respond(presenter.many(page), form)

    async def _optional_body(self, request: web.Request) -> Object:
        if not await request.read():
            return {}
        body = await self._body(request)
        if not isinstance(body, dict):
            raise bad_request("couldn't get version/kind; json parse error: not an object")
        return body

    async def _watch(self, request: web.Request, _: Route, target: Target) -> Answer:
        presenter, _form = self._presenter(request, target)
        query = dict(request.query)
        check_parameters(target, query)
        version = listing.version_number(query.get("resourceVersion", ""))
        initial = query.get("sendInitialEvents", "")
        seconds = query.get("timeoutSeconds", "")
        timeout = float(seconds) if seconds.isdigit() and seconds != "0" else 0.0
        options = WatchOptions(
            version=version or None,
            bookmarks=query.get("allowWatchBookmarks", "") in ("true", "1"),
            initial_events=initial == "true",
            until_now=initial == "true" or (not version and initial != "false"),
            timeout=timeout or random.uniform(1800, 3600),
        )
        view = View(listing.matcher(target, query), presenter.event, presenter.bookmark)
        watcher = Watcher(self._verbs.store, target, options, view)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        self._watchers.add(watcher)
        try:
            async for chunk in watcher.chunks():
                if chunk:
                    await response.write(chunk)
        finally:
            self._watchers.discard(watcher)
        await response.write_eof()
        return response

    async def _subresource(self, request: web.Request, route: Route, target: Target) -> Answer:
        if route.subresource == "log":
            return await self._logs.relay(request, target, route.name)
        if route.subresource == "scale":
            return await self._scale(request, route, target)
        if route.verb == "get":
            return await self._get(request, route, target)
        if route.verb in ("update", "patch"):
            return await self._write(request, route, target)
        options = self._options(request, route.verb)
        content = await self._optional_body(request)
        act = subresources.bind if route.subresource == "binding" else subresources.evict
        status = act(self._verbs, target, route.name, content, options)
        return respond(status, negotiate(request.headers.get("Accept", "")), status=201)

    async def _scale(self, request: web.Request, route: Route, target: Target) -> Answer:
        form = negotiate(request.headers.get("Accept", ""))
        if route.verb == "get":
            return respond(subresources.scale_of(self._verbs.get(target, route.name)), form)
        options = self._options(request, route.verb)
        content: Any
        if route.verb == "patch":
            body, kind = await request.read(), request.content_type
            content = subresources.patched_scale(self._verbs, target, route.name, kind, body)
        else:
            content = await self._body(request)
        scaled = subresources.replace_scale(self._verbs, target, route.name, content, options)
        return respond(scaled, form)


def _warnings(written: Written) -> dict[str, str]:
    if not written.warnings:
        return {}
    quoted = ", ".join(f'299 - "unknown field \\"{path}\\""' for path in written.warnings)
    return {"Warning": quoted}
