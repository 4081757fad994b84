"""What is measured, each figure with a reference beside it in the same run."""
