"""What all tables of the jobs database share."""

from sqlalchemy import DateTime, MetaData

metadata = MetaData()
Moment = DateTime(timezone=True)
