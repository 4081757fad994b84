"""Where the boto3 service model of Lookout for Vision lies.

AWS withdrew the service and newer botocore no longer carries its model. With `AWS_DATA_PATH` set to
`data_path()`, every boto3 and AWS CLI knows the 22 operations again.
"""

from pathlib import Path

API_VERSION = "2020-11-20"


def data_path() -> Path:
    """The folder to put into `AWS_DATA_PATH`."""
    return Path(__file__).parent / "data"
