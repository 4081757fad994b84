"""DetectAnomalies, for code written for Amazon Lookout for Vision: rest-json 1.1."""
