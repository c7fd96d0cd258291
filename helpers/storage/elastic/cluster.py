"""The one connection to the cluster: asks, retries with back-off within a deadline, and explains errors.

The client's own retries have no pause between them and multiply with the time-out, so they are off.
Nothing is asked before the first question of a process; a server that is not there yet is a
`StorageUnavailable`, so that callers wait and ask again.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Collection, Mapping
from typing import Any, Final, cast

from elastic_transport import ConnectionError as NoConnection
from elastic_transport import (
    ConnectionTimeout,
    HttpHeaders,
    OrjsonSerializer,
    TransportError,
    Urllib3HttpNode,
)
from elastic_transport._models import DEFAULT, DefaultType
from elastic_transport._node import NodeApiResponse
from elasticsearch import ApiError, Elasticsearch, UnsupportedProductError
from urllib3 import Timeout

from helpers.errors import BadConfiguration, StorageUnavailable
from helpers.storage.elastic.errors import Refusal, of_api, of_transport
from helpers.storage.elastic.options import ElasticOptions

MAJORS: Final = (8, 9)
BUSY: Final = frozenset({429, 502, 503, 504})  # asking again may help
ATTEMPTS: Final = 3  # of a question; a step of a release is asked until its deadline
FIRST_PAUSE_S: Final = 0.1
LAST_PAUSE_S: Final = 5.0
JSON_TYPE: Final = {"accept": "application/json", "content-type": "application/json"}
LINES_TYPE: Final = {"accept": "application/json", "content-type": "application/x-ndjson"}
_SHARE: Final = 0.4  # of a question's time that one of several nodes gets before the next is asked


class Deadline:
    """The time that is left for one call; `patient` asks again as long as there is any."""

    def __init__(self, seconds: float, *, patient: bool = False) -> None:
        self._end = time.monotonic() + seconds
        self.seconds = seconds
        self.patient = patient

    @property
    def left_s(self) -> float:
        """Seconds, never negative."""
        return max(0.0, self._end - time.monotonic())

    def end(self) -> None:
        """Let whoever waits by it give up at the next occasion."""
        self._end = time.monotonic()

    def pause(self, attempt: int) -> bool:
        """Sleep longer from attempt to attempt; False, at once, when no time would be left after it."""
        seconds = min(LAST_PAUSE_S, FIRST_PAUSE_S * 2**attempt) * random.uniform(0.5, 1.0)  # noqa: S311
        if seconds >= self.left_s:
            return False
        time.sleep(seconds)
        return True


class _Node(Urllib3HttpNode):
    """A node whose address is given up sooner than its answer."""

    connect_timeout_s = 2.0

    def perform_request(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        headers: HttpHeaders | None = None,
        request_timeout: DefaultType | float | None = DEFAULT,
    ) -> NodeApiResponse:
        """Ask this node; urllib3 takes the two time-outs in one object."""
        if isinstance(request_timeout, int | float):
            both = Timeout(connect=min(self.connect_timeout_s, request_timeout), read=request_timeout)
            request_timeout = cast(float, both)
        return super().perform_request(method, target, body, headers, request_timeout)


class Cluster:
    """Questions to one cluster. Threads share it; a forked process connects anew."""

    def __init__(self, options: ElasticOptions) -> None:
        self.options = options
        self._lock = threading.Lock()
        self._connected: tuple[int, Elasticsearch] | None = None
        self._fit: tuple[int, str] | None = None  # process and version, once the server was checked

    def deadline(self) -> Deadline:
        """The time of one question."""
        return Deadline(self.options.timeout_s)

    def patience(self) -> Deadline:
        """The time of one step of a release."""
        return Deadline(self.options.write_timeout_s, patient=True)

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        deadline: Deadline,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] = JSON_TYPE,
        let: Collection[int] = (),
    ) -> Any:
        """The answer's body. Statuses in `let` are raised as `Refusal`, all else as `StorageUnavailable`."""
        try:
            self.version(deadline)
        except BadConfiguration as error:
            raise StorageUnavailable(str(error)) from error
        return self._ask(method, path, body, deadline, params, headers, let)

    def version(self, deadline: Deadline) -> str:
        """The server's version, checked once per process. Raises `BadConfiguration` with what to do."""
        if self._fit is not None and self._fit[0] == os.getpid():
            return self._fit[1]
        try:
            about = self._ask("GET", "/", None, deadline, None, JSON_TYPE, (401, 403))
        except Refusal as error:
            raise BadConfiguration(
                f"{error}; check the user and password or the API key of Elasticsearch"
            ) from error
        number = str(about.get("version", {}).get("number", ""))
        if number.partition(".")[0] not in map(str, MAJORS):
            raise BadConfiguration(
                f"Elasticsearch {number} is not supported: Ammon needs one of the majors {MAJORS}"
            )
        self._check_rights(deadline, "read", "view_index_metadata", "monitor")
        self._fit = (os.getpid(), number)
        return number

    def check_writer(self, deadline: Deadline) -> None:
        """Raise `BadConfiguration` when the user may not make releases."""
        self.version(deadline)
        self._check_rights(deadline, "read", "write", "create_index", "delete_index", "manage")

    def _check_rights(self, deadline: Deadline, *needed: str) -> None:
        names = [f"{self.options.prefix}{name}" for name in ("dataset", "dataset-*", "model", "model-*")]
        body = {"index": [{"names": names, "privileges": list(needed)}]}
        try:
            answer = self._ask(
                "POST",
                "/_security/user/_has_privileges",
                body,
                deadline,
                None,
                JSON_TYPE,
                (400, 404, 405, 500),
            )
        except Refusal:
            return  # security is off: everybody may do everything
        if answer.get("has_all_requested", True):
            return
        missing = sorted(
            {
                f"{right} on {name}"
                for name, rights in answer.get("index", {}).items()
                for right, held in rights.items()
                if not held
            }
        )
        raise BadConfiguration(
            f"the Elasticsearch user {answer.get('username')!r} lacks rights: {', '.join(missing)}; "
            "give it a role with these index privileges"
        )

    def _ask(
        self,
        method: str,
        path: str,
        body: Any,
        deadline: Deadline,
        params: Mapping[str, Any] | None,
        headers: Mapping[str, str],
        let: Collection[int],
    ) -> Any:
        attempt, reason = 0, f"Elasticsearch did not answer within {deadline.seconds:g} s"
        while deadline.left_s > 0:
            unreachable = False
            try:
                client = self._client().options(request_timeout=self._attempt_s(attempt, deadline))
                return client.perform_request(
                    method, path, params=dict(params or {}), headers=dict(headers), body=body
                ).body
            except ApiError as error:
                kind, reason = of_api(error)
                if error.meta.status in let:
                    raise Refusal(error.meta.status, kind, reason) from error
                if error.meta.status not in BUSY:
                    raise StorageUnavailable(reason) from error
            except (ConnectionTimeout, NoConnection) as error:
                unreachable, reason = True, of_transport(error)
            except (TransportError, UnsupportedProductError) as error:
                raise StorageUnavailable(of_transport(TransportError(str(error)))) from error
            attempt += 1
            if not self._again(attempt, unreachable, deadline):
                break
        raise StorageUnavailable(reason)

    def _again(self, attempt: int, unreachable: bool, deadline: Deadline) -> bool:
        nodes = len(self.options.urls)
        if unreachable and attempt < nodes:
            return True  # the next node is asked at once
        return (deadline.patient or attempt < max(ATTEMPTS, nodes + 1)) and deadline.pause(attempt)

    def _attempt_s(self, attempt: int, deadline: Deadline) -> float:
        """One node may use all the time; of several, the first leave some for the next."""
        left = max(0.05, deadline.left_s)
        if len(self.options.urls) == 1:
            return left
        return min(left, _SHARE * self.options.timeout_s * 2.0**attempt)

    def _client(self) -> Elasticsearch:
        """The client of this process: connections must not cross a fork."""
        connected = self._connected
        if connected is not None and connected[0] == os.getpid():
            return connected[1]
        with self._lock:
            if self._connected is None or self._connected[0] != os.getpid():
                self._connected = (os.getpid(), self._connect())
            return self._connected[1]

    def _connect(self) -> Elasticsearch:
        options = self.options
        node = type("_OurNode", (_Node,), {"connect_timeout_s": options.connect_timeout_s})
        more: dict[str, Any] = {}
        if options.user is not None:
            more["basic_auth"] = (options.user, options.password or "")
        if options.api_key is not None:
            more["api_key"] = options.api_key
        if options.ca_file is not None:
            more["ca_certs"] = options.ca_file
        try:
            return Elasticsearch(
                options.hosts,
                node_class=node,
                max_retries=0,
                retry_on_status=(),
                connections_per_node=options.connections,
                serializers=_serializers(),
                meta_header=False,
                **more,
            )
        except (ValueError, OSError) as error:  # an unreadable CA file among others
            raise StorageUnavailable(
                f"the connection to Elasticsearch is configured wrongly: {error}"
            ) from error


class _Json(OrjsonSerializer):
    """JSON as the 8.x client labels it, read several times faster than by the standard library."""

    mimetype = "application/vnd.elasticsearch+json"


def _serializers() -> dict[str, Any]:
    return {_Json.mimetype: _Json(), OrjsonSerializer.mimetype: OrjsonSerializer()}
