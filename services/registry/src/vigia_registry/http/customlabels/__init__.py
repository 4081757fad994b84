"""Amazon Rekognition Custom Labels on the wire: AWS JSON 1.1, one path, the operation in a header."""
