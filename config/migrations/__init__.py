"""Migrations: small, and named for the change."""
