"""Which fields filters see in each log type's records, as AWS's documentation names them.

Sources: "CloudTrail record contents", "userIdentity element", "Insights events" and "aggregated events" (AWS CloudTrail
User Guide); "Log fields" (AWS WAF Developer Guide); "Values that appear in VPC Resolver query logs" (Amazon Route 53
Developer Guide); audit.k8s.io/v1 Event; "$context variables" (API Gateway Developer Guide); Fluent Bit's Kubernetes
filter and FireLens. `.*` stands after what may hold anything.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from shipper.access_layouts import APPLICATION, CLASSIC, CONNECTION, NETWORK, S3
from shipper.flow_layouts import KNOWN_FIELDS

_CLOUDTRAIL = """
eventTime eventVersion eventSource eventName awsRegion sourceIPAddress userAgent errorCode errorMessage requestID
eventID eventType apiVersion managementEvent readOnly recipientAccountId sharedEventID sharedEventId vpcEndpointId
vpcEndpointAccountId eventCategory sessionCredentialFromConsole requestParameters.* responseElements.*
additionalEventData.* serviceEventDetails.* insightDetails.* insightSource edgeDeviceDetails.* eventContext.*
resources.ARN resources.arn resources.ARNPrefix resources.accountId resources.type resources.resourceName
resources.resourceType
userIdentity.type userIdentity.principalId userIdentity.arn userIdentity.accountId userIdentity.accessKeyId
userIdentity.userName userIdentity.invokedBy userIdentity.identityProvider userIdentity.credentialId
userIdentity.userId userIdentity.identityStoreArn userIdentity.onBehalfOf.userId
userIdentity.onBehalfOf.identityStoreArn userIdentity.inScopeOf.* userIdentity.invokedByDelegate.*
userIdentity.sessionContext.sessionIssuer.type userIdentity.sessionContext.sessionIssuer.principalId
userIdentity.sessionContext.sessionIssuer.arn userIdentity.sessionContext.sessionIssuer.accountId
userIdentity.sessionContext.sessionIssuer.userName userIdentity.sessionContext.attributes.mfaAuthenticated
userIdentity.sessionContext.attributes.creationDate userIdentity.sessionContext.webIdFederationData.federatedProvider
userIdentity.sessionContext.webIdFederationData.attributes.* userIdentity.sessionContext.sourceIdentity
userIdentity.sessionContext.ec2RoleDelivery userIdentity.sessionContext.ec2IssuedInVpc
userIdentity.sessionContext.assumedRoot
tlsDetails.tlsVersion tlsDetails.cipherSuite tlsDetails.clientProvidedHostHeader tlsDetails.keyExchange
addendum.reason addendum.updatedFields addendum.originalRequestID addendum.originalEventID addendum.originalUID
eventId accountId timeWindow.windowStart timeWindow.windowEnd timeWindow.windowSize summary.*
awsAccountId digestStartTime digestEndTime digestS3Bucket digestS3Object digestPublicKeyFingerprint
digestSignatureAlgorithm newestEventTime oldestEventTime previousDigestS3Bucket previousDigestS3Object
previousDigestHashValue previousDigestHashAlgorithm previousDigestSignature logFiles.*
"""
_WAF = """
timestamp formatVersion webaclId webaclName terminatingRuleId terminatingRuleType action terminatingRuleMatchDetails.*
httpSourceName httpSourceId ruleGroupList.* rateBasedRuleList.* nonTerminatingMatchingRules.* excludedRules.*
requestHeadersInserted.name requestHeadersInserted.value responseCodeSent labels.name ja3Fingerprint ja4Fingerprint
oversizeFields requestBodySize requestBodySizeInspectedByWAF clientAsn forwardedAsn cfDistributionTenantId
captchaResponse.responseCode captchaResponse.solveTimestamp captchaResponse.failureReason
challengeResponse.responseCode challengeResponse.solveTimestamp challengeResponse.failureReason
httpRequest.clientIp httpRequest.country httpRequest.uri httpRequest.args httpRequest.httpVersion
httpRequest.httpMethod httpRequest.requestId httpRequest.fragment httpRequest.scheme httpRequest.host
httpRequest.clientAsn httpRequest.forwardedAsn httpRequest.headers.name httpRequest.headers.value
"""
_RESOLVER = """
version account_id region vpc_id query_timestamp query_name query_type query_class rcode srcaddr srcport transport
answers.Rdata answers.Type answers.Class srcids.instance srcids.resolver_endpoint srcids.resolver_network_interface
firewall_rule_group_id firewall_rule_action firewall_domain_list_id firewall_threat_protection_id
additional_properties.*
"""
_EKS = """
kind apiVersion level auditID stage requestURI verb sourceIPs userAgent requestReceivedTimestamp stageTimestamp
user.username user.uid user.groups user.extra.* impersonatedUser.username impersonatedUser.uid impersonatedUser.groups
impersonatedUser.extra.* authenticationMetadata.* objectRef.resource objectRef.namespace objectRef.name objectRef.uid
objectRef.apiGroup objectRef.apiVersion objectRef.resourceVersion objectRef.subresource responseStatus.metadata.*
responseStatus.kind responseStatus.apiVersion responseStatus.status responseStatus.message responseStatus.reason
responseStatus.code responseStatus.details.* requestObject.* responseObject.* annotations.*
"""
_APIGATEWAY = """
requestId extendedRequestId ip sourceIp caller user userAgent requestTime requestTimeEpoch httpMethod resourcePath path
routeKey status protocol responseLength responseLatency integrationLatency integrationStatus integrationError
integrationErrorMessage integrationRequestId authorizerError errorMessage errorResponseType accountId apiId stage
domainName domainPrefix connectionId eventType messageId resourceId principalId
"""
_CONTAINERS = """
log log_processed.* stream time date source container_id container_name ecs_cluster ecs_task_arn ecs_task_definition
ec2_instance_id kubernetes.pod_name kubernetes.namespace_name kubernetes.pod_id kubernetes.pod_ip kubernetes.host
kubernetes.container_name kubernetes.docker_id kubernetes.container_hash kubernetes.container_image
kubernetes.container_image_id kubernetes.labels.* kubernetes.annotations.* kubernetes.ownerReferences.*
"""


@dataclass(frozen=True, slots=True)
class KnownFields:
    """The fields that a log type's records may have.

    Attributes:
        names: paths in JSON records, with all that they lead through; or the columns of lines.
        below: paths that may hold anything.
        columns: of lines, the names as `canonical` writes them.
        open: records may have other fields as well, which an application or an operator names.
    """

    names: frozenset[str] = frozenset()
    below: tuple[str, ...] = ()
    columns: frozenset[str] = frozenset()
    open: bool = False

    def has(self, name: str) -> bool:
        """Whether a record may have a field, as AWS documents it."""
        if self.columns:
            return canonical(name) in self.columns
        return name in self.names or name.startswith(self.below)


def canonical(name: str) -> str:
    """Return a column's name as all spellings of it that filters take for the same."""
    return name.replace("_", "-").lower()


