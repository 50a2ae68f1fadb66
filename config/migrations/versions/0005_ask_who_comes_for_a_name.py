"""Ask who comes for a name, or for a host's word; keep places for hosts.

Revision: 0005, after 0004.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the change; conferences that are there ask for nothing and keep no places."""
    with op.batch_alter_table("conference", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("names", sa.String(length=16), server_default="none", nullable=False)
        )
        batch_op.add_column(
            sa.Column("waiting_room", sa.Boolean(), server_default=sa.false(), nullable=False)
        )
        batch_op.add_column(
            sa.Column("host_places", sa.Integer(), server_default="0", nullable=False)
        )


def downgrade() -> None:
    """Undo the change."""
    with op.batch_alter_table("conference", schema=None) as batch_op:
        for name in ("names", "waiting_room", "host_places"):
            batch_op.drop_column(name)
