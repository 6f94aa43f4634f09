"""What AWS's services say that they write to log groups, asked of moto over HTTP."""

from __future__ import annotations

from shipper.aws import AwsSessions
from shipper.build.log_writers import written_groups
from tests.parts.moto import Moto

FIELDS = ("account-id", "interface-id", "srcaddr", "dstaddr", "action", "log-status")
FORMAT = " ".join(f"${{{name}}}" for name in FIELDS)
GROUP = "arn:aws:logs:us-east-1:123456789012:log-group"
ROLE = "arn:aws:iam::123456789012:role/x"


def test_flow_logs_trails_and_query_logs_are_found(moto: Moto):
    """A flow log's own fields in order; what goes to S3 is none of it; each region has its own."""
    ec2, trails, resolver, logs = map(moto.client, ("ec2", "cloudtrail", "route53resolver", "logs"))
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    moto.client("s3").create_bucket(Bucket="logs")
    for name in ("net", "trail", "dns"):
        logs.create_log_group(logGroupName=name)
    moto.client("iam").create_role(RoleName="x", AssumeRolePolicyDocument="{}", Path="/")
    common = {"ResourceIds": [vpc], "ResourceType": "VPC", "TrafficType": "ALL"}
    made = ec2.create_flow_logs(**common, LogGroupName="net", DeliverLogsPermissionArn=ROLE, LogFormat=FORMAT)
    assert not made["Unsuccessful"]
    made = ec2.create_flow_logs(**common, LogDestinationType="s3", LogDestination="arn:aws:s3:::logs", LogFormat=FORMAT)
    assert not made["Unsuccessful"]
    trails.create_trail(
        Name="trail", S3BucketName="logs", CloudWatchLogsLogGroupArn=f"{GROUP}:trail:*", CloudWatchLogsRoleArn=ROLE
    )
    resolver.create_resolver_query_log_config(Name="queries", DestinationArn=f"{GROUP}:dns", CreatorRequestId="1")
    session = AwsSessions(moto.settings())
    assert written_groups(session, "us-east-1").groups == {
        f"{GROUP}:net": ("vpcflow", FIELDS),
        f"{GROUP}:trail": ("cloudtrail", None),
        f"{GROUP}:dns": ("route53_resolver", None),
    }
    assert written_groups(session, "eu-west-1") == ({}, True)


def test_a_group_of_two_formats_is_told_by_the_lines(moto: Moto):
    """One flow log of each of two networks writes to it, in orders of their own; two alike are one."""
    ec2 = moto.client("ec2")
    moto.client("iam").create_role(RoleName="x", AssumeRolePolicyDocument="{}", Path="/")
    for group, formats in (("mixed", (FORMAT, "${action} ${srcaddr}")), ("alike", (FORMAT, FORMAT))):
        moto.client("logs").create_log_group(logGroupName=group)
        for text in formats:
            vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
            common = {"ResourceIds": [vpc], "ResourceType": "VPC", "TrafficType": "ALL"}
            made = ec2.create_flow_logs(**common, LogGroupName=group, DeliverLogsPermissionArn=ROLE, LogFormat=text)
            assert not made["Unsuccessful"]
    assert written_groups(AwsSessions(moto.settings()), "us-east-1").groups == {
        f"{GROUP}:mixed": ("vpcflow", None),
        f"{GROUP}:alike": ("vpcflow", FIELDS),
    }


def test_a_service_that_does_not_answer_is_left_out(aws_environment: None):
    """Nothing is held up: types are told by events and names then."""
    settings = Moto("http://127.0.0.1:9").settings()
    assert written_groups(AwsSessions(settings), "us-east-1") == ({}, False), "it is asked again soon"
