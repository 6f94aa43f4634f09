"""Which AWS service a network interface works for, as its type, requester, tags and description tell.

EC2 has no field for it: services write it into the description of the interfaces that they make.
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_NetworkInterface.html (interfaceType)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_DESCRIPTIONS: Final = tuple(
    (service, re.compile(pattern))
    for service, pattern in (
        ("load_balancer", r"ELB (?:app|net|gwy)/(.+)/[0-9a-f]+"),
        ("load_balancer", r"ELB (.+)"),
        ("nat_gateway", r"Interface for NAT Gateway (nat-[0-9a-f]+)"),
        # The function's name, and a UUID that tells its subnets and security groups apart from others.
        ("lambda", r"AWS Lambda VPC ENI-(.+?)(?:-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})?"),
        ("rds", r"RDSNetworkInterface()"),
        ("elasticache", r"ElastiCache (.+)"),
        ("redshift", r"RedshiftNetworkInterface()"),
        ("dms", r"DMSNetworkInterface()"),
        ("efs", r"EFS mount target for (fs-[0-9a-f]+).*"),
        ("vpc_endpoint", r"VPC Endpoint Interface (vpce-[0-9a-f]+)"),
        ("transit_gateway", r"Network [Ii]nterface for Transit Gateway Attachment (tgw-attach-[0-9a-f]+)"),
        ("eks", r"Amazon EKS (.+)"),
        ("eks_pod", r"aws-k8s-branch-eni()"),
        ("eks_node", r"aws-K8S-i-[0-9a-f]+()"),
        ("eks_node", r"aws-k8s-trunk-eni()"),
        ("ecs", r"arn:[^:]+:ecs:[^:]*:[0-9]*:attachment/(.+)"),
        ("directory_service", r"AWS created network interface for directory (d-[0-9a-f]+)"),
        ("vpn", r"ClientVPN Endpoint resource (cvpn-endpoint-[0-9a-f]+).*"),
    )
)
_TYPES: Final = {
    "natGateway": "nat_gateway",
    "nat_gateway": "nat_gateway",
    "lambda": "lambda",
    "load_balancer": "load_balancer",
    "network_load_balancer": "load_balancer",
    "gateway_load_balancer": "load_balancer",
    "gateway_load_balancer_endpoint": "vpc_endpoint",
    "vpc_endpoint": "vpc_endpoint",
    "transit_gateway": "transit_gateway",
    "api_gateway_managed": "api_gateway",
    "global_accelerator_managed": "global_accelerator",
    "quicksight": "quicksight",
    "branch": "eks_pod",
}
_REQUESTERS: Final = {
    "amazon-elb": "load_balancer",
    "amazon-rds": "rds",
    "amazon-elasticache": "elasticache",
    "amazon-redshift": "redshift",
}
# Tags that AWS's own container networking sets: https://github.com/aws/amazon-vpc-cni-k8s (cluster.k8s.amazonaws.com)
# and https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-using-tags.html
_CLUSTER_TAGS: Final = ("cluster.k8s.amazonaws.com/name", "eks:cluster-name")
_ECS_SERVICE_TAG: Final = "aws:ecs:serviceName"
_LONGEST = 1_024


def service_of(
    kind: str | None, requester: str | None, description: str | None, tags: Mapping[str, str], *, attached: bool
) -> tuple[str | None, str | None]:
    """The service that an interface works for and the service's own name for what it is used for.

    Args:
        kind: EC2's interfaceType.
        requester: who had it made, such as `amazon-elb` or a principal's id.
        attached: to an instance of the account's own.
    """
    service, resource = None, None
    for known, pattern in _DESCRIPTIONS:
        if found := pattern.fullmatch((description or "")[:_LONGEST]):
            service, resource = known, found[1] or None
            break
    service = service or _TYPES.get(kind or "") or _REQUESTERS.get(requester or "")
    if service in {"eks", "eks_pod", "eks_node"} or (attached and service is None):
        cluster = next((tags[key] for key in _CLUSTER_TAGS if key in tags), None)
        if cluster is not None:
            service, resource = service or "eks_node", cluster
    if service == "ecs" and _ECS_SERVICE_TAG in tags:
        resource = tags[_ECS_SERVICE_TAG]
    return service or ("ec2" if attached else None), resource
