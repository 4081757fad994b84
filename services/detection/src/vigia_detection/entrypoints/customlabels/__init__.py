"""DetectCustomLabels, for code written for Amazon Rekognition Custom Labels: AWS JSON 1.1."""
