"""What customers of Amazon Lookout for Vision still hold, into Vigia. No call to AWS but to read a bucket of theirs."""
