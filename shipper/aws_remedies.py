"""Why AWS cannot be used at all, in words, and what to do about it: credentials, roles, clocks, regions, networks.

Sources: botocore's exceptions; "Common error types" of the AWS APIs; "Error responses" (Amazon S3 API Reference);
"Signature errors" and "Troubleshooting" (IAM User Guide). A refusal for want of a permission is none of this.
"""

from __future__ import annotations

from typing import NamedTuple

import botocore.exceptions


class Remedy(NamedTuple):
    """What is wrong, and what to do."""

    cause: str
    remedy: str


_NONE = Remedy(
    "no AWS credentials were found",
    "give the program some: a role of the instance, task or pod, aws.profile, or AWS_ACCESS_KEY_ID and"
    " AWS_SECRET_ACCESS_KEY in its environment",
)
_PARTIAL = Remedy(
    "the AWS credentials are not complete",
    "give both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (for temporary ones AWS_SESSION_TOKEN too), or aws.profile",
)
_EXPIRED = Remedy(
    "the AWS credentials have expired",
    "renew them; those of a role (of the instance, task or pod, or aws.role_arn) renew themselves",
)
_TOKEN = Remedy(
    "the session token of the AWS credentials is not valid",
    "give the AWS_SESSION_TOKEN that belongs to the access key, and none beside a permanent key",
)
_UNKNOWN_KEY = Remedy(
    "AWS does not know the access key",
    "look whether the key was deleted or deactivated, is of another partition (aws-cn, aws-us-gov), or whether the"
    " region is not enabled for the account; for a temporary key, give its AWS_SESSION_TOKEN too",
)
_SIGNATURE = Remedy(
    "the secret access key does not fit the access key",
    "give the AWS_SECRET_ACCESS_KEY that belongs to the access key, without blanks or line ends",
)
_UNSIGNED = Remedy(
    "the request to AWS came without valid credentials",
    "look at the credentials, and at proxies that take headers away",
)
_CLOCK = Remedy("this machine's clock differs from AWS's", "set the clock right, by NTP")
_LOGIN = Remedy("the SSO session has expired or is not there", "run: aws sso login (with --profile, for aws.profile)")
_CONSOLE_LOGIN = Remedy("the login session has expired or is not there", "run: aws login (with --profile)")
_MFA = Remedy("the profile asks for an MFA code", "choose a profile or role that needs none: nobody can type it here")
_PROFILE = Remedy(
    "the AWS profile is not there", "set aws.profile (or AWS_PROFILE) to a profile of ~/.aws/config of this user"
)
_FILES = Remedy("the AWS configuration files cannot be used", "look at ~/.aws/config and ~/.aws/credentials")
_PROVIDER = Remedy(
    "what should give AWS credentials does not",
    "look at the instance's, task's or pod's role, or at the profile's credential_process or source_profile",
)
_ROLE = Remedy(
    "the role cannot be assumed",
    "look at the role's name and the external_id; allow sts:AssumeRole on the role, and let the role's trust policy"
    " name who assumes it",
)
_WEB_IDENTITY = Remedy(
    "the role cannot be assumed with the web identity",
    "look at the pod's service account, and at the role's trust policy (its OIDC provider, subject and audience)",
)
_SSO_ROLE = Remedy(
    "the SSO session does not give the profile's role",
    "look at sso_account_id and sso_role_name of the profile, and who it is assigned to; or run: aws sso login",
)
_NOT_ENABLED = Remedy(
    "the account may not use this service or region", "enable the region, or finish the account's registration"
)
_REGION = Remedy("no AWS region is known", "set aws.region, or AWS_REGION")
_NO_REGION = Remedy("there is no such AWS region, or the service is not in it", "look at aws.region, or AWS_REGION")
_ENDPOINT = Remedy(
    "AWS cannot be reached",
    "look at aws.region and aws.endpoint_url, and at this machine's DNS, routes, firewall and proxy (HTTPS_PROXY);"
    " without a way to the internet, a VPC endpoint is needed",
)
_PROXY = Remedy("the proxy cannot be reached", "look at HTTPS_PROXY, HTTP_PROXY and NO_PROXY")
_CERTIFICATE = Remedy(
    "AWS cannot be reached safely",
    "look at the endpoint's or proxy's certificate; name its authority by AWS_CA_BUNDLE",
)

