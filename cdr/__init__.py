"""Call detail records: what happened."""
