"""An HTTP server between a client and AWS's emulators that notes each call as IAM would see it: who, what, on what.

It stands on the wire, so that it also sees what does not go through boto3.
"""

from __future__ import annotations

import http.client
import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

_CREDENTIAL = re.compile(r"Credential=([^/]+)/\d{8}/([^/]+)/([^/]+)/aws4_request")
_KEY = re.compile(rb"<AccessKeyId>([^<]+)</AccessKeyId>")
# https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
FREE = frozenset({"sts:GetCallerIdentity"})


@dataclass(frozen=True)
class Asked:
    """One call.

    Attributes:
        who: "own", or the ARN of the role that was assumed.
        action: the permission that it needs.
        resource: its ARN; None where the recorder cannot tell it.
        context: IAM's condition keys that the request sets.
        agent: what the client calls itself.
    """

    who: str
    action: str
    resource: str | None
    context: Mapping[str, str]
    agent: str


@dataclass
class Recorder:
    """Forwards to emulators by the service that a request is signed for.

    Args:
        servers: URLs by service; "" is for all others.
        accounts: by access key; those of roles that are assumed are put in.
        refused: actions that are answered as IAM answers who may not.

    Attributes:
        asked: what was asked, apart from what needs no permission.
    """

    servers: Mapping[str, str]
    accounts: dict[str, str] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    _roles: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def note(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> tuple[str, str, str | None]:
        """Note a request; return its service and action, and the role's ARN if it assumes one."""
        signed = _CREDENTIAL.search(headers.get("authorization", ""))
        assert signed is not None, f"an unsigned request: {method} {path}"
        key, region, service = signed.groups()
        who = self._roles.get(key, "own")
        given = _given(headers, body)
        operation = _operation(service, method, path, headers, given)
        role = given.get("RoleArn") if operation == "AssumeRole" else None
        account = "123456789012" if who == "own" else who.split(":")[4]
        resource: str | None
        context: dict[str, str]
        if service == "s3":
            resource, context = _s3_resource(operation, path)
        else:
            resource, context = _resource(operation, f"{service}:{region}:{account}", given), {}
        action = f"{service}:{_permission(operation)}"
        if action not in FREE:
            agent = headers.get("user-agent", "")
            self.asked.append(Asked(who, action, resource, {"aws:RequestedRegion": region} | context, agent))
        return service, action, role

    def learn(self, role: str, answer: bytes) -> None:
        """Note whose the access key of an answer is."""
        found = _KEY.search(answer)
        if found:
            self._roles[found[1].decode()] = role
            self.accounts[found[1].decode()] = role.split(":")[4]


def _given(headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """The parameters, of whichever protocol."""
    if "json" in headers.get("content-type", ""):
        return dict(json.loads(body or b"{}"))
    return {name: values[0] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}


def _operation(service: str, method: str, path: str, headers: Mapping[str, str], given: dict[str, Any]) -> str:
    target = headers.get("x-amz-target", "")
    if target:
        return target.rpartition(".")[2]
    if service != "s3":
        return str(given["Action"])
    url = urlsplit(path)
    query = parse_qs(url.query, keep_blank_values=True)
    key = url.path.strip("/").partition("/")[2]
    if method == "GET" and not key and query.get("list-type") == ["2"]:
        return "ListBucket"
    if method == "GET" and not key and "tagging" in query:
        return "GetBucketTagging"
    assert method == "GET", f"the daemon writes nothing: {method} {path}"
    assert key, f"an operation that the recorder does not know: {method} {path}"
    return "GetObjectVersion" if "versionId" in query else "GetObject"


def _permission(operation: str) -> str:
    """SQS has the same permission for one and for many: the Batch operations have none of their own."""
    return operation.removesuffix("Batch")


def _s3_resource(operation: str, path: str) -> tuple[str, dict[str, str]]:
    url = urlsplit(path)
    prefix = parse_qs(url.query).get("prefix", [""])[0]
    return f"arn:aws:s3:::{unquote(url.path).strip('/')}", {"s3:prefix": prefix} if operation == "ListBucket" else {}


def _resource(operation: str, where: str, given: dict[str, Any]) -> str | None:
    """The ARN of what is asked for; `where` is service, region and account."""
    service, region, account = where.split(":")
    group = f"arn:aws:logs:{region}:{account}:log-group:"
    if service == "sqs":
        return "arn:aws:sqs:{}:{}:{}".format(region, *given["QueueUrl"].split("/")[-2:])
    if operation == "DescribeLogGroups":
        return f"{group}{given.get('logGroupNamePrefix', '')}:log-stream:"
    if operation == "FilterLogEvents":
        return f"{given.get('logGroupIdentifier') or group + given['logGroupName']}:*"
    if service == "iam":
        kind = "Role" if "RoleName" in given else "User"
        return f"arn:aws:iam::{account}:{kind.lower()}/{given[kind + 'Name']}"
    found = given.get("RoleArn") or given.get("resourceArn")
    return None if found is None else str(found)


def _handler(recorder: Recorder) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self._forward()

        def do_POST(self) -> None:
            self._forward()

        def _forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            service, action, role = recorder.note(self.command, self.path, headers, body)
            if action in recorder.refused:
                self._refuse(service, action)
                return
            far = urlsplit(recorder.servers.get(service, recorder.servers[""]))
            connection = http.client.HTTPConnection(far.hostname or "", far.port, timeout=30)
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
            if role is not None:
                recorder.learn(role, content)
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in {"connection", "transfer-encoding", "content-length"}:
                    self.send_header(name, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def _refuse(self, service: str, action: str) -> None:
            words = f"User: x is not authorized to perform: {action}"
            xml = f"<Code>AccessDenied</Code><Message>{words}</Message>"
            code = xml.replace("AccessDenied", "UnauthorizedOperation")
            content = {
                "s3": f"<Error>{xml}</Error>",
                "ec2": f"<Response><Errors><Error>{code}</Error></Errors></Response>",
                "iam": f"<ErrorResponse><Error>{xml}</Error></ErrorResponse>",
            }.get(service, json.dumps({"__type": "AccessDeniedException", "message": words}))
            self.send_response_only(400 if content.startswith("{") else 403)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content.encode())

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    return Handler
