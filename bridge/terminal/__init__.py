"""`dialin live`: the running conferences on a terminal, and keys to steer them."""
