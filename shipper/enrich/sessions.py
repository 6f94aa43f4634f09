"""Remembers who got which temporary credentials, so that what is done with them leads back to a person."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path

from shipper.enrich.memory_file import MemoryFile
from shipper.metrics import Metrics
from shipper.model import Acted, Session
from shipper.ports import Stop

_LONGEST_CHAIN = 16
_MOST_ANSWERS = 16_384


class Sessions:
    """Implements `ports.SessionLookup`. Kept in memory, and written behind to a file, so that a restart remembers.

    Args:
        path: the SQLite file; None keeps nothing beyond this process.
        most: sessions remembered; the oldest ones go first.
    """

    def __init__(self, path: Path | None, metrics: Metrics, stop: Stop, *, most: int = 50_000) -> None:
        self._metrics = metrics
        self._most = most
        self._lock = threading.Lock()
        self._known: OrderedDict[str, Session] = OrderedDict()
        self._acted: dict[str, Acted] = {}
        self._followed: set[str] = set()
        self._file = MemoryFile(path, "sessions", Session, stop, most=most) if path is not None else None
        if self._file is not None:
            self._known.update(self._file.load())
            metrics.sessions_known.set(len(self._known))

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
            if self._file is not None:
                self._file.put(access_key, session.at, session)
        self._metrics.sessions_known.set(len(self._known))

    def close(self) -> None:
        """Write what is not written yet."""
        if self._file is not None:
            self._file.close()
