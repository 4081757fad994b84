"""The policies that come with the product: AWS's for Lookout for Vision, Custom Labels and S3, and roles of people."""

from __future__ import annotations

from typing import Any, Final

from vigia_registry.identity.domain import Policy
from vigia_runtime.policies import canonical

#: Allows everything, and is what the first user of every account has.
ADMINISTRATOR: Final = "AdministratorAccess"

_READS: Final = (
    "DescribeDataset",
    "DescribeModel",
    "DescribeProject",
    "DescribeModelPackagingJob",
    "ListDatasetEntries",
    "ListModels",
    "ListProjects",
    "ListTagsForResource",
    "ListModelPackagingJobs",
)
#: Of Rekognition, as far as Custom Labels goes.
_LABEL_READS: Final = (
    "DescribeProjects",
    "DescribeProjectVersions",
    "DetectCustomLabels",
    "ListTagsForResource",
    "ListDatasetEntries",
    "ListDatasetLabels",
    "DescribeDataset",
    "ListProjectPolicies",
)
_LABEL_WRITES: Final = (
    "CopyProjectVersion",
    "CreateProject",
    "CreateProjectVersion",
    "StartProjectVersion",
    "StopProjectVersion",
    "DeleteProject",
    "DeleteProjectVersion",
    "TagResource",
    "UntagResource",
    "CreateDataset",
    "UpdateDatasetEntries",
    "DistributeDatasetEntries",
    "DeleteDataset",
    "PutProjectPolicy",
    "DeleteProjectPolicy",
)
_TRIAL_READS: Final = ("DescribeTrialDetection", "ListTrialDetections")
#: How the names of actions on anything but identities begin.
_VERBS: Final = ("Read", "Change", "Put", "Review", "Create", "Delete", "Start", "Stop", "Run")
_METRICS: Final = ("GetMetricData", "GetMetricStatistics")
_CONSOLE_BUCKETS: Final = "arn:aws:s3:::lookoutvision-*"


def _actions(service: str, *names: str) -> list[str]:
    return [f"{service}:{name}" for name in names]


def _statement(sid: str, actions: list[str], resource: str = "*") -> dict[str, Any]:
    return {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resource}


_SEARCH: Final = _statement("LookoutVisionConsoleS3BucketSearchAccess", _actions("s3", "ListAllMyBuckets"))
_DASHBOARD: Final = _statement("LookoutVisionConsoleDashboardAccess", _actions("cloudwatch", *_METRICS))
_FULL: Final = _statement("LookoutVisionFullAccess", ["lookoutvision:*"])

