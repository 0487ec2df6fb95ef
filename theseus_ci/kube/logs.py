"""Pods' logs, read again and again from where the last reading ended."""

from __future__ import annotations

from functools import partial

import urllib3.exceptions
from kubernetes.dynamic.exceptions import DynamicApiError

from theseus_ci.clock import SystemClock
from theseus_ci.errors import ClusterUnavailable
from theseus_ci.kinds import KINDS
from theseus_ci.kube.connect import Connection
from theseus_ci.kube.errors import translate

REQUEST_SECONDS = 10.0


class PodLogs:
    """`ports.Logs` over HTTPS."""

    def __init__(self, connection: Connection, clock: SystemClock) -> None:
        self._connection = connection
        self._clock = clock

    def read(
        self,
        namespace: str,
        pod: str,
        container: str,
        since: str,
        *,
        tail: int | None = None,
        previous: bool = False,
    ) -> bytes:
        """See `ports.Logs`. One request, which is not repeated: the next reading is."""
        query = [("container", container), ("timestamps", "true")]
        if since:
            query.append(("sinceTime", since))
        if tail is not None:
            query.append(("tailLines", str(tail)))
        if previous:
            query.append(("previous", "true"))
        server = f"the API server {self._connection.server}"
        what = f"read the log of pod {namespace}/{pod}"
        try:
            request = partial(
                self._connection.client.request,
                "get",
                KINDS["Pod"].path(namespace, pod) + "/log",
                serialize=False,
                query_params=query,
                header_params={"Accept": "*/*"},
                _request_timeout=REQUEST_SECONDS,
            )
            return bytes(self._clock.wait_for(lambda: request().data))
        except DynamicApiError as error:
            body = error.body.encode() if isinstance(error.body, str) else error.body or b""
            raise translate(
                error.status,
                body,
                what=what,
                kind=KINDS["PodLog"],
                verb="get",
                server=server,
                namespace=namespace,
            ) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ClusterUnavailable(f"{what}: {server} does not answer: {error}") from error
