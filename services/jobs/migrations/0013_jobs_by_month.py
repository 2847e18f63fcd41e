"""Jobs lie in a table for each month of their ids, so that an old month goes as a whole.

Ids begin with the moment they were made at, behind the prefix of their contract: each prefix has months of its own. Its
last partition has no end, so that there is a place for every id whatever becomes of the duty that makes new months.
The primary key is one of each partition, and an id has but one place. Nothing refers to jobs by a foreign key any more,
which would be checked row by row for a whole month: `drop_old_jobs` looks for what holds a month back.

Jobs go on being stored and moved meanwhile, by either release. The rows are copied in small commits while a trigger
copies what changes; then the tables change places, under locks that are each given up after 20 ms and tried again.
Whoever was interrupted begins again.
"""

from alembic import op

revision = "0013"
down_revision = "0012"

MOMENTS = """
CREATE OR REPLACE FUNCTION ulid_at(moment timestamptz) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT string_agg(
        substr('0123456789abcdefghjkmnpqrstvwxyz', CAST((milliseconds >> (5 * place)) & 31 AS integer) + 1, 1), ''
        ORDER BY place DESC
    )
    FROM generate_series(0, 9) AS place, CAST(extract(epoch FROM moment) * 1000 AS bigint) AS milliseconds
$$;
CREATE OR REPLACE FUNCTION moment_of(ulid text) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
    SELECT to_timestamp(CAST(sum(
        (strpos('0123456789abcdefghjkmnpqrstvwxyz', substr(ulid, place, 1)) - 1) * 32.0 ^ (10 - place)
    ) / 1000 AS double precision))
    FROM generate_series(1, 10) AS place
$$;
"""

# A bound that is missing is the beginning or the end of everything.
PARTITIONS = """
CREATE OR REPLACE FUNCTION job_partitions() RETURNS TABLE (name text, low text, high text) LANGUAGE sql STABLE AS $$
    SELECT CAST(relname AS text), substring(bounds FROM 'FROM \\(''([^'']*)''\\)'), substring(bounds FROM 'TO \\(''([^'']*)''\\)')
    FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
    CROSS JOIN LATERAL pg_get_expr(relpartbound, pg_class.oid) AS bounds
    WHERE inhparent = CAST('public.jobs' AS regclass)
$$;
"""

# Gives the last partition of a prefix an end, unless it begins later than three months from now, and makes the next.
# What lies in it stays there: its end is that of the first month that comes after all of it. Returns the new one. Of
# several who change the partitions at once, one does.
ADD = """
CREATE OR REPLACE FUNCTION add_job_partition(of_prefix text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp SET lock_timeout = '20ms' SET timezone = 'UTC' AS $$
DECLARE
    months_ahead CONSTANT integer := 3;
    last record;
    newest text;
    month timestamptz;
    bound text;
    added text;
BEGIN
    IF NOT pg_try_advisory_xact_lock(7266429) THEN
        RETURN NULL;
    END IF;
    SELECT * INTO last FROM job_partitions()
    WHERE starts_with(low, of_prefix || '_') ORDER BY low COLLATE "C" DESC LIMIT 1;
    month := moment_of(substr(last.low, length(of_prefix) + 2));
    IF last.low IS NULL OR month > date_trunc('month', now()) + make_interval(months => months_ahead) THEN
        RETURN NULL;
    END IF;
    LOCK TABLE ONLY jobs IN ACCESS EXCLUSIVE MODE;
    EXECUTE format('SELECT max(id COLLATE "C") FROM %I', last.name) INTO newest;
    FOR ahead IN 1 .. 1200 LOOP
        bound := of_prefix || '_' || ulid_at(month + make_interval(months => ahead));
        EXIT WHEN newest IS NULL OR newest < bound COLLATE "C";
    END LOOP;
    added := format('jobs_%s_%s', of_prefix, to_char(moment_of(substr(bound, length(of_prefix) + 2)), 'YYYY_MM'));
    EXECUTE format('ALTER TABLE jobs DETACH PARTITION %I', last.name);
    EXECUTE format('ALTER TABLE jobs ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', last.name, last.low, bound);
    EXECUTE format(
        'CREATE TABLE %I PARTITION OF jobs (PRIMARY KEY (id)) FOR VALUES FROM (%L) TO (%s) WITH (fillfactor = 85)',
        added, bound, coalesce(quote_literal(last.high), 'MAXVALUE')
    );
    RETURN added;
END $$;
"""

