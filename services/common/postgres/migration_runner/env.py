"""What Alembic runs around migrations: the connection comes from services.common.postgres.migrate."""

from alembic import context

attributes = context.config.attributes
context.configure(
    connection=attributes["connection"],
    transaction_per_migration=True,
    on_version_apply=attributes.get("applied"),
)
with context.begin_transaction():
    context.run_migrations()