_BY_CODE = {
    **dict.fromkeys(("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"), _EXPIRED),
    **dict.fromkeys(("InvalidToken", "InvalidTokenException"), _TOKEN),
    **dict.fromkeys(
        ("AuthFailure", "InvalidAccessKeyId", "InvalidClientTokenId", "UnrecognizedClientException"), _UNKNOWN_KEY
    ),
    **dict.fromkeys(("SignatureDoesNotMatch", "InvalidSignatureException"), _SIGNATURE),
    **dict.fromkeys(
        (
            *("IncompleteSignature", "IncompleteSignatureException"),
            *("MissingAuthenticationToken", "MissingAuthenticationTokenException"),
        ),
        _UNSIGNED,
    ),
    **dict.fromkeys(("RequestTimeTooSkewed", "RequestExpired"), _CLOCK),
    **dict.fromkeys(("OptInRequired", "SubscriptionRequiredException", "RegionDisabledException"), _NOT_ENABLED),
    **dict.fromkeys(("InvalidIdentityToken", "IDPCommunicationError", "IDPRejectedClaim"), _WEB_IDENTITY),
}
_BY_OPERATION = {
    "AssumeRole": _ROLE,
    "AssumeRoleWithWebIdentity": _WEB_IDENTITY,
    "GetRoleCredentials": _SSO_ROLE,
    "CreateToken": _LOGIN,
}
_OLD_SIGNATURE = ("Signature expired", "Signature not yet current")
# The first that fits; classes that some versions of botocore do not have are named as text.
_BY_CLASS = (
    ("NoCredentialsError", _NONE),
    ("PartialCredentialsError", _PARTIAL),
    ("SSOError", _LOGIN),
    ("TokenRetrievalError", _LOGIN),
    ("NoAuthTokenError", _LOGIN),
    ("LoginError", _CONSOLE_LOGIN),
    ("RefreshWithMFAUnsupportedError", _MFA),
    ("CredentialRetrievalError", _PROVIDER),
    ("MetadataRetrievalError", _PROVIDER),
    ("UnknownCredentialError", _PROVIDER),
    ("ProfileNotFound", _PROFILE),
    ("InvalidConfigError", _FILES),
    ("ConfigParseError", _FILES),
    ("ConfigNotFound", _FILES),
    ("NoRegionError", _REGION),
    ("InvalidRegionError", _NO_REGION),
    ("UnknownRegionError", _NO_REGION),
    ("UnknownEndpointError", _NO_REGION),
    ("EndpointProviderError", _NO_REGION),
    ("ServiceNotInRegionError", _NO_REGION),
    ("ProxyConnectionError", _PROXY),
    ("SSLError", _CERTIFICATE),
    ("ConnectionError", _ENDPOINT),
    ("HTTPClientError", _ENDPOINT),
)
_CLASSES = tuple(
    (kind, remedy) for name, remedy in _BY_CLASS if (kind := getattr(botocore.exceptions, name, None)) is not None
)
CREDENTIAL_ERRORS = tuple(kind for kind, remedy in _CLASSES if remedy not in (_PROXY, _CERTIFICATE, _ENDPOINT))
"""What only a person can mend."""


def remedy_of(error: Exception) -> Remedy | None:
    """Return what is wrong and what to do; None for refusals of a permission, and for all that AWS itself says."""
    if not isinstance(error, botocore.exceptions.ClientError):
        return next((remedy for kind, remedy in _CLASSES if isinstance(error, kind)), None)
    code = str(error.response.get("Error", {}).get("Code", ""))
    found = _BY_CODE.get(code)
    if found is _SIGNATURE and any(words in str(error) for words in _OLD_SIGNATURE):
        return _CLOCK
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    refused = isinstance(status, int) and 400 <= status < 500 and status != 429
    return found or (_BY_OPERATION.get(error.operation_name) if refused else None)
