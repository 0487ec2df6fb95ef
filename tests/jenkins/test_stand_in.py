"""The stand-in refuses what Jenkins refuses: a lenient one would prove nothing."""

from __future__ import annotations

import pytest
import requests

from tests.jenkins.jobs import JOB_CLASS, Build, Frame, Input, Item, Queued
from tests.jenkins.stand_in import CRUMB_FIELD, SESSION_COOKIE, TOKEN, USER, StandIn

LOGIN = (USER, TOKEN)


@pytest.fixture(autouse=True)
def job(jenkins: StandIn) -> None:
    asked = {"type": "BooleanParameterDefinition", "name": "OK", "definition": {"defaultVal": True}}
    frame = Frame(inputs=[Input("Go", "go?", [asked]), Input("Others", "?", submitters=("grace",))])
    jenkins.items["app"] = Item(JOB_CLASS, "<flow-definition/>", [Build(1, [frame])])
    jenkins.items["asks"] = Item(JOB_CLASS, "<flow-definition/>", parameters=("A",))
    jenkins.queue[7] = Queued("app", forgotten=True)


def crumbed(jenkins: StandIn) -> dict[str, str]:
    """The headers of a client with a session and its crumb."""
    answer = requests.get(jenkins.url + "crumbIssuer/api/json", auth=LOGIN, timeout=10)
    session = answer.cookies[SESSION_COOKIE]
    return {CRUMB_FIELD: answer.json()["crumb"], "Cookie": f"{SESSION_COOKIE}={session}"}


def status(
    jenkins: StandIn,
    method: str,
    path: str,
    *,
    auth: tuple[str, str] | None = LOGIN,
    headers: dict[str, str] | None = None,
    data: dict[str, str] | None = None,
) -> tuple[int, str]:
    answer = requests.request(
        method,
        jenkins.url + path,
        auth=auth,
        headers=crumbed(jenkins) if headers is None else headers,
        data=data,
        timeout=10,
        allow_redirects=False,
    )
    return answer.status_code, answer.headers.get("X-Error", "")


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "job/none/api/json?tree=name", 404),
        ("GET", "job/app/nothing/of/this/kind", 404),
        ("GET", "job/app/99/api/json", 404),
        ("GET", "queue/item/7/api/json", 404),
        ("GET", "job/app/build", 405),
        ("POST", "job/app/1/api/json", 405),
        ("GET", "job/app/1/input/Go/proceed", 405),
        ("PUT", "job/app/config.xml", 405),
        ("POST", "job/asks/build", 400),
        ("POST", "job/app/buildWithParameters", 500),
        ("POST", "job/app/1/input/Go/proceed", 400),
        ("POST", "job/app/1/input/go/proceedEmpty", 404),
        ("POST", "createItem", 400),
        ("POST", "createItem?name=x", 400),
        ("POST", "job/app/createItem?name=x", 404),
    ],
)
def test_refuses(jenkins: StandIn, method: str, path: str, code: int) -> None:
    assert status(jenkins, method, path)[0] == code
    assert jenkins.answers == []


def test_asks_for_login_and_crumb(jenkins: StandIn) -> None:
    path = "job/app/1/input/Go/abort"
    assert status(jenkins, "POST", path, auth=None)[0] == 403
    assert status(jenkins, "POST", path, auth=(USER, "wrong"))[0] == 401
    assert status(jenkins, "POST", path, headers={})[0] == 403
    assert status(jenkins, "POST", path, headers={CRUMB_FIELD: "other"})[0] == 403
    assert jenkins.answers == []
    assert status(jenkins, "POST", path)[0] == 200


def test_a_crumb_goes_with_its_session(jenkins: StandIn) -> None:
    path = "job/app/1/input/Go/abort"
    mine, other = crumbed(jenkins), crumbed(jenkins)
    assert mine[CRUMB_FIELD] != other[CRUMB_FIELD]
    for wrong in (
        {CRUMB_FIELD: mine[CRUMB_FIELD]},
        {**mine, "Cookie": other["Cookie"]},
        {**mine, "Cookie": f"{SESSION_COOKIE}=unknown"},
    ):
        assert status(jenkins, "POST", path, headers=wrong)[0] == 403
    assert status(jenkins, "POST", path, headers=mine)[0] == 200


@pytest.mark.parametrize(
    "form",
    ['{"parameter":[{"name":"NO","value":true}]}', '{"parameter":[{"name":"OK","value":"true"}]}'],
)
def test_a_wrong_form_fails_inside(jenkins: StandIn, form: str) -> None:
    assert status(jenkins, "POST", "job/app/1/input/Go/proceed", data={"json": form})[0] == 500


def test_what_is_left_out_has_no_value(jenkins: StandIn) -> None:
    path = "job/app/1/input/Go/proceed"
    assert status(jenkins, "POST", path, data={"json": "{}"}) == (200, "")
    assert jenkins.answers == [("Go", "proceed", {})]


def test_says_why_not(jenkins: StandIn) -> None:
    refused = status(jenkins, "POST", "job/app/1/input/Others/proceedEmpty")
    assert refused == (400, "You need to be grace to submit this.")
