"""Keep how good each leg was: bursts, jitter, round trip, waiting, rating, both ways.

Revision: 0004, after 0003.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_WHOLE = ("bursts", "playout_median_ms")
_REAL = (
    "remote_jitter_ms",
    "jitter_max_ms",
    "rtt_max_ms",
    "r_factor",
    "mos",
    "mos_worst",
    "remote_r_factor",
    "remote_mos",
)


def upgrade() -> None:
    """Apply the change; of legs that are there, none of this was measured."""
    with op.batch_alter_table("call_leg", schema=None) as batch_op:
        for name in _WHOLE:
            batch_op.add_column(sa.Column(name, sa.Integer(), nullable=True))
        for name in _REAL:
            batch_op.add_column(sa.Column(name, sa.Double(), nullable=True))


def downgrade() -> None:
    """Undo the change."""
    with op.batch_alter_table("call_leg", schema=None) as batch_op:
        for name in (*_WHOLE, *_REAL):
            batch_op.drop_column(name)
