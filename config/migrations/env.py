"""How alembic runs our migrations: on the connection, and in the transaction, that it is given."""

from alembic import context

from config.database import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    # SQLite can roll back a changed schema as well; alembic does not assume so.
    transactional_ddl=True,
    # SQLite alters a table by copying it.
    render_as_batch=True,
)
context.run_migrations()
