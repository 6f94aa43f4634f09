"""Looks at a cluster and sets it up: its version, what the credentials may do, which templates it has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from shipper.errors import RetryableError
from shipper.model import Problem
from shipper.sinks.elasticsearch_aliases import StrictAliases
from shipper.sinks.elasticsearch_bulk import STRICT_PREFIX
from shipper.sinks.elasticsearch_connection import Answer, Connection
from shipper.sinks.elasticsearch_lifecycle import Lifecycle
from shipper.sinks.elasticsearch_probes import HINT, Client, NotAllowedError, present, unknown
from shipper.sinks.elasticsearch_templates import (
    KUBERNETES_AUDIT,
    MANAGED_BY,
    SETTINGS,
    VERSION,
    Template,
    degraded,
    names_policy,
    templates,
)

_DOCUMENT_PRIVILEGES = ["create_doc", "auto_configure"]
_MOST_CONCESSIONS = 12
_MOST_HITS = 10
_ORIGIN_FIELDS = [
    *("@timestamp", "event.id", "event.action", "log.*", "aws.s3.*", "aws.cloudwatch.*", "awscloudwatch.*"),
    *("cloud.*", "tags"),
]


@dataclass(frozen=True, slots=True)
class Version:
    """Of the server.

    Attributes:
        number: such as 9.5.3; "" where the server does not say.
        distribution: "opensearch", or "" for Elasticsearch.
    """

    number: str
    distribution: str = ""

    @property
    def supported(self) -> bool:
        """Elasticsearch 8 and later, OpenSearch 2 and later; unknown ones get a chance."""
        major = self.number.split(".")[0]
        return not major.isdecimal() or int(major) >= (2 if self.distribution else 8)


class Setup:
    """Templates and privileges of one cluster.

    Args:
        audit_apart: Kubernetes audit events go to a data stream of their own.
    """

    def __init__(
        self, connection: Connection, namespace: str, *, strict: bool = False, audit_apart: bool = True
    ) -> None:
        self._client = Client(connection)
        self._namespace = namespace
        self._strict = strict
        self._audit_apart = audit_apart
        self._lifecycle = Lifecycle(self._client, self.names)
        self._aliases = StrictAliases(self._client, self.names)

    @property
    def names(self) -> str:
        """What holds the documents, for a search: with wildcards, so that what is not there is no error.

        Audit events are looked for in their own data stream even where they no longer go there.
        """
        return f"{self._pattern('aws.*')},{self._pattern(f'{KUBERNETES_AUDIT}*')}"

    @property
    def _written(self) -> list[str]:
        """What the credentials need their privileges on."""
        return [self._pattern(datasets) for datasets in ("aws.*", *([KUBERNETES_AUDIT] if self._audit_apart else []))]

    @property
    def _aliases_written(self) -> list[str]:
        """The aliases of strict indices."""
        datasets = ("aws.*", *([KUBERNETES_AUDIT] if self._audit_apart else []))
        return [f"logs-{names}-{self._namespace}-strict" for names in datasets]

    def _pattern(self, datasets: str) -> str:
        if self._strict:
            return f"{STRICT_PREFIX}{datasets}-{self._namespace}-*"
        return f"logs-{datasets}-{self._namespace}"

    def role(self) -> dict[str, Any]:
        """The role that delivering needs, as the body of `PUT /_security/role/<name>`, and no more than that.

        https://www.elastic.co/docs/reference/elasticsearch/security-privileges
        """
        look = ["read", "view_index_metadata"]
        indices = [{"names": self._written, "privileges": [*_DOCUMENT_PRIVILEGES, *look]}]
        if self._strict:
            indices.append({"names": self._aliases_written, "privileges": look})
        return {"cluster": ["monitor"], "indices": indices}

    def setup_role(self) -> dict[str, Any]:
        """The role that `shipper setup elasticsearch` needs, once; in strict mode also to give indices an alias."""
        role: dict[str, Any] = {"cluster": ["monitor", "manage_index_templates", "manage_ilm"]}
        if self._strict:
            names = [*self._written, *self._aliases_written]
            role["indices"] = [{"names": names, "privileges": ["manage"]}]
        return role

    def locate(self, document_id: str) -> list[dict[str, Any]]:
        """Return the hits for an id: `_index`, and of `_source` what says where the document came from.

        What was stored within the last refresh interval is not found yet.

        Raises:
            RetryableError: the cluster is not reachable, or refuses to be searched.
        """
        wanted = {"query": {"ids": {"values": [document_id]}}, "size": _MOST_HITS, "_source": _ORIGIN_FIELDS}
        answer = self._client.ask("POST", f"/{self.names}/_search", wanted)
        if answer.status == 404:
            return []
        if answer.status != 200:
            raise RetryableError(f"HTTP {answer.status} {' '.join(answer.error())}", paused=answer.status == 403)
        hits: list[dict[str, Any]] = answer.json().get("hits", {}).get("hits", [])
        return hits

    def install(self) -> list[str]:
        """Put what is missing or older than this program; return a line for each thing done.

        Raises:
            RetryableError: the cluster is not reachable or is busy.
            NotAllowedError: the credentials do not allow it.
            ConfigError: the cluster refuses a template for good.
        """
        ilm = False if self._strict else self._lifecycle.available()
        done = self._lifecycle.install() if ilm else []
        for template in self._templates(ilm=bool(ilm)):
            found = self._found(template)
            if found is not None and not _is_ours(found):
                template = _renamed(template)  # noqa: PLW2901 - the name is an integration's: leave that one alone
                found = self._found(template)
            if found is None:
                if ilm is None and template.name.endswith(SETTINGS):
                    raise self._lifecycle.not_visible()
                done += self._put(template)
            elif _version(found) < VERSION:
                if ilm is None and template.name.endswith(SETTINGS) and names_policy(found):
                    template = self._with_policy(template)  # noqa: PLW2901 - what is there stays in force
                done += [f"{line}, in force from the next rollover on" for line in self._put(template)]
            elif ilm and _version(found) == VERSION and template.name.endswith(SETTINGS) and not names_policy(found):
                done += [f"{line}, now with {self._lifecycle.remedy()}" for line in self._put(template)]
        return [*done, *(self._aliases.install() if self._strict else [])]

    def _with_policy(self, template: Template) -> Template:
        same = next(each for each in self._templates(ilm=True) if template.name.endswith(each.name))
        return Template(template.kind, template.name, same.body)

    def _templates(self, *, ilm: bool) -> list[Template]:
        return templates(ilm=ilm, strict=self._strict, namespace=self._namespace)

    def problems(self, where: str) -> Iterator[Problem]:
        """Yield all that is wrong, changing nothing.

        Raises:
            RetryableError: the cluster is not reachable, or refuses the credentials.
            ConfigError: it cannot be reached as configured.
        """
        version = self._version()
        if not version.supported:
            what = f"version {version.distribution} {version.number} is not supported"
            yield Problem(where, what, "use Elasticsearch 8 or later, or OpenSearch 2 or later")
        lacking, may_install, visible = self._privileges()
        if not visible:
            what = "the server does not say what the credentials may do (HTTP 403 for /_security/user/_has_privileges)"
            yield Problem(where, what, "is something in between that refuses it?", serious=False)
        for names, missing in lacking.items():
            what = f"the credentials lack {', '.join(missing)} on {names}"
            hint = "give the role what `shipper setup elasticsearch --show-role` prints"
            if KUBERNETES_AUDIT in names:
                what += ", where audit events of EKS go"
                hint += ", or set `eks_audit_dataset: aws.eks_logs` to keep them with the other logs of EKS"
            yield Problem(where, what, hint, serious=KUBERNETES_AUDIT not in names)
        yield from self._template_problems(where, may_install=may_install)
        if self._strict:
            yield from self._aliases.problems(where)
        else:
            yield from self._lifecycle_problems(where, may_install=may_install)

    def _template_problems(self, where: str, *, may_install: bool) -> Iterator[Problem]:
        missing, old = [], []
        try:
            for template in self._templates(ilm=False):
                found = self._found(template)
                if found is not None and not _is_ours(found):
                    found = self._found(_renamed(template))
                if found is None:
                    missing.append(template.name)
                elif _version(found) < VERSION:
                    old.append(template.name)
        except NotAllowedError as error:
            yield Problem(where, f"templates cannot be looked at: {error}", HINT, serious=False)
        hint = "the first run installs them, or `shipper setup elasticsearch` now" if may_install else HINT
        for words, names in (("missing", missing), ("older than this program", old)):
            if names:
                yield Problem(where, f"templates {words}: {', '.join(names)}", hint, serious=not may_install)

    def _lifecycle_problems(self, where: str, *, may_install: bool) -> Iterator[Problem]:
        settings = next(each for each in self._templates(ilm=True) if each.name == SETTINGS)
        try:
            found = self._found(settings)
            if found is not None and not _is_ours(found):
                found = self._found(_renamed(settings))
        except NotAllowedError:
            return  # the templates' own problems say so
        yield from self._lifecycle.problems(where, found, may_install=may_install)

    def _version(self) -> Version:
        answer = self._client.get("/")
        if present(answer, "version of the server") and isinstance(said := answer.json().get("version"), dict):
            return Version(str(said.get("number", "")), str(said.get("distribution", "")))
        answer = self._client.get("/_nodes/_local?filter_path=nodes.*.version")
        nodes = answer.json().get("nodes") if present(answer, "version of the server") else {}
        return Version(next((str(node["version"]) for node in (nodes or {}).values()), ""))

    def _privileges(self) -> tuple[dict[str, list[str]], bool, bool]:
        """Return index privileges that are lacking, whether templates may be put, and whether the server says so.

        Without security nothing is lacking.
        """
        # No privilege on `logs-aws.*` is needed to have it on the data streams below.
        asked = {pattern.replace("aws.*", "aws.cloudtrail"): pattern for pattern in self._written}
        wanted = {
            "cluster": ["manage_index_templates"],
            "index": [{"names": list(asked), "privileges": _DOCUMENT_PRIVILEGES}],
        }
        answer = self._client.ask("POST", "/_security/user/_has_privileges", wanted)
        said = answer.json()
        has_security = present(answer, "privileges of the credentials")
        if not has_security or "index" not in said:
            return {}, True, has_security is not None
        has: dict[str, dict[str, bool]] = said["index"]
        lacking = {
            pattern: missing
            for name, pattern in asked.items()
            if name in has and (missing := [each for each in _DOCUMENT_PRIVILEGES if not has[name].get(each)])
        }
        return lacking, bool(said.get("cluster", {}).get("manage_index_templates")), True

    def _found(self, template: Template) -> dict[str, Any] | None:
        answer = self._client.get(template.path)
        what = f"{template.kind} template {template.name}"
        has = present(answer, what)
        if has is None:
            self._client.expect_ok(answer, what)
        if not has:
            return None
        try:
            found: dict[str, Any] = answer.json()[f"{template.kind}_templates"][0][f"{template.kind}_template"]
        except (LookupError, TypeError) as error:
            raise unknown(answer, what) from error
        return found

    def _put(self, template: Template) -> list[str]:
        body, lines = template.body, []
        for _ in range(_MOST_CONCESSIONS):
            answer = self._client.ask("PUT", template.path, body)
            less = degraded(body, _all_words(answer)) if answer.status == 400 else None
            if less is None:
                break
            body, line = less
            lines.append(f"{template.kind} template {template.name}: {line} on this server")
        self._client.expect_ok(answer, f"{template.kind} template {template.name}")
        return [*lines, f"{template.kind} template {template.name} installed, version {VERSION}"]


def _all_words(answer: Answer) -> str:
    """An error's reason with those of its causes: the unknown thing is often named in the innermost one."""
    said, cause = [], answer.json().get("error")
    while isinstance(cause, dict):
        said.append(str(cause.get("reason", "")))
        cause = cause.get("caused_by")
    return "; ".join(said)


def _is_ours(found: dict[str, Any]) -> bool:
    return (found.get("_meta") or {}).get("managed_by") == MANAGED_BY


def _version(found: dict[str, Any]) -> int:
    version = (found.get("_meta") or {}).get("version")
    return version if isinstance(version, int) else 0


def _renamed(template: Template) -> Template:
    """The same under a name of our own; its higher priority makes it the one that counts."""
    return Template(template.kind, f"shipper-{template.name}", template.body)
