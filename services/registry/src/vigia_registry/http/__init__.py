"""The doors: each folder translates one protocol to the core and holds no rules."""
