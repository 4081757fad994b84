"""What Vigia's services say to each other: topics, events and their payloads."""
