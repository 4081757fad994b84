"""Long work: jobs in the same database, deferred in the transaction that needs them."""
