"""The log line of dead letters: one for each split that left some, with the reasons and the next step."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence

import structlog

from shipper.escaping import printable
from shipper.model import DeadLetter
from shipper.ports import DeadLetters
from shipper.refusals import in_words, without_values

MOST_REASONS = 10
MOST_WORDS = 300

log = structlog.get_logger(__name__)


class LetterLog:
    """Implements `ports.DeadLetters`: hands letters on to a store, and counts them for one log line. For one split.

    Args:
        store: where the letters are kept; only those that it took are counted.
    """

    def __init__(self, store: DeadLetters) -> None:
        self._store = store
        self._first: DeadLetter | None = None
        self._reasons: Counter[str] = Counter()
        self._sinks: dict[str, None] = {}
        self._origins: set[str] = set()

    def put(self, letters: Sequence[DeadLetter]) -> None:
        """Store letters durably; see ports.DeadLetters."""
        self._store.put(letters)
        for letter in letters:
            self._first = self._first or letter
            self._reasons[letter.reason] += 1
            self._sinks[letter.sink] = None
            self._origins.add(letter.origin.uri)

    def count(self) -> int:
        """Return how many letters the store keeps."""
        return self._store.count()

    def close(self) -> None:
        """Release the store."""
        self._store.close()

    def write(self) -> None:
        """Write the line about all letters that came since the last one; none without letters."""
        first = self._first
        if first is None:
            return
        log.warning(
            "not shipped, kept in the dead letters",
            letters=self._reasons.total(),
            source=first.source,
            sink=", ".join(name or "every sink" for name in self._sinks),
            logs=first.logs,
            split=first.split_id,
            reasons=reasons_in_words(self._reasons),
            first=words_of(first),
            **_origin(first.origin.uri, len(self._origins)),
            next=next_step(first.source),
        )
        self._first = None
        self._reasons.clear()
        self._sinks.clear()
        self._origins.clear()


def reasons_in_words(reasons: Counter[str]) -> str:
    """Return the most frequent reasons with their counts: "6 document_parsing_exception, 2 undecodable"."""
    shown = [f"{count:,} {printable(reason, 100)}" for reason, count in reasons.most_common(MOST_REASONS)]
    others = reasons.total() - sum(count for _, count in reasons.most_common(MOST_REASONS))
    return ", ".join(shown + [f"{others:,} others"] * bool(others))


def words_of(letter: DeadLetter) -> str:
    """Return a letter's reason and the server's or the parser's words: bounded, without values of the record."""
    answer = without_values(letter.answer[: 4 * MOST_WORDS], letter.payload, letter.document)
    return printable(in_words(letter.reason, answer), MOST_WORDS)


def next_step(source: str) -> str:
    """Return the command that shows a source's letters."""
    return f"shipper deadletters list --source {shlex.quote(source)}"


def _origin(uri: str, number: int) -> dict[str, str | int]:
    kind = "group" if uri.startswith("arn:") else "message" if uri.startswith("sqs:") else "object"
    return {kind: uri} | ({f"{kind}s": number} if number > 1 else {})
