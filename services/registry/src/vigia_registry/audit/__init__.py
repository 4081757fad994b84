"""Every call becomes an audit event, announced through the outbox."""
