"""The parts of CloudWatch and CloudTrail that clients of Lookout for Vision use."""
