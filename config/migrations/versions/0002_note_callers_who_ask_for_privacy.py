"""Note callers who ask for privacy.

Revision: 0002, after 0001.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TABLES = ("call_leg", "refused_attempt")


def upgrade() -> None:
    """Apply the change; of older rows nobody knows, and nobody is taken to have asked."""
    for table in _TABLES:
        # A plain ADD COLUMN: to copy a table that others point at, SQLite would empty it first.
        op.add_column(
            table,
            sa.Column("caller_privacy", sa.Boolean(), nullable=False, server_default=sa.false()),
        )


def downgrade() -> None:
    """Take it back."""
    for table in _TABLES:
        op.drop_column(table, "caller_privacy")
