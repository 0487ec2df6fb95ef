"""Each way in which Jenkins, or what stands before it, can say no is told apart."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import pytest
import trustme

from tests.jenkins.conftest import Run
from tests.jenkins.jobs import JOB_CLASS, Build, Frame, Item
from tests.jenkins.stand_in import TOKEN, USER, StandIn, serving


@pytest.fixture(autouse=True)
def job(jenkins: StandIn) -> None:
    jenkins.items["app"] = Item(JOB_CLASS, "<flow-definition/>", [Build(1, [Frame()])])


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("login page", "an HTML page came instead of Jenkins' answer: “Sign in - Example SSO”"),
        ("login redirect", "sent to a login page (sso.example.com/login)"),
        ("moved", "redirected to https://ci.example.com/"),
        ("starting", "not ready (503): “Jenkins is getting ready to work”"),
        ("oops", "an error inside Jenkins (500): “Oops!”"),
        ("reset", "cannot reach 127.0.0.1"),
        ("not json", "the answer is no JSON"),
        ("echo", "bad token ***"),
    ],
)
def test_faults(jenkins: StandIn, run: Run, fault: str, said: str) -> None:
    jenkins.faults.append(fault)
    assert said in run("gates", "app", code=3).stderr


def test_silence_ends(jenkins: StandIn, run: Run) -> None:
    jenkins.faults.append("silence")
    assert "no answer from 127.0.0.1" in run("gates", "app", "--timeout", "200ms", code=3).stderr


def test_wrong_token(run: Run) -> None:
    said = run("gates", "app", code=3, JENKINS_TOKEN="wrong-one").stderr
    assert "does not accept the user and token from $JENKINS_USER and $JENKINS_TOKEN (401)" in said
    assert "wrong-one" not in said


def test_nobody(run: Run) -> None:
    said = run("gates", "app", code=3, JENKINS_USER=None, JENKINS_TOKEN=None).stderr
    assert "refuses (403)" in said
    assert "set JENKINS_USER and JENKINS_TOKEN" in said


def test_forbidden(jenkins: StandIn, run: Run) -> None:
    jenkins.forbidden.add("job/app/config.xml")
    said = run("install", "app", "--repository", "https://git.example.com/a.git", code=3).stderr
    assert "refuses (403)" in said
    assert "ada lacks the permission hudson.model.Item.Configure" in said


def test_missing_job(run: Run) -> None:
    assert "job/team/job/none/api/json: not found (404)" in run("gates", "team/none", code=3).stderr


def test_nothing_listens(run: Run) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        said = run("gates", "app", code=3, JENKINS_URL=f"http://127.0.0.1:{port}/").stderr
    assert "Connection refused" in said
    assert " at 0x" not in said


def test_tls_of_an_own_authority(run: Run, tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    with serving(StandIn(), context) as secured:
        secured.items["app"] = Item(JOB_CLASS, "<flow-definition/>")
        said = run("gates", "app", code=3, JENKINS_URL=secured.url).stderr
        assert "no trusted TLS connection" in said
        assert "REQUESTS_CA_BUNDLE=FILE" in said
        assert not secured.seen
        run("gates", "app", JENKINS_URL=secured.url, REQUESTS_CA_BUNDLE=str(bundle))


def test_a_proxy_that_is_not_there(run: Run) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        proxy = f"http://127.0.0.1:{free.getsockname()[1]}"
        said = run(
            "gates", "app", code=3, JENKINS_URL="http://jenkins.example.com/", HTTP_PROXY=proxy
        ).stderr
    assert "the proxy did not let us through to jenkins.example.com" in said


def test_no_tls_there(jenkins: StandIn, run: Run) -> None:
    url = jenkins.url.replace("http:", "https:")
    assert "TLS" in run("gates", "app", code=3, JENKINS_URL=url).stderr


def test_crumb_is_renewed(jenkins: StandIn, run: Run) -> None:
    """A crumb whose session is gone (a restart) costs one more question, not a failure."""
    jenkins.stale = 1
    run("install", "new", "--repository", "https://git.example.com/a.git")
    assert "new" in jenkins.items


def test_crumbs_that_are_never_valid(jenkins: StandIn, run: Run) -> None:
    jenkins.stale = 9
    said = run("install", "new", "--repository", "https://git.example.com/a.git", code=3).stderr
    assert "No valid crumb was included" in said
    assert len([one for one in jenkins.seen if one.method == "POST"]) == 2


def test_a_proxy_that_drops_cookies(jenkins: StandIn, run: Run) -> None:
    """A crumb is good only in the session that it was given in."""
    jenkins.cookies = False
    said = run("install", "new", "--repository", "https://git.example.com/a.git", code=3).stderr
    assert "No valid crumb was included" in said
    assert "does a proxy drop one?" in said
    assert "permission" not in said
    assert jenkins.begun > 1


def test_one_session_for_all_of_a_command(jenkins: StandIn, run: Run) -> None:
    run("install", "team/new", "--repository", "https://git.example.com/a.git")
    sent = [one for one in jenkins.seen if one.method == "POST"]
    assert len(sent) == 2
    assert {one.session() for one in sent} == jenkins.sessions
    assert jenkins.begun == 1


def test_a_jenkins_without_crumbs(jenkins: StandIn, run: Run) -> None:
    jenkins.crumbs = False
    run("install", "new", "--repository", "https://git.example.com/a.git")
    assert "new" in jenkins.items


def test_netrc(jenkins: StandIn, run: Run, tmp_path: Path) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text(f"machine 127.0.0.1 login {USER} password {TOKEN}\n")
    netrc.chmod(0o600)
    run("gates", "app", JENKINS_USER=None, JENKINS_TOKEN=None)


def test_other_name_of_the_token(run: Run) -> None:
    run("gates", "app", JENKINS_TOKEN=None, JENKINS_API_TOKEN=TOKEN)


def test_login_in_the_url_is_used_and_never_shown(jenkins: StandIn, run: Run) -> None:
    url = jenkins.url.replace("://", f"://{USER}:{TOKEN}@")
    jenkins.faults.append("oops")
    said = run("gates", "app", code=3, JENKINS_URL=url, JENKINS_USER=None, JENKINS_TOKEN=None)
    assert "error inside Jenkins" in said.stderr
    run("gates", "app", JENKINS_URL=url, JENKINS_USER=None, JENKINS_TOKEN=None)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"JENKINS_URL": None}, "no Jenkins is named"),
        ({"JENKINS_URL": "jenkins.example.com"}, "$JENKINS_URL is not the URL of a Jenkins"),
        ({"JENKINS_URL": "https://h:99999/"}, "$JENKINS_URL is not the URL of a Jenkins"),
        ({"JENKINS_USER": None}, "$JENKINS_TOKEN is set, but JENKINS_USER is not"),
        ({"JENKINS_TOKEN": None}, "JENKINS_USER is set, but no token for it"),
    ],
)
def test_half_an_address(run: Run, changed: dict[str, str | None], said: str) -> None:
    assert said in run("gates", "app", code=2, **changed).stderr


def test_login_in_an_option_is_refused(run: Run) -> None:
    said = run("gates", "app", "--url", f"http://{USER}:{TOKEN}@127.0.0.1/", code=2).stderr
    assert "--url must not hold credentials" in said


def test_extra_headers_are_sent_and_not_logged(jenkins: StandIn, run: Run) -> None:
    done = run("gates", "app", JENKINS_API_EXTRA_HEADERS="X-Access: hush-hush")
    assert jenkins.seen[0].headers["X-Access"] == "hush-hush"
    assert "hush-hush" not in done.stdout + done.stderr


@pytest.mark.parametrize("path", ["job/app/", "view/all/job/app/1/console", "job/app/1"])
def test_a_job_by_its_url(jenkins: StandIn, run: Run, path: str) -> None:
    assert "no build of app waits" in run("gates", jenkins.url + path).stdout


def test_a_branch_with_a_slash(jenkins: StandIn, run: Run) -> None:
    jenkins.items["app/a%2Fb"] = Item(JOB_CLASS, "<flow-definition/>")
    run("gates", "app/a%2Fb")
    run("gates", f"{jenkins.url}job/app/job/a%252Fb/")


@pytest.mark.parametrize("name", ["", "a//b", "../x", "https://elsewhere.example.com/job/a"])
def test_what_is_no_job(run: Run, name: str) -> None:
    run("gates", name, code=2)
