"""AWS's endpoints of all services, which refuse every request in one way."""

from __future__ import annotations

import json

from tests.fakes.http_server import FakeServer, QuietHandler


class RefusingAws(FakeServer):
    """Answers each request with an error, in the form of the service's own protocol.

    Args:
        code: the error's code.
    """

    def __init__(self, code: str, status: int = 403) -> None:
        outer = self

        class Handler(QuietHandler):
            def do_GET(self) -> None:  # noqa: N802 - the library's name
                self.do_POST()

            def do_HEAD(self) -> None:  # noqa: N802 - the library's name
                self.do_POST()

            def do_POST(self) -> None:  # noqa: N802 - the library's name
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outer.calls += 1
                form = self.headers.get("Content-Type", "")
                body, kind = outer.body(form)
                self.send_response(outer.status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

        super().__init__(Handler)
        self.code = code
        self.status = status
        self.calls = 0

    def body(self, form: str) -> tuple[bytes, str]:
        """The refusal for a request of a content type."""
        if "json" in form:
            return json.dumps({"__type": self.code, "message": "own words"}).encode(), form
        error = f"<Error><Code>{self.code}</Code><Message>own words</Message></Error>"
        if "form-urlencoded" in form:
            error = f"<ErrorResponse>{error}<RequestId>1</RequestId></ErrorResponse>"
        return error.encode(), "text/xml"
