"""The API client: against the sandbox's API server, and against servers that misbehave."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from tests.sandbox.stand import Cluster, World, cluster_in
from theseus_ci.sandbox.client import (
    JSON_PATCH,
    ApiClient,
    ApiError,
    Informer,
    Object,
)
from theseus_ci.sandbox.kubeconfig import KubeconfigError, load_access


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder: Path = tmp_path_factory.mktemp("cluster")
    with cluster_in(folder) as running:
        yield running


def config(name: str, **data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def test_objects_are_created_read_changed_and_deleted(cluster: Cluster) -> None:
    async def scenario(world: World) -> None:
        client, path = world.client, world.path("configmaps")
        made = await client.create(path, config("one", a="1"))
        assert await client.get(f"{path}/one") == made
        replaced = await client.replace(f"{path}/one", {**made, "data": {"a": "2"}})
        assert replaced["data"] == {"a": "2"}
        with pytest.raises(ApiError) as caught:
            await client.replace(f"{path}/one", {**made, "data": {"a": "3"}})
        assert (caught.value.status, caught.value.reason) == (409, "Conflict")
        merged = await client.patch(f"{path}/one", {"data": {"b": "4"}})
        assert merged["data"] == {"a": "2", "b": "4"}
        steps = [{"op": "remove", "path": "/data/a"}]
        patched = await client.patch(f"{path}/one", steps, content_type=JSON_PATCH)
        assert patched["data"] == {"b": "4"}
        await client.delete(f"{path}/one")
        with pytest.raises(ApiError) as caught:
            await client.get(f"{path}/one")
        assert (caught.value.status, caught.value.reason) == (404, "NotFound")
        assert "one" in caught.value.message
        await client.delete(f"{path}/one")  # gone already: fine

    cluster.run(scenario)


def test_a_deletion_can_be_bound_to_one_object(cluster: Cluster) -> None:
    async def scenario(world: World) -> None:
        client, path = world.client, world.path("configmaps")
        await client.create(path, config("one"))
        with pytest.raises(ApiError) as caught:
            await client.delete(f"{path}/one", uid="00000000-0000-4000-8000-000000000000")
        assert caught.value.status == 409
        assert await client.get(f"{path}/one")

    cluster.run(scenario)


def test_lists_take_selectors_and_name_their_items_kind(cluster: Cluster) -> None:
    async def scenario(world: World) -> None:
        path = world.path("configmaps")
        for name, team in (("one", "red"), ("two", "blue")):
            body = config(name)
            body["metadata"]["labels"] = {"team": team}
            await world.client.create(path, body)
        [found] = await world.client.list(path, labelSelector="team=blue")
        assert found["metadata"]["name"] == "two"
        assert (found["apiVersion"], found["kind"]) == ("v1", "ConfigMap")

    cluster.run(scenario)


def test_an_informer_follows_its_collection(cluster: Cluster) -> None:
    async def scenario(world: World) -> None:
        client, path = world.client, world.path("configmaps")
        await client.create(path, config("early", a="1"))
        informer = Informer(client, path, fieldSelector="metadata.name!=kube-root-ca.crt")
        told: list[tuple[str, str]] = []
        informer.on_change(lambda change, obj: told.append((change, obj["metadata"]["name"])))
        async with running(informer):
            await informer.synced()
            assert told == [("ADDED", "early")]
            made = await client.create(path, config("late"))
            assert await informer.reached(made["metadata"]["resourceVersion"])
            changed = await client.patch(f"{path}/late", {"data": {"a": "x" * 300_000}})
            assert await informer.reached(changed["metadata"]["resourceVersion"])
            assert informer.objects[(world.namespace, "late")] == changed
            await client.delete(f"{path}/late")
            assert await informer.until(lambda: len(informer.objects) == 1)
            assert told[1:] == [("ADDED", "late"), ("MODIFIED", "late"), ("DELETED", "late")]
            again: list[str] = []
            informer.on_change(lambda change, _: again.append(change))
            assert again == ["ADDED"]  # a late listener is told what is there
            assert not await informer.until(lambda: False, 0.01)

    cluster.run(scenario)


def test_no_server_is_an_api_error_without_a_status(tmp_path: Path) -> None:
    async def ask() -> None:
        async with ApiClient.from_kubeconfig(kubeconfig(tmp_path, "http://127.0.0.1:1")) as client:
            with pytest.raises(ApiError) as caught:
                await client.get("/api/v1/pods")
            assert (caught.value.status, caught.value.reason) == (0, "Unreachable")

    asyncio.run(ask())


class Script:
    """A server whose answers to a list and then to each watch are given, one line of events each.

    `lists` and `watches` are consumed in turn; the last one stays. A watch that ends in None keeps
    its connection open, one that ends in a bytes value sends that and breaks off.
    """

    def __init__(self, lists: list[Object], watches: list[list[Any]]) -> None:
        self.lists, self.watches = lists, watches
        self.asked: list[str] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if "watch" not in request.query:
            self.asked.append("list")
            return web.json_response(_next(self.lists))
        self.asked.append(request.query["resourceVersion"])
        response = web.StreamResponse()
        await response.prepare(request)
        for event in _next(self.watches):
            if event is None:
                await asyncio.Event().wait()
            elif isinstance(event, bytes):
                await response.write(event)
                assert request.transport is not None
                request.transport.abort()
            else:
                await response.write(json.dumps(event).encode() + b"\n")
        return response


def _next(items: list[Any]) -> Any:
    return items.pop(0) if len(items) > 1 else items[0]


def pod(name: str, version: int, uid: str | None = None) -> Object:
    meta = {"namespace": "n", "name": name, "uid": uid or name, "resourceVersion": str(version)}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta}


def pod_list(version: int, *pods: Object) -> Object:
    meta = {"resourceVersion": str(version)}
    return {"apiVersion": "v1", "kind": "PodList", "metadata": meta, "items": list(pods)}


def event(kind: str, obj: Object) -> Object:
    return {"type": kind, "object": obj}


EXPIRED = event("ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"})


def play(
    folder: Path, script: Script, scenario: Callable[[Informer, list[str]], Awaitable[None]]
) -> None:
    """Run an informer on the scripted server; the scenario gets what it tells, as text."""

    async def act() -> None:
        application = web.Application()
        application.router.add_get("/api/v1/pods", script.answer)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        path = kubeconfig(folder, f"http://127.0.0.1:{port}")
        try:
            async with ApiClient.from_kubeconfig(path) as client:
                informer = Informer(client, "/api/v1/pods")
                told: list[str] = []
                informer.on_change(
                    lambda change, obj: told.append(f"{change} {obj['metadata']['name']}")
                )
                async with running(informer):
                    await scenario(informer, told)
        finally:
            await runner.cleanup()

    asyncio.run(act())


def test_a_version_that_is_too_old_is_answered_by_a_new_list(tmp_path: Path) -> None:
    script = Script(
        [pod_list(5, pod("a", 3), pod("b", 4)), pod_list(9, pod("b", 8), pod("c", 9))],
        [[EXPIRED], [None]],
    )

    async def scenario(informer: Informer, told: list[str]) -> None:
        assert await informer.reached("9")
        assert told == ["ADDED a", "ADDED b", "DELETED a", "MODIFIED b", "ADDED c"]
        assert set(informer.objects) == {("n", "b"), ("n", "c")}

    play(tmp_path, script, scenario)


def test_a_watch_that_ends_is_taken_up_where_it_ended(tmp_path: Path) -> None:
    bookmark = event("BOOKMARK", {"metadata": {"resourceVersion": "7"}})
    script = Script(
        [pod_list(5, pod("a", 3))],
        [[event("MODIFIED", pod("a", 6)), bookmark], [event("ADDED", pod("b", 8)), None]],
    )

    async def scenario(informer: Informer, told: list[str]) -> None:
        assert await informer.reached("8")
        assert told == ["ADDED a", "MODIFIED a", "ADDED b"]
        assert script.asked == ["list", "5", "7"]

    play(tmp_path, script, scenario)


def test_a_connection_that_breaks_inside_an_event_loses_nothing(tmp_path: Path) -> None:
    script = Script(
        [pod_list(5, pod("a", 3)), pod_list(6, pod("a", 6))],
        [[b'{"type":"MODIFIED","object":{"metada'], [None]],
    )

    async def scenario(informer: Informer, told: list[str]) -> None:
        assert await informer.reached("6")
        assert told == ["ADDED a", "MODIFIED a"]

    play(tmp_path, script, scenario)


def test_a_name_reused_during_an_outage_is_two_objects(tmp_path: Path) -> None:
    script = Script(
        [pod_list(5, pod("a", 3, uid="first")), pod_list(9, pod("a", 8, uid="second"))],
        [[EXPIRED], [None]],
    )

    async def scenario(informer: Informer, told: list[str]) -> None:
        assert await informer.reached("9")
        assert told == ["ADDED a", "DELETED a", "ADDED a"]

    play(tmp_path, script, scenario)


def test_an_answer_that_is_no_status_is_quoted(tmp_path: Path) -> None:
    script = Script([pod_list(5)], [[None]])

    async def scenario(informer: Informer, _: list[str]) -> None:
        await informer.synced()
        async with ApiClient.from_kubeconfig(tmp_path / "kubeconfig") as client:
            with pytest.raises(ApiError) as caught:
                await client.get("/elsewhere")
        assert caught.value.status == 404
        assert "Not Found" in caught.value.message

    play(tmp_path, script, scenario)


NO_PEM = base64.b64encode(b"no certificate").decode()


def kubeconfig(folder: Path, server: str, **user: Any) -> Path:
    path = folder / "kubeconfig"
    content = {
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "clusters": [{"name": "test", "cluster": {"server": server}}],
        "users": [{"name": "test", "user": user}],
    }
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def test_tokens_are_read_from_the_file_or_beside_it(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-a-file\n", encoding="ascii")
    assert load_access(kubeconfig(tmp_path, "http://h", token="inline")).token == "inline"
    assert load_access(kubeconfig(tmp_path, "http://h", tokenFile="token")).token == "from-a-file"


@pytest.mark.parametrize(
    ("server", "user", "complaint"),
    [
        ("ftp://h", {}, "no http(s) server"),
        ("https://h", {"exec": {"command": "login"}}, "exec is not supported"),
        ("https://h", {"client-certificate": "absent.crt"}, "absent.crt"),
        ("https://h", {"client-certificate-data": "?", "client-key-data": "?"}, "kubeconfig"),
        ("https://h", {"client-certificate-data": NO_PEM, "client-key-data": NO_PEM}, "PEM"),
    ],
)
def test_a_kubeconfig_that_cannot_work_is_refused(
    tmp_path: Path, server: str, user: Object, complaint: str
) -> None:
    with pytest.raises(KubeconfigError) as caught:
        load_access(kubeconfig(tmp_path, server, **user))
    assert complaint in str(caught.value)


def test_a_kubeconfig_without_its_context_is_refused(tmp_path: Path) -> None:
    (tmp_path / "kubeconfig").write_text("current-context: lost\n", encoding="utf-8")
    with pytest.raises(KubeconfigError, match="no entry 'lost' in contexts"):
        load_access(tmp_path / "kubeconfig")


@contextlib.asynccontextmanager
async def running(informer: Informer) -> AsyncIterator[None]:
    task = asyncio.create_task(informer.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
