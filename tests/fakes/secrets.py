"""Made secrets in the forms in which records hold them: what redaction must leave nowhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

NAMES = (
    *("password", "Password", "PASSWORD", "db_password", "adminpassword", "masterUserPassword", "user-password"),
    *("passwd", "DB_PASSWD", "passphrase", "dbPwd", "sessionToken", "session_token", "accessToken", "AccessToken"),
    *("refresh_token", "id_token", "authToken", "x-amz-security-token", "X-Amz-Security-Token", "github_token"),
    *("secretString", "SecretBinary", "secretAccessKey", "secret_access_key", "aws_secret_access_key", "clientSecret"),
    *("client_secret", "secretKey", "privateKey", "private_key", "tlsPrivateKey", "preSharedKey", "pre_shared_key"),
    *("keyMaterial", "authorization", "Authorization", "proxy-authorization", "cookie", "Set-Cookie", "x-api-key"),
)
PARAMETERS = (
    *("X-Amz-Signature", "X-Amz-Security-Token", "X-Amz-Credential", "x-amz-signature", "token", "access_token"),
    *("id_token", "password", "client_secret", "sig", "Signature", "api_key", "jwt", "sessionid", "auth"),
)
_PEM_BODY = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC"


@dataclass(frozen=True)
class Made:
    """One secret in a text.

    Attributes:
        form: what kind of place it stands in.
        text: the text with the secret.
        secret: what must not be left of it.
        json: whether the text is a JSON object.
    """

    form: str
    text: str
    secret: str
    json: bool = True


def _in_string(depth: int, name: str, value: Any) -> str:
    text = json.dumps({"user": "a", name: value, "z": 1})
    for _ in range(depth):
        text = json.dumps({"definition": text, "after": [1]})
    return text


def _escaped(text: str) -> str:
    return "".join(f"\\u{ord(each):04x}" for each in text)


_JSON_FORMS: dict[str, Callable[[str, str], str]] = {
    "a text": lambda name, secret: json.dumps({"a": {name: secret}, "b": 1}),
    "a text with spaces around": lambda name, secret: f'{{ "{name}" :\t"{secret}" , "b": 1 }}',
    "a number": lambda name, secret: f'{{"{name}":{int.from_bytes(secret.encode()[:6], "big")},"b":1}}',
    "a list": lambda name, secret: json.dumps({name: [secret, secret], "b": {"c": []}}),
    "JSON in a string": lambda name, secret: _in_string(1, name, secret),
    "JSON in a string in a string": lambda name, secret: _in_string(2, name, f'q"uo\\te{secret}'),
    "JSON four strings deep": lambda name, secret: _in_string(4, name, [secret]),
    "an escaped name": lambda name, secret: f'{{"\\u{ord(name[0]):04x}{name[1:]}":"{secret}","b":1}}',
    "a name of escapes only": lambda name, secret: f'{{"{_escaped(name)}":"{secret}","b":1}}',
    "an escaped name in a string": lambda name, secret: json.dumps(
        {"a": f'{{"{_escaped(name)}":"{secret}","b":1}}'},
    ),
    "a value with escapes": lambda name, secret: f'{{"{name}":"\\/x\\u002f\\"{secret}\\\\","b":1}}',
    "a name beside its value": lambda name, secret: json.dumps({"env": [{"name": name, "value": secret}]}),
    "a value beside its name": lambda name, secret: json.dumps({"tags": [{"value": secret, "key": name}]}),
    "a parameter of a stack": lambda name, secret: json.dumps(
        {"parameters": [{"parameterKey": name, "usePreviousValue": False, "parameterValue": secret}]}
    ),
    "a pair in a string": lambda name, secret: json.dumps({"a": json.dumps([{"Name": name, "Value": secret}])}),
}
_TEXT_FORMS: dict[str, Callable[[str, str], str]] = {
    "a parameter of a URL": lambda name, secret: f"GET /a/b?x=1&{name}={secret}&y=2 HTTP/1.1",
    "the first parameter": lambda name, secret: f"https://host.example/path?{name}={secret}",
    "a URL in a URL": lambda name, secret: f"/login?next=https%3A%2F%2Fh%2F%3F{name}%3D{secret}%26b%3D1&c=2",
    "a form": lambda name, secret: f"{name}={secret}&b=1",
}


def made_secrets() -> Iterator[Made]:
    """Yield some 700 of them."""
    number = 0

    def canary() -> str:
        nonlocal number
        number += 1
        return f"cAn4ry{number:05d}x"

    for name in NAMES:
        for form, make in _JSON_FORMS.items():
            secret = canary()
            left = str(int.from_bytes(secret.encode()[:6], "big")) if form == "a number" else secret
            yield Made(f"{name}: {form}", make(name, secret), left)
    for name in PARAMETERS:
        for form, make in _TEXT_FORMS.items():
            secret = canary()
            yield Made(f"{name}: {form}", make(name, secret), secret, json=False)
    for scheme in ("Bearer", "Basic", "bearer"):
        secret = canary()
        yield Made(f"a header of {scheme}", f"> Authorization: {scheme} {secret}\n> Host: h", secret, json=False)
    secret = canary()
    signed = f"authorization: AWS4-HMAC-SHA256 Credential={secret}/x, SignedHeaders=host, Signature={secret}"
    yield Made("a signed request", signed, secret, json=False)
    secret = canary()
    yield Made("a cookie", f"Cookie: sid={secret}; b={secret}", secret, json=False)
    for end in ("\n", "\\n", "\r\n", "\\\\n"):
        secret = canary()
        head = f"-----BEGIN RSA PRIVATE KEY-----{end}Proc-Type: 4,ENCRYPTED{end}DEK-Info: AES-128-CBC,0A1B{end}{end}"
        body = f"{_PEM_BODY}{end}{secret}{end}"
        yield Made(f"PEM with {end!r}", f"x {head}{body}-----END RSA PRIVATE KEY----- y", secret, json=False)
        yield Made(f"PEM cut off, {end!r}", f"x {head}{body}", secret, json=False)
