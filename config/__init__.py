"""Configuration: settings, database, migrations and logging."""
