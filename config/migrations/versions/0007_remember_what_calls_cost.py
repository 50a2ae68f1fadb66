"""Remember for a day what the calls that the bridge made have cost.

Revision: 0007, after 0006.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the change; nothing is known of calls from before."""
    op.create_table(
        "outgoing_cost",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("conference_id", sa.Integer(), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("per_minute", sa.Double(), nullable=False),
        sa.Column("set_aside", sa.Double(), nullable=False),
        sa.Column("spent", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outgoing_cost")),
    )
    op.create_index(op.f("ix_outgoing_cost_began_at"), "outgoing_cost", ["began_at"])


def downgrade() -> None:
    """Take it back."""
    op.drop_index(op.f("ix_outgoing_cost_began_at"), table_name="outgoing_cost")
    op.drop_table("outgoing_cost")
