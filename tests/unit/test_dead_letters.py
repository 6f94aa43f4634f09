"""What the dead-letter store guarantees: durable when it returns, each letter once, refusing instead of dropping."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from dataclasses import replace

import pytest

from shipper.deadletters import rows
from shipper.deadletters.sqlite import SqliteDeadLetters, Wanted
from shipper.errors import ConfigError, RetryableError
from shipper.model import DeadLetter, Document, Origin, Record

LETTER = DeadLetter(
    source="trail",
    sink="siem",
    split_id="split",
    logs="cloudtrail",
    origin=Origin("s3://bucket/key", "bucket", "key", "111122223333", "us-east-1"),
    position=17,
    reason="document_parsing_exception",
    answer="failed to parse field [x]",
    payload=b'{"n": 1}',
    document_id="id",
    time=1.5,
    document=b'{"x": "y"}',
    index="logs-x",
    time_ms=1500,
)


@pytest.fixture
def store(tmp_path):
    letters = SqliteDeadLetters(tmp_path / "state" / "dead.sqlite", 10_000_000)
    yield letters
    letters.close()


def test_a_letter_comes_back_as_it_was_put(store):
    """Reason, origin, position and payload survive; so does a letter for a whole object."""
    whole = replace(LETTER, position=None, payload=b"", sink="")
    store.put([LETTER, whole])
    assert list(store.letters()) == [LETTER, whole]


def test_the_same_letter_again_replaces_itself(store):
    """A split that is shipped again adds no letters; the newest words stand."""
    store.put([LETTER])
    store.put([replace(LETTER, answer="other words")])
    assert [letter.answer for letter in store.letters()] == ["other words"]
    assert store.count() == 1


def test_letters_can_be_chosen(store):
    """By source, sink and reason, with a limit."""
    store.put([LETTER, replace(LETTER, sink="splunk", reason="other"), replace(LETTER, position=18)])
    assert len(list(store.letters(Wanted(sink="siem")))) == 2
    assert len(list(store.letters(Wanted(sink="siem"), 1))) == 1
    assert [letter.sink for letter in store.letters(Wanted(reason="other"))] == ["splunk"]
    assert list(store.letters(Wanted(source="nobody"))) == []


def test_letters_can_be_chosen_by_origin_time_and_number(store):
    """An address is meant as it stands: `%` and `_` in it are no wildcards."""
    odd = replace(LETTER, origin=Origin("s3://bucket/a_b%c"), time=9.0)
    store.put([LETTER, odd, replace(LETTER, origin=Origin("s3://bucket/aXbYc"), time=20.0)])
    assert list(store.letters(Wanted(uri="s3://bucket/a_b%"))) == [odd]
    assert [letter.time for letter in store.letters(Wanted(since=9.0, until=20.0))] == [9.0]
    (first, *_) = store.letters()
    assert list(store.letters(Wanted(ids=(first.id,)))) == [LETTER]


def test_many_letters_come_page_by_page_while_some_are_removed(store):
    """All come once, in order; removing those behind changes nothing."""
    store.put([replace(LETTER, position=n) for n in range(250)])
    seen = []
    for letter in store.letters():
        seen.append(letter.position)
        store.discard([letter.id])
    assert seen == list(range(250))
    assert store.count() == 0


def test_counts_and_removal_keep_to_the_filter(store):
    """What does not match stays."""
    store.put([LETTER, replace(LETTER, position=1), replace(LETTER, reason="other", position=2)])
    assert store.reasons(Wanted()) == [("siem", "document_parsing_exception", 2), ("siem", "other", 1)]
    assert store.remove(Wanted(reason="other")) == 1
    assert store.count() == 2


def test_what_was_purged_stays_known_by_its_identity(store):
    """By its id, or, where it never was a document, by its place; what was replayed or never there does not."""
    undecodable = replace(LETTER, sink="", position=1, document_id="")
    store.put(
        [LETTER, undecodable, replace(LETTER, sink="splunk"), replace(LETTER, position=3, document_id="replayed")]
    )
    store.discard([letter.id for letter in store.letters(Wanted(document_id="replayed"))])
    assert store.purge(Wanted(sink="siem")) + store.purge(Wanted(sink="")) == 2
    assert store.count() == 1

    def purged(sink: str, document_id: str, position: int) -> bool:
        made = Document(document_id, "index", 0, b"{}", Record(b"{}", position), LETTER.origin)
        return bool(store.was_purged(sink, made))

    assert purged("siem", LETTER.document_id, 99)
    assert not purged("splunk", LETTER.document_id, 99)
    assert purged("siem", "new", 1)
    assert purged("splunk", "new", 1)
    assert not purged("siem", "replayed", 3)


def test_an_older_store_is_brought_up_to_date(tmp_path):
    """Version 1 kept no documents; its letters stay, without one."""
    path = tmp_path / "old.sqlite"
    with sqlite3.connect(path) as connection:
        connection.executescript(rows._MIGRATIONS[0] + "PRAGMA user_version = 1;")
        connection.execute(
            "INSERT INTO letters VALUES (7, 's', 'k', 'u', 1, 'd', 'p', 'l', 'b', 'y', 'a', 'r', 'why', 'w', x'61', 2)"
        )
    connection.close()
    store = SqliteDeadLetters(path, 10**6)
    (letter,) = store.letters()
    assert (letter.id, letter.payload, letter.document, letter.reason) == (7, b"a", b"", "why")
    store.put([LETTER])
    assert store.count() == 2
    store.close()


def test_a_full_store_refuses_and_drops_nothing(tmp_path):
    """At its size cap it raises, so that nothing is settled; what was kept stays."""
    store = SqliteDeadLetters(tmp_path / "dead.sqlite", 200_000)

    def fill() -> None:
        for number in range(10_000):
            store.put([replace(LETTER, position=number, payload=b"x" * 10_000)])

    with pytest.raises(RetryableError, match="full") as caught:
        fill()
    assert caught.value.paused
    kept = store.count()
    assert kept > 5
    store.close()
    again = SqliteDeadLetters(tmp_path / "dead.sqlite", 200_000)
    assert again.count() == kept
    again.close()


def test_many_threads_may_put_at_once(store):
    """Workers share one store."""

    def put(thread: int) -> None:
        for number in range(20):
            store.put([replace(LETTER, position=thread * 100 + number)])

    threads = [threading.Thread(target=put, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.count() == 80


def test_what_put_returned_for_survives_sigkill(tmp_path):
    """Each position that the child reported is there after it was killed."""
    path = tmp_path / "dead.sqlite"
    code = (
        "import sys; from pathlib import Path; from dataclasses import replace\n"
        "from shipper.deadletters.sqlite import SqliteDeadLetters\n"
        "from tests.unit.test_dead_letters import LETTER\n"
        "store = SqliteDeadLetters(Path(sys.argv[1]), 10**8)\n"
        "for n in range(10**6):\n"
        "    store.put([replace(LETTER, position=n)]); print(n, flush=True)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    reported = [int(child.stdout.readline()) for _ in range(50)]
    os.kill(child.pid, signal.SIGKILL)
    reported += [int(line) for line in child.communicate()[0].splitlines()]
    store = SqliteDeadLetters(path, 10**8)
    assert {letter.position for letter in store.letters()} >= set(reported)
    store.close()


def test_the_file_is_for_its_owner_alone(store):
    """Payloads may hold secrets."""
    assert store.path.stat().st_mode & 0o777 == 0o600


def test_a_damaged_or_newer_store_is_refused_clearly(tmp_path):
    """The message names the file; its letters are not touched."""
    damaged = tmp_path / "damaged.sqlite"
    damaged.write_bytes(b"not a database at all, but long enough to look like one" * 40)
    with pytest.raises(ConfigError, match=r"damaged\.sqlite"):
        SqliteDeadLetters(damaged, 10**6)
    newer = tmp_path / "newer.sqlite"
    with sqlite3.connect(newer) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(ConfigError, match="newer"):
        SqliteDeadLetters(newer, 10**6)
