"""Small state that processes share: who refreshes, and what each source is doing.

`State` is the contract, `SQLiteState` the embedded form (one file, any number of processes).
"""

from __future__ import annotations

import os
import socket
import sqlite3
import threading
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from helpers.errors import LeaseHeld, StorageUnavailable

LEASE_S: Final = 30.0  # a holder that has not renewed for so long is dead
BUSY_S: Final = 10.0  # how long one process waits for another's write


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lease."""

    token: str
    host: str
    pid: int
    task: str
    since: float  # seconds since the epoch

    def __str__(self) -> str:
        since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(self.since))
        return f"{self.task}, process {self.pid} on {self.host}, since {since}"


class State(ABC):
    """Documents by kind and key, and leases, shared by all processes of one hub."""

    @abstractmethod
    def put(self, kind: str, key: str, document: Mapping[str, Any]) -> None:
        """Store a document, replacing the one of this kind and key. Raises `StorageUnavailable`."""

    @abstractmethod
    def all(self, kind: str) -> dict[str, dict[str, Any]]:
        """Every document of a kind by key. Raises `StorageUnavailable`."""

    @abstractmethod
    def acquire(self, name: str, task: str) -> Holder:
        """Take a lease that nobody living holds. Raises `LeaseHeld` naming the holder."""

    @abstractmethod
    def renew(self, name: str, holder: Holder) -> bool:
        """Keep a lease; False when another one has taken it over."""

    @abstractmethod
    def release(self, name: str, holder: Holder) -> None:
        """Give a lease back; nothing happens when it is another's by now."""

    @contextmanager
    def lease(self, name: str, task: str) -> Iterator[Lease]:
        """Hold a lease, renewed while the block runs. Raises `LeaseHeld`."""
        holder = self.acquire(name, task)
        lease = Lease(self, name, holder)
        try:
            yield lease
        finally:
            lease.end()
            self.release(name, holder)


class Lease:
    """A lease in use: renewed by a thread of its own."""

    def __init__(self, state: State, name: str, holder: Holder) -> None:
        self._state = state
        self._name = name
        self._holder = holder
        self._ended = threading.Event()
        self._lost = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"lease-{name}", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise `LeaseHeld` when the lease was lost: what follows would be another's work."""
        if self._lost.is_set() or not self._state.renew(self._name, self._holder):
            raise LeaseHeld(f"the lease `{self._name}` was taken over by another process")

    def end(self) -> None:
        """Stop renewing."""
        self._ended.set()
        self._thread.join()

    def _keep(self) -> None:
        while not self._ended.wait(LEASE_S / 6):
            try:
                kept = self._state.renew(self._name, self._holder)
            except StorageUnavailable:
                continue  # tried again in time; `check` decides before anything is published
            if not kept:
                self._lost.set()
                return


class SQLiteState(State):
    """State in one SQLite file. Constructing it touches nothing; every call opens and closes."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def put(self, kind: str, key: str, document: Mapping[str, Any]) -> None:
        """See `State.put`."""
        with self._write() as db:
            db.execute(
                "INSERT OR REPLACE INTO documents VALUES (?, ?, ?)", (kind, key, orjson.dumps(dict(document)))
            )

    def all(self, kind: str) -> dict[str, dict[str, Any]]:
        """See `State.all`."""
        with self._errors():
            if not self._path.exists():
                return {}
        with self._errors(), closing(self._open()) as db:
            rows = db.execute("SELECT key, body FROM documents WHERE kind = ?", (kind,)).fetchall()
            return {key: orjson.loads(body) for key, body in rows}

    def acquire(self, name: str, task: str) -> Holder:
        """See `State.acquire`."""
        now = time.time()
        holder = Holder(
            token=uuid.uuid4().hex, host=socket.gethostname(), pid=os.getpid(), task=task, since=now
        )
        with self._write() as db:
            row = db.execute(
                "SELECT token, host, pid, task, since, renewed FROM leases WHERE name = ?", (name,)
            ).fetchone()
            if row is not None:
                current = Holder(*row[:5])
                if abs(now - row[5]) < LEASE_S and _may_live(current):  # a clock may be set back
                    raise LeaseHeld(f"held by {current}")
            db.execute(
                "INSERT OR REPLACE INTO leases VALUES (?, ?, ?, ?, ?, ?, ?)",
                (name, holder.token, holder.host, holder.pid, task, now, now),
            )
        return holder

    def renew(self, name: str, holder: Holder) -> bool:
        """See `State.renew`."""
        with self._write() as db:
            done = db.execute(
                "UPDATE leases SET renewed = ? WHERE name = ? AND token = ?",
                (time.time(), name, holder.token),
            )
            return done.rowcount == 1

    def release(self, name: str, holder: Holder) -> None:
        """See `State.release`."""
        with self._write() as db:
            db.execute("DELETE FROM leases WHERE name = ? AND token = ?", (name, holder.token))

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(self._path, timeout=BUSY_S, isolation_level=None)
        self._use_wal(db)
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute(
            "CREATE TABLE IF NOT EXISTS documents"
            " (kind TEXT, key TEXT, body BLOB NOT NULL, PRIMARY KEY (kind, key)) WITHOUT ROWID"
        )
        db.execute(
            "CREATE TABLE IF NOT EXISTS leases"
            " (name TEXT PRIMARY KEY, token TEXT, host TEXT, pid INTEGER, task TEXT,"
            " since REAL, renewed REAL)"
        )
        return db

    @staticmethod
    def _use_wal(db: sqlite3.Connection) -> None:
        """Let readers and a writer work side by side. Only the switch itself does not wait for others."""
        end = time.monotonic() + BUSY_S
        while db.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            try:
                db.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.02)

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        with self._errors(), closing(self._open()) as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StorageUnavailable(f"the state file {self._path} cannot be used: {error}") from error


def _may_live(holder: Holder) -> bool:
    """False only when the holder is certainly dead: its process is gone from this very machine."""
    if holder.host != socket.gethostname():
        return True
    try:
        os.kill(holder.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
