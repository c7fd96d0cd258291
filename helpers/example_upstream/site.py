"""What the three example sites share: routes, the present fault, and who asked how often."""

from __future__ import annotations

import random
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar
from urllib.parse import unquote

from helpers.example_upstream.faults import EVIL_URL, INSTEAD, Fault, spoiled
from helpers.example_upstream.messages import Ask, RefusalError, Reply, html, plain

T = TypeVar("T")
TICK_S = 0.02  # how often a hanging answer looks whether it may go on


@dataclass(frozen=True)
class Route:
    """A pattern of encoded paths and the function that answers; its groups are the further arguments."""

    pattern: str
    answer: Callable[..., Reply | None]  # None: there is no such thing
    post: bool = False  # takes POST as well as GET
    file: bool = False  # delivers a file


class Site:
    """One upstream. Threads may share it."""

    key: ClassVar[str]
    host: ClassVar[str]  # of the real one, in links and redirects

    def __init__(self, routes: Sequence[Route], huge_bytes: int) -> None:
        self.fault = Fault()
        self.stopped = threading.Event()
        self.huge_bytes = huge_bytes
        self.most_at_once = 0
        self._routes = [(re.compile(route.pattern, re.DOTALL), route) for route in routes]
        self._random = random.Random(1)  # noqa: S311 - repeatable faults, no secret
        self._lock = threading.Lock()
        self._arrivals: deque[float] = deque()  # of the last second
        self._active = 0

    def find(self, path: str) -> tuple[Route | None, list[str]]:
        """The route of an encoded path and the decoded values in it."""
        for pattern, route in self._routes:
            if match := pattern.fullmatch(path):
                return route, [unquote(value or "") for value in match.groups()]
        return None, []

    def admit(self, ask: Ask) -> Reply | None:
        """A reply that keeps a request out before any route; None lets it in."""
        return None

    def answer(self, ask: Ask) -> Reply | None:
        """The reply under the present fault; None cuts the line."""
        lately = self._enter()
        try:
            fault = self.fault
            if fault.mode == "slow":
                self.stopped.wait(fault.number)
            while fault.mode == "hang" and self.fault is fault and not self.stopped.wait(TICK_S):
                pass
            if fault.mode in ("down", "hang"):
                return None
            route, values = self.find(ask.path)
            instead = self._instead(fault, ask, route, lately)
            return instead or self.admit(ask) or spoiled(fault, self._routed(ask, route, values))
        finally:
            with self._lock:
                self._active -= 1

    def _enter(self) -> int:
        """Count an arrival; returns how many there were within the last second."""
        with self._lock:
            now = time.monotonic()
            self._arrivals.append(now)
            while self._arrivals[0] <= now - 1:
                self._arrivals.popleft()
            self._active += 1
            self.most_at_once = max(self.most_at_once, self._active)
            return len(self._arrivals)

    def _instead(self, fault: Fault, ask: Ask, route: Route | None, lately: int) -> Reply | None:
        """The reply of a fault that keeps a request from the site, if it does."""
        if fault.mode in INSTEAD:
            return INSTEAD[fault.mode]()
        if fault.mode == "ratelimit" and lately > fault.number:
            return Reply(b"Too Many Requests", 429, headers={"Retry-After": "1"})
        if fault.mode == "flaky" and self._random.random() < fault.number:
            return plain("Service Unavailable", 503)
        if fault.mode == "redirect_http":
            return redirect(f"http://{self.host}{ask.target}")
        if fault.mode == "redirect_evil" and route is not None and route.file:
            return redirect(EVIL_URL)
        return None

    def _routed(self, ask: Ask, route: Route | None, values: list[str]) -> Reply:
        if route is None:
            return html("<html><body><h1>404 Not Found</h1></body></html>", 404)
        if ask.method == "POST" and not route.post:
            return plain("Method Not Allowed", 405)
        try:
            return route.answer(ask, *values) or plain("404 Not Found", 404)
        except RefusalError as refusal:
            return refusal.reply

    def fails_at(self, place: int) -> bool:
        """Whether the fault `page_error` hits this page, type or model, counted from 0."""
        return self.fault.mode == "page_error" and place == self.fault.number

    def shrunk(self, items: list[T]) -> list[T]:
        """The items that the fault `shrink` leaves."""
        fault = self.fault
        return items[: int(len(items) * fault.number / 100)] if fault.mode == "shrink" else items

    def doubled(self, items: list[T], place: int) -> list[T]:
        """Under the fault `duplicate_page`, an item takes the place of the one behind it."""
        if self.fault.mode != "duplicate_page" or len(items) <= place:
            return items
        return [*items[:place], items[place - 1], *items[place + 1 :]]

    def stripped(self, item: dict[str, T]) -> dict[str, T]:
        """An item as the fault `missing_field` leaves it."""
        fault = self.fault
        return {k: v for k, v in item.items() if k != fault.name} if fault.mode == "missing_field" else item


def redirect(location: str) -> Reply:
    """Send the client elsewhere."""
    return Reply(b"", 302, headers={"Location": location})
