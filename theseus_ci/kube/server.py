"""The API server itself: its version, its clock, the kinds it serves."""

from __future__ import annotations

import email.utils
import json
from functools import partial
from typing import Any

import urllib3.exceptions
from kubernetes.dynamic.exceptions import DynamicApiError

from theseus_ci.clock import SystemClock
from theseus_ci.errors import CannotKnow, ClusterUnavailable
from theseus_ci.kube.connect import Connection
from theseus_ci.kube.errors import status_message
from theseus_ci.model import ServerFacts


class KubernetesServer:
    """Server port over HTTPS; each question is asked once, within `request_seconds`."""

    def __init__(
        self, connection: Connection, clock: SystemClock, *, request_seconds: float = 10.0
    ) -> None:
        self._connection = connection
        self._clock = clock
        self._request_seconds = request_seconds

    def about(self) -> ServerFacts:
        asked = self._clock.now()
        found = self._get("/version")
        answered = self._clock.now()
        if found is None:
            raise CannotKnow(f"{self._connection.server} is no Kubernetes API server: no /version")
        content, headers = found
        told = (
            email.utils.parsedate_to_datetime(headers.get("Date", ""))
            if "Date" in headers
            else None
        )
        # the header is cut to whole seconds: on average it is half a second old
        ahead = told.timestamp() + 0.5 - (asked + answered) / 2 if told else 0.0
        return ServerFacts(
            version=str(content.get("gitVersion", "unknown")), ahead=ahead, seconds=answered - asked
        )

    def serves(self, group: str, version: str) -> frozenset[str] | None:
        found = self._get(f"/apis/{group}/{version}")
        if found is None:
            return None
        return frozenset(str(one["name"]) for one in found[0].get("resources") or [])

    def _get(self, path: str) -> tuple[dict[str, Any], dict[str, str]] | None:
        server = f"the API server {self._connection.server}"
        try:
            request = partial(
                self._connection.client.request,
                "get",
                path,
                serialize=False,
                query_params=[],
                header_params={},
                _request_timeout=self._request_seconds,
            )
            response = self._clock.wait_for(request)
            content = json.loads(response.data)
        except DynamicApiError as error:
            if error.status == 404:
                return None
            body = error.body.encode() if isinstance(error.body, str) else error.body or b""
            said = f"{server} answered {error.status} {status_message(body)[1]} for {path}".strip()
            if error.status == 403:
                raise CannotKnow(said) from error
            remedy = "renew the credentials of the kubeconfig's user" if error.status == 401 else ""
            raise ClusterUnavailable(said, remedy=remedy) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            reason = getattr(error, "reason", None) or error
            raise ClusterUnavailable(
                f"{server} does not answer: {reason}",
                remedy="check the network and the kubeconfig: kubectl get --raw /readyz",
            ) from error
        except ValueError as error:
            raise ClusterUnavailable(f"{server} sent no JSON for {path}: {error}") from error
        return (content if isinstance(content, dict) else {}), dict(response.headers)
