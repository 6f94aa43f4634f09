"""What is shown to people holds no secret and no control character, wherever it comes from."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest

from shipper.escaping import hide, printable, without_secrets

KEY = base64.b64encode(b"VuaCfGcBCdbkQm-e5aOx:ui2lp2axTNmsyakw9tvNnw").decode()


@pytest.mark.parametrize(
    "echo",
    [
        f"ApiKey {KEY}",
        f"key={quote('a token/with&signs', safe='')}",
        "id VuaCfGcBCdbkQm-e5aOx, key ui2lp2axTNmsyakw9tvNnw",
        f"Basic {base64.b64encode(b'a token/with&signs').decode()}",
        "Authorization: Splunk a token/with&signs",
    ],
)
def test_what_a_server_repeats_is_hidden(echo):
    """In any form: as it is, in a URL, in base64, and the parts of an API key."""
    hide([KEY, "a token/with&signs", "abc"])
    for text in (printable(echo), without_secrets(echo)):
        assert "***" in text
        assert "with&signs" not in text
        assert "ui2lp2axTNmsyakw9tvNnw" not in text
        assert KEY not in text
    assert printable("abc") == "abc"  # too short to be hidden without taking words apart


def test_a_new_configuration_brings_its_own_secrets():
    """Those of the one before are forgotten."""
    hide(["first-secret"])
    hide(["other-secret"])
    assert without_secrets("first-secret other-secret") == "first-secret ***"
