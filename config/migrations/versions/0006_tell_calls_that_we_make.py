"""Tell the calls that the bridge makes from those that come in.

Revision: 0006, after 0005.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the change; what is there came in."""
    # A plain ADD COLUMN: to copy a table that others point at, SQLite would empty it first.
    op.add_column(
        "call_leg",
        sa.Column("direction", sa.String(length=3), nullable=False, server_default="in"),
    )


def downgrade() -> None:
    """Take it back."""
    op.drop_column("call_leg", "direction")