_DOCUMENTS: Final[dict[str, tuple[str, list[dict[str, Any]]]]] = {
    "AmazonLookoutVisionReadOnlyAccess": (
        "Every operation of Lookout for Vision that only reads.",
        [_statement("LookoutVisionReadOnlyAccess", _actions("lookoutvision", *_READS))],
    ),
    "AmazonLookoutVisionFullAccess": ("Every operation of Lookout for Vision.", [_FULL]),
    "AmazonLookoutVisionConsoleFullAccess": (
        "Every operation of Lookout for Vision, and what its console needs.",
        [
            _FULL,
            _SEARCH,
            _statement(
                "LookoutVisionConsoleS3BucketFirstUseSetupAccess",
                _actions(
                    "s3",
                    "CreateBucket",
                    "PutBucketVersioning",
                    "PutLifecycleConfiguration",
                    "PutEncryptionConfiguration",
                    "PutBucketPublicAccessBlock",
                ),
                _CONSOLE_BUCKETS,
            ),
            _statement(
                "LookoutVisionConsoleS3BucketAccess",
                _actions("s3", "ListBucket", "GetBucketLocation", "GetBucketAcl", "GetBucketVersioning"),
                _CONSOLE_BUCKETS,
            ),
            _statement(
                "LookoutVisionConsoleS3ObjectAccess",
                _actions(
                    "s3",
                    "GetObject",
                    "GetObjectVersion",
                    "PutObject",
                    "AbortMultipartUpload",
                    "ListMultipartUploadParts",
                ),
                f"{_CONSOLE_BUCKETS}/*",
            ),
            _statement(
                "LookoutVisionConsoleDatasetLabelingToolsAccess",
                _actions(
                    "groundtruthlabeling",
                    "RunGenerateManifestByCrawlingJob",
                    "AssociatePatchToManifestJob",
                    "DescribeConsoleJob",
                ),
            ),
            _DASHBOARD,
            _statement("LookoutVisionConsoleTagSelectorAccess", _actions("tag", "GetTagKeys", "GetTagValues")),
            _statement("LookoutVisionConsoleKmsKeySelectorAccess", _actions("kms", "ListAliases")),
        ],
    ),
    "AmazonLookoutVisionConsoleReadOnlyAccess": (
        "What Lookout for Vision and its console only read.",
        [
            _statement("LookoutVisionReadOnlyAccess", _actions("lookoutvision", *_READS, *_TRIAL_READS)),
            _SEARCH,
            _statement(
                "LookoutVisionConsoleS3ObjectReadAccess",
                _actions("s3", "GetObject", "GetObjectVersion"),
                f"{_CONSOLE_BUCKETS}/*",
            ),
            _DASHBOARD,
        ],
    ),
    "AmazonRekognitionFullAccess": (
        "Every operation of Rekognition, of which Custom Labels is here.",
        [_statement("RekognitionFullAccess", ["rekognition:*"])],
    ),
    "AmazonRekognitionReadOnlyAccess": (
        "Every operation of Custom Labels that only reads, and detection.",
        [_statement("AmazonRekognitionReadOnlyAccess", _actions("rekognition", *_LABEL_READS))],
    ),
    "AmazonRekognitionCustomLabelsFullAccess": (
        "Every operation of Custom Labels, and the buckets that its console makes.",
        [
            _statement(
                "CustomLabelsBucketAccess",
                _actions(
                    "s3",
                    "ListBucket",
                    "ListAllMyBuckets",
                    "GetBucketAcl",
                    "GetBucketLocation",
                    "GetObject",
                    "GetObjectAcl",
                    "GetObjectTagging",
                    "GetObjectVersion",
                    "PutObject",
                ),
                "arn:aws:s3:::*custom-labels*",
            ),
            _statement("CustomLabelsFullAccess", _actions("rekognition", *_LABEL_READS, *_LABEL_WRITES)),
        ],
    ),
    "AmazonS3FullAccess": (
        "Every operation of S3.",
        [_statement("S3FullAccess", ["s3:*", "s3-object-lambda:*"])],
    ),
    "AmazonS3ReadOnlyAccess": (
        "Every operation of S3 that only reads.",
        [
            _statement(
                "S3ReadOnlyAccess",
                [
                    *_actions("s3", "Get*", "List*", "Describe*"),
                    *_actions("s3-object-lambda", "Get*", "List*"),
                ],
            )
        ],
    ),
    ADMINISTRATOR: ("Everything.", [_statement("Everything", ["*"])]),
    "operator": (
        "Vigia: sees everything, sets up lines and cameras, sends frames.",
        [_statement("Operator", _actions("vigia", "Read*", "PutFrame", "ChangeCameras"))],
    ),
    "reviewer": (
        "Vigia: sees everything, confirms and corrects what models decided.",
        [_statement("Reviewer", _actions("vigia", "Read*", "Review*"))],
    ),
    "engineer": (
        "Vigia: everything but users, keys, roles and policies.",
        [_statement("Engineer", _actions("vigia", *(f"{verb}*" for verb in _VERBS)))],
    ),
    "admin": ("Vigia: everything, users, keys, roles and policies too.", [_statement("Admin", ["vigia:*"])]),
}

#: By name.
MANAGED: Final[dict[str, Policy]] = {
    name: Policy(
        account_id="aws",
        name=name,
        description=description,
        document=canonical({"Version": "2012-10-17", "Statement": statements}),
        created_at=None,
        updated_at=None,
        managed=True,
    )
    for name, (description, statements) in sorted(_DOCUMENTS.items())
}
