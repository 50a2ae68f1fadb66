"""Let the calls of a trunk share media ports.

Revision: 0003, after 0002.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the change; trunks that are there keep a pair of ports for each leg."""
    with op.batch_alter_table("trunk", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("media", sa.String(length=8), server_default="own", nullable=False)
        )


def downgrade() -> None:
    """Undo the change."""
    with op.batch_alter_table("trunk", schema=None) as batch_op:
        batch_op.drop_column("media")
