"""A jobs database with months of the past, and jobs in them."""

from datetime import datetime, timedelta

from psycopg import sql

from services.common.clock import utc_now
from services.common.ids import new_id
from services.common.postgres.database import Pool

# Divides what is before the first month, as a migration of many months of jobs would have.
DIVIDE = """
DO $divide$
DECLARE
    first record;
    month timestamptz;
    low text;
    high text;
BEGIN
    PERFORM set_config('timezone', 'UTC', true);
    FOR first IN SELECT found.*, left(found.high, 3) AS prefix FROM job_partitions() AS found WHERE name LIKE '%first' LOOP
        month := moment_of(substr(first.high, 5)) - make_interval(months => {months});
        low := first.prefix || '_' || ulid_at(month);
        EXECUTE format('ALTER TABLE jobs DETACH PARTITION %I', first.name);
        EXECUTE format('ALTER TABLE jobs ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%L)', first.name,
            coalesce(quote_literal(first.low), 'MINVALUE'), low);
        FOR ahead IN 1 .. {months} LOOP
            high := first.prefix || '_' || ulid_at(month + make_interval(months => ahead));
            EXECUTE format('CREATE TABLE %I PARTITION OF jobs (PRIMARY KEY (id)) FOR VALUES FROM (%L) TO (%L)',
                format('jobs_%s_%s', first.prefix, to_char(month + make_interval(months => ahead - 1), 'YYYY_MM')), low, high);
            low := high;
        END LOOP;
    END LOOP;
END $divide$
"""
SETTLED = """
    INSERT INTO jobs (id, account_id, environment, contract, status, model, input, price_version, micros_per_second,
        reserved_micros, charged_micros, created_at, ended_at, content_deleted_at, video_url, thumbnail_url,
        output_seconds, media_deleted_at)
    VALUES (%(id)s, 'acct_1', 'live', 'seedancee2', 'completed', 'mini',
        '{"prompt":"","duration_seconds":5,"resolution":"720p","aspect_ratio":"16:9","generate_audio":false,'
            '"watermark":false,"return_last_frame":false,"seed":7}',
        '1', 10, 50, 50, %(moment)s, %(moment)s, now(), 'https://media.example/v', 'https://media.example/p', 5, now())
"""


async def divide(pool: Pool, *, months: int) -> None:
    """Gives each of so many months before this one a partition of its own."""
    async with pool.connection() as connection:
        await connection.execute(DIVIDE.format(months=months).encode())


async def settled_job(pool: Pool, *, days_ago: int, prefix: str = "vid") -> str:
    """Stores a job that ended so long ago, of which nothing is kept but its row. Returns the id."""
    moment = utc_now() - timedelta(days=days_ago)
    job_id = new_id(prefix, moment)
    await store_settled(pool, job_id, moment)
    return job_id


async def store_settled(pool: Pool, job_id: str, moment: datetime) -> None:
    async with pool.connection() as connection:
        await connection.execute(SETTLED.encode(), {"id": job_id, "moment": moment})


async def partitions(pool: Pool) -> set[str]:
    """Returns the names of the partitions of jobs."""
    async with pool.connection() as connection:
        rows = await (await connection.execute("SELECT name FROM job_partitions()")).fetchall()
    return {row["name"] for row in rows}


async def place_of(pool: Pool, job_id: str) -> str | None:
    """Returns the partition that a job lies in."""
    async with pool.connection() as connection:
        cursor = await connection.execute(
            "SELECT CAST(CAST(tableoid AS regclass) AS text) AS place FROM jobs WHERE id = %s", (job_id,)
        )
        row = await cursor.fetchone()
    return None if row is None else row["place"]


async def run(pool: Pool, statement: str) -> None:
    async with pool.connection() as connection:
        await connection.execute(sql.SQL(statement))
