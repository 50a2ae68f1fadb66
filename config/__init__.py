"""Settings, database, migrations, logging and the door that administrators come through."""
