"""Trial detections: a trained version tried out on new images, its predictions verified and added to the dataset."""