# What an id that is neither there nor to come stands for: a job that ended, was settled and is forgotten.
FORGOTTEN = """
CREATE TABLE IF NOT EXISTS forgotten_jobs (
    low text PRIMARY KEY,
    high text NOT NULL,
    made_before timestamptz NOT NULL,
    forgotten_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE OR REPLACE TRIGGER forgotten_jobs_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON forgotten_jobs
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
"""

# Forgets the oldest partition of a prefix in which every job was made before `kept`, and with it the refunds of its jobs;
# names those that are held back. One is while a job in it has not ended, has its content or media still, or has a refund, an event or a task at
# a provider that is not through. Nothing of that comes back once it is gone, except for refunds: so all is looked at
# again when nobody can change the jobs any more. What is before the first month stays as an empty table.
HOLDS = """
CREATE OR REPLACE FUNCTION jobs_held_back_by(partition text, low text, high text) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
    held_by text;
BEGIN
    EXECUTE format($check$
        SELECT CASE
            WHEN EXISTS (SELECT FROM %1$I WHERE status IN ('pending', 'processing')) THEN 'unfinished jobs'
            WHEN EXISTS (SELECT FROM refunds WHERE applied_at IS NULL AND %2$s) THEN 'refunds that are not made'
            WHEN EXISTS (SELECT FROM outbox WHERE %2$s) THEN 'events that are not handed over'
            WHEN EXISTS (SELECT FROM strays WHERE outcome IS NULL AND %2$s) THEN 'tasks at providers'
            WHEN EXISTS (SELECT FROM %1$I WHERE ended_at IS NOT NULL AND content_deleted_at IS NULL) THEN 'content'
            WHEN EXISTS (
                SELECT FROM %1$I WHERE ended_at IS NOT NULL AND video_url IS NOT NULL AND media_deleted_at IS NULL
            ) THEN 'media'
        END
    $check$, partition, format('job_id COLLATE "C" >= %L AND job_id COLLATE "C" < %L', low, high)) INTO held_by;
    RETURN held_by;
END $$;
"""

DROP = """
CREATE OR REPLACE FUNCTION drop_old_jobs(of_prefix text, kept interval)
RETURNS TABLE (forgotten text, held_by text, behind_seconds double precision)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp SET lock_timeout = '20ms' SET timezone = 'UTC' AS $$
DECLARE
    oldest record;
    is_empty boolean;
    made_before timestamptz;
BEGIN
    IF kept < interval '30 days' THEN
        RAISE EXCEPTION 'jobs are kept for 30 days at least';
    END IF;
    IF NOT pg_try_advisory_xact_lock(7266429) THEN
        RETURN;
    END IF;
    FOR oldest IN
        SELECT name, coalesce(low, '') AS low, high, starts_with(low, of_prefix || '_') IS NOT TRUE AS is_first
        FROM job_partitions() WHERE starts_with(high, of_prefix || '_') ORDER BY high COLLATE "C"
    LOOP
        made_before := moment_of(substr(oldest.high, length(of_prefix) + 2));
        EXIT WHEN made_before > now() - kept;
        EXECUTE format('SELECT NOT EXISTS (SELECT FROM %I)', oldest.name) INTO is_empty;
        CONTINUE WHEN oldest.is_first AND is_empty;
        behind_seconds := extract(epoch FROM now() - kept - made_before);
        held_by := jobs_held_back_by(oldest.name, oldest.low, oldest.high);
        IF held_by IS NOT NULL THEN
            RETURN NEXT;
            CONTINUE;
        END IF;
        EXECUTE format('LOCK TABLE ONLY jobs, ONLY %I IN ACCESS EXCLUSIVE MODE', oldest.name);
        held_by := jobs_held_back_by(oldest.name, oldest.low, oldest.high);
        IF held_by IS NULL THEN
            INSERT INTO forgotten_jobs (low, high, made_before) VALUES (oldest.low, oldest.high, made_before)
            ON CONFLICT DO NOTHING;
            DELETE FROM refunds WHERE job_id >= oldest.low AND job_id < oldest.high
                AND job_id COLLATE "C" >= oldest.low AND job_id COLLATE "C" < oldest.high;
            INSERT INTO audit (actor, action, subject_id, reason, details)
            VALUES ('jobs', 'jobs.forget', oldest.name, 'older than jobs are kept',
                jsonb_build_object('low', oldest.low, 'high', oldest.high));
            EXECUTE format(CASE WHEN oldest.is_first THEN 'TRUNCATE %I' ELSE 'DROP TABLE %I' END, oldest.name);
            forgotten := oldest.name;
        END IF;
        RETURN NEXT;
        RETURN;
    END LOOP;
END $$;
"""

