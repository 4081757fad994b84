"""The parts of CloudWatch and CloudTrail that clients of Lookout for Vision and of Custom Labels use."""
