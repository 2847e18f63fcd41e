"""Whether the name of a task surely comes from its provider: then nobody has to ask whose task it is.

The former release goes on to write names without it, and reads none of it.
"""

from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.execute("ALTER TABLE attempts ADD COLUMN is_claim_authentic boolean NOT NULL DEFAULT false")
    op.execute("ALTER TABLE strays ADD COLUMN is_certain boolean NOT NULL DEFAULT false")