RIGHTS = """
REVOKE EXECUTE ON FUNCTION add_job_partition(text), drop_old_jobs(text, interval) FROM PUBLIC;
"""

# What changes while the rows are copied. A copy of the row may be there already: then the change is later.
MIRROR = """
CREATE OR REPLACE FUNCTION copy_job() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO jobs_by_month VALUES (NEW.*) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        DELETE FROM jobs_by_month WHERE id = NEW.id AND id COLLATE "C" = NEW.id;
        INSERT INTO jobs_by_month VALUES (NEW.*);
    END IF;
    RETURN NULL;
END $$
"""

# With its indexes, and a partition for each month there are jobs of, and for those to come.
MAKE = """
DO $make$
DECLARE
    index record;
    kind record;
    month timestamptz;
    low text;
    high text;
    name text;
BEGIN
    PERFORM set_config('timezone', 'UTC', true);
    CREATE TABLE jobs_by_month (LIKE jobs INCLUDING DEFAULTS INCLUDING CONSTRAINTS) PARTITION BY RANGE (id COLLATE "C");
    FOR index IN SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'jobs' AND indexname <> 'jobs_pkey' LOOP
        EXECUTE replace(replace(index.indexdef, ' ' || index.indexname || ' ', ' by_month_' || index.indexname || ' '),
            '.jobs ', '.jobs_by_month ');
    END LOOP;
    FOR kind IN SELECT * FROM (VALUES ('job', 'MINVALUE', quote_literal('k')), ('vid', quote_literal('k'), 'MAXVALUE'))
        AS kinds (prefix, first, last)
    LOOP
        low := kind.first;
        name := 'first';
        FOR month IN SELECT generate_series(
            greatest(
                date_trunc('month', (SELECT coalesce(min(created_at), now()) FROM jobs WHERE starts_with(id, kind.prefix || '_'))),
                date_trunc('month', now()) - interval '36 months'
            ),
            date_trunc('month', now()) + interval '4 months', interval '1 month'
        ) LOOP
            high := quote_literal(kind.prefix || '_' || ulid_at(month));
            EXECUTE format('CREATE TABLE %I PARTITION OF jobs_by_month (PRIMARY KEY (id)) FOR VALUES FROM (%s) TO (%s)'
                ' WITH (fillfactor = 85)', format('jobs_%s_%s', kind.prefix, name), low, high);
            low := high;
            name := to_char(month, 'YYYY_MM');
        END LOOP;
        EXECUTE format('CREATE TABLE %I PARTITION OF jobs_by_month (PRIMARY KEY (id)) FOR VALUES FROM (%s) TO (%s)'
            ' WITH (fillfactor = 85)', format('jobs_%s_%s', kind.prefix, name), low, kind.last);
    END LOOP;
END $make$
"""

COPY = """
DO $copy$
DECLARE
    last_id text := '';
BEGIN
    WHILE last_id IS NOT NULL LOOP
        WITH page AS MATERIALIZED (
            SELECT * FROM jobs WHERE id > last_id ORDER BY id LIMIT 500
        ), copied AS (
            INSERT INTO jobs_by_month SELECT * FROM page ON CONFLICT DO NOTHING
        )
        SELECT max(id) INTO last_id FROM page;
        COMMIT;
    END LOOP;
END $copy$
"""

