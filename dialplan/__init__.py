"""The dial plan: what a caller hears and can press."""
