"""What can go wrong, as a tree; each class carries its exit code.

    TheseusError
    ├── UsageError               2   what the user wrote cannot be done as written
    │   ├── ConfigError              theseus.yaml or a flow; carries file and key path
    │   ├── ManifestError            the manifest to release; carries file and document
    │   ├── OutOfOrder               a step whose turn has not come; names the one that is next
    │   ├── Rejected                 the API server or an admission webhook finds an object invalid
    │   └── Refused                  begin saw a danger; carries the setting that allows it, if any
    └── CannotKnow               3   could not find out, or could not act
        ├── ClusterUnavailable       no answer, or one that makes no sense, from the API server
        ├── Forbidden                the API server refuses; carries the RBAC rule that allows it
        ├── StaleObject              an object has changed since it was read (409 Conflict)
        ├── AlreadyExists            an object to create is there already (409 AlreadyExists)
        ├── UnknownKind              the cluster does not serve this kind
        ├── LeaseHeld                another rollout of this service is under way
        ├── LeaseLost                a newer process has taken this rollout over
        ├── StateError               the state file is missing, corrupt or from a newer version
        │   └── NoRollout                neither the cluster nor the workspace knows of one
        ├── MeshUnobserved           the mesh did not show what was asked for in time
        ├── WorldChanged             somebody changed what the rollout stands on
        ├── NoData                   a check or measurement came back empty
        ├── NotPrinted               what was asked for could not be written to standard output
        └── Interrupted              SIGTERM or SIGINT; exits with 128 + signal

A bad verdict on the release (exit code 1) is a value, not an exception: see `model.Outcome`.
"""

from __future__ import annotations

EXIT_DONE = 0
EXIT_BAD_RELEASE = 1
EXIT_USAGE = 2
EXIT_CANNOT_KNOW = 3
EXIT_SIGNAL = 128


class TheseusError(Exception):
    """Anything this program reports on purpose.

    `str(error)` says what happened and where; `remedy` says what to do about it.
    """

    exit_code = EXIT_CANNOT_KNOW
    next_command = ""  # what to run next, where it does not follow from the rollout's state

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


class UsageError(TheseusError):
    """The command, its options or its input cannot be carried out as written."""

    exit_code = EXIT_USAGE


class ConfigError(UsageError):
    """theseus.yaml or a flow is wrong; `where` is file, line and key path as far as known."""

    def __init__(self, message: str, *, where: str = "", remedy: str = "") -> None:
        super().__init__(f"{where}: {message}" if where else message, remedy=remedy)
        self.where = where


class ManifestError(UsageError):
    """The manifest to release is unreadable or does not hold what is needed."""


class OutOfOrder(UsageError):
    """A step whose turn has not come: `next_command` runs the one whose turn it is."""

    def __init__(self, message: str, *, next_command: str) -> None:
        super().__init__(message, remedy=f"run it first: {next_command}")
        self.next_command = next_command


class Rejected(UsageError):
    """The API server (or an admission webhook) finds the object invalid."""


class Refused(UsageError):
    """Going on would endanger production traffic; `allow` names the setting that accepts it."""

    def __init__(self, message: str, *, remedy: str = "", allow: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.allow = allow


class CannotKnow(TheseusError):
    """The truth could not be found out, or the act could not be carried out."""


class ClusterUnavailable(CannotKnow):
    """The API server gave no usable answer."""


class Forbidden(CannotKnow):
    """The API server refused; `rule` is the RBAC rule (YAML) that would allow the request."""

    def __init__(self, message: str, *, rule: str = "", remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.rule = rule


class StaleObject(CannotKnow):
    """409 Conflict: the object has changed, or gone, since it was read."""


class AlreadyExists(CannotKnow):
    """409 AlreadyExists: somebody, perhaps this very process, has created it before."""


class UnknownKind(CannotKnow):
    """404 on a collection: the cluster does not serve this kind."""


class LeaseHeld(CannotKnow):
    """Another rollout of the same service holds the lease."""

    next_command = "theseus-ci status"


class LeaseLost(CannotKnow):
    """A newer process acts for this rollout: this one must not change anything any more."""

    next_command = "theseus-ci status"


class StateError(CannotKnow):
    """The state cannot be used: missing, corrupt, or written by a newer version."""


class NoRollout(StateError):
    """There is no state of a rollout of this service anywhere."""


class MeshUnobserved(CannotKnow):
    """The mesh did not show an edit before the deadline."""


class WorldChanged(CannotKnow):
    """What the rollout stands on was changed or removed by somebody else."""


class NoData(CannotKnow):
    """A check asserted nothing, or a measurement has too few samples."""


class NotPrinted(CannotKnow):
    """Standard output, where the answer was to go, could not be written."""

    next_command = "mend what the message says, then run the same command again"


class Interrupted(CannotKnow):
    """A signal asked the process to stop; the state has been saved."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"stopped by signal {signal_number}")
        self.signal_number = signal_number
        self.exit_code = EXIT_SIGNAL + signal_number