# One statement sees both tables at one moment, and a change is in both or in neither.
COMPARE = """
DO $compare$
BEGIN
    IF EXISTS (
        SELECT FROM jobs FULL JOIN jobs_by_month ON jobs_by_month.id = jobs.id
        WHERE CAST(jobs AS text) IS DISTINCT FROM CAST(jobs_by_month AS text)
    ) THEN
        RAISE EXCEPTION 'jobs were not copied as they are; nothing was changed';
    END IF;
END $compare$
"""

# Locks in the order in which the statements of running processes do. The processes may at once do with the new table
# what they could with the old one.
SWAP = """
    LOCK TABLE work, attempts, jobs, jobs_by_month, refunds IN ACCESS EXCLUSIVE MODE;
    ALTER TABLE work DROP CONSTRAINT work_job_id_fkey;
    ALTER TABLE attempts DROP CONSTRAINT attempts_job_id_fkey;
    ALTER TABLE refunds DROP CONSTRAINT refunds_job_id_fkey;
    FOR given IN
        SELECT grantee, string_agg(privilege_type, ', ') AS privileges
        FROM pg_class CROSS JOIN LATERAL aclexplode(relacl)
        WHERE oid = CAST('jobs' AS regclass) AND grantee <> relowner GROUP BY grantee
    LOOP
        EXECUTE format('GRANT %s ON jobs_by_month TO %s', given.privileges,
            CASE given.grantee WHEN 0 THEN 'PUBLIC' ELSE CAST(CAST(given.grantee AS regrole) AS text) END);
    END LOOP;
    ALTER TABLE jobs RENAME TO jobs_of_before;
    ALTER TABLE jobs_by_month RENAME TO jobs;
"""

RENAME_INDEXES = """
    FOR given IN SELECT indexname FROM pg_indexes WHERE starts_with(indexname, 'by_month_jobs') LOOP
        EXECUTE format('ALTER INDEX %I RENAME TO %I', given.indexname, substr(given.indexname, 10));
    END LOOP;
"""


def when_free(change: str) -> str:
    """Returns a block that makes a change as soon as its locks are free, and waits for none of them for long."""
    return f"""
    DO $when_free$
    DECLARE
        given record;
    BEGIN
        FOR try IN 1 .. 300 LOOP
            BEGIN
                PERFORM set_config('lock_timeout', '20ms', true);
                {change}
                EXIT;
            EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
                IF try = 300 THEN
                    RAISE;
                END IF;
            END;
            COMMIT;
            PERFORM pg_sleep(0.1);
        END LOOP;
    END $when_free$
    """


def if_undivided(block: str) -> str:
    """Returns a block that does nothing where another run has got as far as the change of places."""
    return block.replace(
        "BEGIN\n",
        "BEGIN\n    IF (SELECT relkind FROM pg_class WHERE oid = CAST('public.jobs' AS regclass)) = 'p' THEN RETURN; END IF;\n",
        1,
    )


def upgrade() -> None:
    op.execute(MOMENTS)
    with op.get_context().autocommit_block():
        for block in (
            when_free("DROP FUNCTION IF EXISTS copy_job() CASCADE; DROP TABLE IF EXISTS jobs_by_month;"),
            MAKE,
        ):
            op.execute(if_undivided(block))
        op.execute(MIRROR)
        for block in (
            when_free(
                "CREATE TRIGGER jobs_copy AFTER INSERT OR UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION copy_job();"
            ),
            COPY,
            "DO $analyze$\nBEGIN\n    ANALYZE jobs_by_month;\nEND $analyze$",
            COMPARE,
            when_free(SWAP),
        ):
            op.execute(if_undivided(block))
        op.execute(when_free("DROP TABLE IF EXISTS jobs_of_before; DROP FUNCTION IF EXISTS copy_job();"))
        op.execute(when_free(RENAME_INDEXES))
    for part in (PARTITIONS, FORGOTTEN, ADD, HOLDS, DROP, RIGHTS):
        op.execute(part)
