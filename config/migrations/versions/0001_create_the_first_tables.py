"""Create the tables of configuration, people and records.

Revision: 0001, after None.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the change."""
    op.create_table(
        "account",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account")),
        sa.UniqueConstraint("name", name=op.f("uq_account_name")),
    )
    op.create_table(
        "bridge_run",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("heartbeat_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("stopped_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("crashed", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bridge_run")),
    )
    op.create_table(
        "subject",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("number_hash", sa.LargeBinary(), nullable=True),
        sa.Column("number_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subject")),
        sa.UniqueConstraint("number_hash", name=op.f("uq_subject_number_hash")),
    )
    op.create_table(
        "trunk",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("addresses", sa.JSON(), nullable=False),
        sa.Column("digest_realm", sa.String(length=80), nullable=True),
        sa.Column("digest_user", sa.String(length=80), nullable=True),
        sa.Column("digest_ha1_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("register_server", sa.String(length=255), nullable=True),
        sa.Column("register_user", sa.String(length=80), nullable=True),
        sa.Column("register_password_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("register_expires_s", sa.Integer(), nullable=False),
        sa.Column("register_transport", sa.String(length=8), nullable=False),
        sa.Column("asserts_identity", sa.Boolean(), nullable=False),
        sa.Column("call_limit", sa.Integer(), nullable=True),
        sa.Column("refuse_status", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trunk")),
        sa.UniqueConstraint("name", name=op.f("uq_trunk_name")),
    )
    op.create_table(
        "conference",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("capacity", sa.Integer(), nullable=False),
        sa.Column("start_rule", sa.String(length=16), nullable=False),
        sa.Column("end_rule", sa.String(length=16), nullable=False),
        sa.Column("grace_s", sa.Integer(), nullable=False),
        sa.Column("max_minutes", sa.Integer(), nullable=True),
        sa.Column("wait_minutes", sa.Integer(), nullable=False),
        sa.Column("opens_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closes_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("time_zone", sa.String(length=64), nullable=False),
        sa.Column("host_early_minutes", sa.Integer(), nullable=False),
        sa.Column("guest_early_minutes", sa.Integer(), nullable=False),
        sa.Column("chimes", sa.Boolean(), nullable=False),
        sa.Column("pinless", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_conference_account_id_account")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_conference")),
    )
    with op.batch_alter_table("conference", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_conference_account_id"), ["account_id"], unique=False)

    op.create_table(
        "conference_session",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("conference_id", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("end_reason", sa.String(length=40), nullable=True),
        sa.Column("peak_legs", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["run_id"], ["bridge_run.id"], name=op.f("fk_conference_session_run_id_bridge_run")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_conference_session")),
    )
    with op.batch_alter_table("conference_session", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_conference_session_conference_id"), ["conference_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_conference_session_started_at"), ["started_at"], unique=False
        )

    op.create_table(
        "call_leg",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=True),
        sa.Column("subject_id", sa.Uuid(), nullable=True),
        sa.Column("call_pseudonym", sa.String(length=32), nullable=True),
        sa.Column("dialled_number", sa.String(length=32), nullable=True),
        sa.Column("trunk", sa.String(length=32), nullable=True),
        sa.Column("transport", sa.String(length=8), nullable=False),
        sa.Column("caller_asserted", sa.Boolean(), nullable=False),
        sa.Column("caller_country", sa.String(length=2), nullable=True),
        sa.Column("caller_kind", sa.String(length=16), nullable=True),
        sa.Column("role", sa.String(length=8), nullable=True),
        sa.Column("invited_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("admitted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("hung_up_by", sa.String(length=8), nullable=True),
        sa.Column("cause", sa.String(length=40), nullable=True),
        sa.Column("sip_status", sa.Integer(), nullable=True),
        sa.Column("q850", sa.Integer(), nullable=True),
        sa.Column("codec", sa.String(length=8), nullable=True),
        sa.Column("dtmf_method", sa.String(length=8), nullable=True),
        sa.Column("packets_rx", sa.Integer(), nullable=True),
        sa.Column("packets_tx", sa.Integer(), nullable=True),
        sa.Column("lost", sa.Integer(), nullable=True),
        sa.Column("late", sa.Integer(), nullable=True),
        sa.Column("remote_lost", sa.Integer(), nullable=True),
        sa.Column("concealed_frames", sa.Integer(), nullable=True),
        sa.Column("jitter_ms", sa.Double(), nullable=True),
        sa.Column("rtt_ms", sa.Double(), nullable=True),
        sa.Column("talk_ms", sa.Integer(), nullable=True),
        sa.Column("playout_ms", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["run_id"], ["bridge_run.id"], name=op.f("fk_call_leg_run_id_bridge_run")
        ),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["conference_session.id"],
            name=op.f("fk_call_leg_session_id_conference_session"),
        ),
        sa.ForeignKeyConstraint(
            ["subject_id"], ["subject.id"], name=op.f("fk_call_leg_subject_id_subject")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_call_leg")),
    )
    with op.batch_alter_table("call_leg", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_call_leg_answered_at"), ["answered_at"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_call_leg_call_pseudonym"), ["call_pseudonym"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_call_leg_run_id_ended_at"), ["run_id", "ended_at"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_call_leg_session_id"), ["session_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_call_leg_subject_id"), ["subject_id"], unique=False)

    op.create_table(
        "number",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("number", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("country", sa.String(length=2), nullable=False),
        sa.Column("language", sa.String(length=8), nullable=False),
        sa.Column("greeting", sa.String(length=40), nullable=True),
        sa.Column("conference_id", sa.Integer(), nullable=True),
        sa.Column("call_limit", sa.Integer(), nullable=True),
        sa.Column("refuses_anonymous", sa.Boolean(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["conference_id"], ["conference.id"], name=op.f("fk_number_conference_id_conference")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_number")),
        sa.UniqueConstraint("number", name=op.f("uq_number_number")),
    )
    with op.batch_alter_table("number", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_number_conference_id"), ["conference_id"], unique=False
        )

    op.create_table(
        "pin",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("conference_id", sa.Integer(), nullable=False),
        sa.Column("role", sa.String(length=8), nullable=False),
        sa.Column("pin_hash", sa.LargeBinary(), nullable=False),
        sa.Column("pin_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("length", sa.Integer(), nullable=False),
        sa.Column("holder_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("single_use", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["conference_id"], ["conference.id"], name=op.f("fk_pin_conference_id_conference")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pin")),
        sa.UniqueConstraint("pin_hash", name=op.f("uq_pin_pin_hash")),
    )
    with op.batch_alter_table("pin", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_pin_conference_id"), ["conference_id"], unique=False)

    op.create_table(
        "refused_attempt",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.String(length=40), nullable=False),
        sa.Column("sip_status", sa.Integer(), nullable=True),
        sa.Column("leg_id", sa.Uuid(), nullable=True),
        sa.Column("conference_id", sa.Integer(), nullable=True),
        sa.Column("trunk", sa.String(length=32), nullable=True),
        sa.Column("transport", sa.String(length=8), nullable=False),
        sa.Column("dialled_number", sa.String(length=32), nullable=True),
        sa.Column("dialled_subject_id", sa.Uuid(), nullable=True),
        sa.Column("subject_id", sa.Uuid(), nullable=True),
        sa.Column("caller_asserted", sa.Boolean(), nullable=False),
        sa.Column("caller_country", sa.String(length=2), nullable=True),
        sa.Column("caller_kind", sa.String(length=16), nullable=True),
        sa.ForeignKeyConstraint(
            ["dialled_subject_id"],
            ["subject.id"],
            name=op.f("fk_refused_attempt_dialled_subject_id_subject"),
        ),
        sa.ForeignKeyConstraint(
            ["leg_id"], ["call_leg.id"], name=op.f("fk_refused_attempt_leg_id_call_leg")
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["bridge_run.id"], name=op.f("fk_refused_attempt_run_id_bridge_run")
        ),
        sa.ForeignKeyConstraint(
            ["subject_id"], ["subject.id"], name=op.f("fk_refused_attempt_subject_id_subject")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refused_attempt")),
    )
    with op.batch_alter_table("refused_attempt", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_refused_attempt_at"), ["at"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_refused_attempt_dialled_subject_id"),
            ["dialled_subject_id"],
            unique=False,
        )
        batch_op.create_index(batch_op.f("ix_refused_attempt_leg_id"), ["leg_id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_refused_attempt_subject_id"), ["subject_id"], unique=False
        )


def downgrade() -> None:
    """Take it back."""
    with op.batch_alter_table("refused_attempt", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_refused_attempt_subject_id"))
        batch_op.drop_index(batch_op.f("ix_refused_attempt_leg_id"))
        batch_op.drop_index(batch_op.f("ix_refused_attempt_dialled_subject_id"))
        batch_op.drop_index(batch_op.f("ix_refused_attempt_at"))

    op.drop_table("refused_attempt")
    with op.batch_alter_table("pin", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_pin_conference_id"))

    op.drop_table("pin")
    with op.batch_alter_table("number", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_number_conference_id"))

    op.drop_table("number")
    with op.batch_alter_table("call_leg", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_call_leg_subject_id"))
        batch_op.drop_index(batch_op.f("ix_call_leg_session_id"))
        batch_op.drop_index(batch_op.f("ix_call_leg_run_id_ended_at"))
        batch_op.drop_index(batch_op.f("ix_call_leg_call_pseudonym"))
        batch_op.drop_index(batch_op.f("ix_call_leg_answered_at"))

    op.drop_table("call_leg")
    with op.batch_alter_table("conference_session", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_conference_session_started_at"))
        batch_op.drop_index(batch_op.f("ix_conference_session_conference_id"))

    op.drop_table("conference_session")
    with op.batch_alter_table("conference", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_conference_account_id"))

    op.drop_table("conference")
    op.drop_table("trunk")
    op.drop_table("subject")
    op.drop_table("bridge_run")
    op.drop_table("account")
