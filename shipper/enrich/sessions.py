"""Remembers who got which temporary credentials, so that what is done with them leads back to a person."""

from __future__ import annotations

import sqlite3
import threading
from collections import OrderedDict
from contextlib import closing
from pathlib import Path

import msgspec
import structlog

from shipper.metrics import Metrics
from shipper.model import Acted, Session
from shipper.ports import Stop

_FLUSH_SECONDS = 1.0
_LONGEST_CHAIN = 16
_MOST_ANSWERS = 16_384
_TABLE = "create table if not exists sessions (key text primary key, at real not null, body blob not null)"
_PRUNE = "delete from sessions where key not in (select key from sessions order by at desc limit ?)"

log = structlog.get_logger(__name__)


class Sessions:
    """Implements `ports.SessionLookup`. Kept in memory, and written behind to a file, so that a restart remembers.

    A disk that fails costs the memory of the next start, never a record.

    Args:
        path: the SQLite file; None keeps nothing beyond this process.
        most: sessions remembered; the oldest ones go first.
    """

    def __init__(self, path: Path | None, metrics: Metrics, stop: Stop, *, most: int = 50_000) -> None:
        self._path = path
        self._metrics = metrics
        self._stop = stop
        self._most = most
        self._lock = threading.Lock()
        self._known: OrderedDict[str, Session] = OrderedDict()
        self._acted: dict[str, Acted] = {}
        self._followed: set[str] = set()
        self._unwritten: dict[str, Session] = {}
        self._encode = msgspec.json.Encoder().encode
        self._failing = False
        self._thread: threading.Thread | None = None
        if path is not None:
            self._load(path)

    def __call__(self, access_key: str) -> Acted | None:
        """Who acts with temporary credentials; see `ports.SessionLookup`."""
        acted = self._acted.get(access_key)
        return acted if acted is not None else self._follow(access_key)

    def _follow(self, access_key: str) -> Acted | None:
        """Follow the callers of a session to the first one, and keep the answer until one of them changes."""
        with self._lock:
            session = self._known.get(access_key)
            if session is None:
                return None
            if len(self._acted) >= _MOST_ANSWERS or len(self._followed) >= _MOST_ANSWERS:
                self._forget_answers()
            self._followed.add(access_key)
            acted = self._acted[access_key] = self._first(session)
            return acted

    def _forget_answers(self) -> None:
        self._acted.clear()
        self._followed.clear()

    def _first(self, session: Session) -> Acted:
        chain = [session.role] if session.role else []
        source_identity = session.source_identity
        for _ in range(_LONGEST_CHAIN):
            if session.caller:
                chain.append(session.caller)
            before = None
            if session.caller_key:
                self._followed.add(session.caller_key)
                before = self._known.get(session.caller_key)
            if before is None or before is session:
                break
            session = before
            source_identity = source_identity or session.source_identity
        return Acted(
            chain=tuple(reversed(chain)),
            person=source_identity or session.person,
            person_id=session.caller if session.person and not source_identity else None,
            source_identity=source_identity,
            first_address=session.address,
        )

    def learn(self, access_key: str, session: Session) -> None:
        """Remember a session; see `ports.SessionLookup`."""
        with self._lock:
            known = self._known.get(access_key)
            if known is not None and (known == session or (known.caller and not session.caller)):
                return  # the account of a role that another account assumed tells less of the caller
            self._known[access_key] = session
            self._known.move_to_end(access_key)
            if access_key in self._followed:
                self._forget_answers()
            while len(self._known) > self._most:
                self._known.popitem(last=False)
            if self._path is not None:
                self._unwritten[access_key] = session
                if self._thread is None:
                    self._thread = threading.Thread(target=self._write_behind, name="sessions", daemon=True)
                    self._thread.start()
        self._metrics.sessions_known.set(len(self._known))

    def close(self) -> None:
        """Write what is not written yet."""
        self._flush(prune=True)

    def _write_behind(self) -> None:
        written = 0
        while not self._stop.rest(_FLUSH_SECONDS):
            written += self._flush(prune=written > self._most)
            written %= self._most + 1

    def _flush(self, *, prune: bool) -> int:
        with self._lock:
            batch, self._unwritten = self._unwritten, {}
        if not batch or self._path is None:
            return 0
        rows = [(key, session.at, self._encode(session)) for key, session in batch.items()]
        try:
            with closing(sqlite3.connect(self._path, timeout=5.0)) as connection, connection:
                connection.execute(_TABLE)
                connection.executemany("insert or replace into sessions values (?, ?, ?)", rows)
                if prune:
                    connection.execute(_PRUNE, (self._most,))
        except sqlite3.Error as error:
            self._complain("sessions cannot be written, a restart will not know them", error)
        else:
            self._failing = False
        return len(rows)

    def _load(self, path: Path) -> None:
        """Read what an earlier run remembered, the oldest first; a damaged file counts as empty."""
        if not path.exists():
            return
        decode = msgspec.json.Decoder(Session).decode
        query = "select key, body from (select * from sessions order by at desc limit ?) order by at"
        try:
            with closing(sqlite3.connect(path, timeout=5.0)) as connection:
                for key, body in connection.execute(query, (self._most,)):
                    self._known[key] = decode(body)
        except (sqlite3.Error, msgspec.MsgspecError) as error:
            self._complain("sessions of earlier runs cannot be read", error)
        self._metrics.sessions_known.set(len(self._known))

    def _complain(self, what: str, error: Exception) -> None:
        if not self._failing:
            self._failing = True
            log.warning(what, path=str(self._path), why=str(error))
