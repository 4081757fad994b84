"""How a Vigia service lives: settings, logs, metrics, health, lifecycle, Kafka, Postgres, objects, sign-in."""
