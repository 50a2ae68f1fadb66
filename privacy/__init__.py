"""Privacy: what is held about people, why and for how long."""