def _paths(text: str, *, open: bool = False) -> KnownFields:  # noqa: A002 - as the attribute
    given = text.split()
    plain = [path.removesuffix(".*") for path in given]
    names = {".".join(parts[:end]) for parts in (path.split(".") for path in plain) for end in range(1, len(parts) + 1)}
    below = tuple(f"{path[:-1]}" for path in given if path.endswith(".*"))
    return KnownFields(frozenset(names), below, open=open)


def _columns(*layouts: Collection[str]) -> KnownFields:
    names = frozenset(name for layout in layouts for name in layout)
    return KnownFields(names, columns=frozenset(map(canonical, names)))


FIELDS: dict[str, KnownFields] = {
    "cloudtrail": _paths(_CLOUDTRAIL),
    "vpcflow": _columns(KNOWN_FIELDS),
    "elb": _columns(APPLICATION, NETWORK, CLASSIC, CONNECTION),
    "s3access": _columns(S3),
    "waf": _paths(_WAF),
    "route53_resolver": _paths(_RESOLVER),
    "route53_public": KnownFields(),
    "rds": KnownFields(),
    "eks": _paths(_EKS),
    "apigateway": _paths(_APIGATEWAY, open=True),
    "containers": _paths(_CONTAINERS, open=True),
    "cloudwatch": KnownFields(open=True),
    "ec2": KnownFields(open=True),
}
"""By log type. One without any names and not open has plain lines, which filters see no fields in."""

ECS_NAMES = {
    "source.ip": ("sourceIPAddress", "srcaddr", "httpRequest.clientIp", "client", "remote_ip", "sourceIPs", "ip"),
    "source.address": ("sourceIPAddress", "srcaddr", "httpRequest.clientIp", "client", "remote_ip", "sourceIPs", "ip"),
    "source.port": ("srcport",),
    "destination.ip": ("dstaddr",),
    "destination.port": ("dstport",),
    "event.action": ("eventName", "action", "operation", "verb"),
    "event.provider": ("eventSource",),
    "event.id": ("eventID", "auditID"),
    "event.outcome": ("errorCode", "action"),
    "error.code": ("errorCode", "error_code"),
    "cloud.region": ("awsRegion", "region"),
    "cloud.account.id": ("recipientAccountId", "account-id", "account_id"),
    "user.name": ("userIdentity.userName", "user.username", "user", "requester"),
    "user.id": ("userIdentity.principalId", "user.uid"),
    "user_agent.original": ("userAgent", "user_agent"),
    "http.request.method": ("httpRequest.httpMethod", "httpMethod", "request"),
    "http.response.status_code": ("elb_status_code", "http_status", "status", "responseStatus.code"),
    "url.path": ("httpRequest.uri", "request", "request_uri", "path", "requestURI"),
    "url.original": ("request", "request_uri", "requestURI"),
    "dns.question.name": ("query_name",),
    "dns.question.type": ("query_type",),
    "dns.response_code": ("rcode",),
    "network.bytes": ("bytes",),
    "network.packets": ("packets",),
    "network.iana_number": ("protocol",),
}
"""What documents call a field, and what records do: filters see records."""
