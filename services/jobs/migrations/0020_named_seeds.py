"""Whether the customer named the seed: then routes that take one are preferred.

The former release goes on to write jobs without it, and reads none of it.
"""

from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    op.execute("ALTER TABLE jobs ADD COLUMN names_seed boolean")
