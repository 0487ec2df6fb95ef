"""What can go wrong between us and a Jenkins server, as a tree.

    CannotKnow
    └── JenkinsError
        ├── Unreachable        no answer, or 502, 503, 504: may pass by itself
        ├── NotJenkins         an answer, but not one that Jenkins gives: a proxy, a login page, …
        ├── Unauthorised       401, or sent to a login page: who are you?
        ├── NoPermission       403: you may not do this
        ├── NotFound           404: not there, or hidden from this user
        ├── ServerFault        500: an error inside Jenkins
        └── Declined           400 with X-Error: Jenkins says in words why it will not
            ├── NotAllowed         this user may not answer this gate
            └── AlreadyAnswered    somebody was faster

Each says what was asked for (method and path) and never holds a credential.
"""

from __future__ import annotations

from theseus_ci.errors import CannotKnow


class JenkinsError(CannotKnow):
    """Jenkins could not be asked, or gave no usable answer."""


class Unreachable(JenkinsError):
    """No answer; trying again later may help."""


class NotJenkins(JenkinsError):
    """Something answered that is not Jenkins, or not in the way Jenkins does."""


class Unauthorised(JenkinsError):
    """The credentials are missing or wrong."""


class NoPermission(JenkinsError):
    """The user is known and lacks a permission; `crumb`: or the request lacked a valid crumb."""

    def __init__(self, message: str, *, remedy: str = "", crumb: bool = False) -> None:
        super().__init__(message, remedy=remedy)
        self.crumb = crumb


class NotFound(JenkinsError):
    """There is no such thing, or this user may not see it."""


class ServerFault(JenkinsError):
    """Jenkins failed inside."""


class Declined(JenkinsError):
    """Jenkins understood, and says why it will not."""


class NotAllowed(Declined):
    """This gate is for others to answer."""


class AlreadyAnswered(Declined):
    """This gate waits no more."""
