"""Model versions: trained from a snapshot of the datasets, hosted on demand."""
