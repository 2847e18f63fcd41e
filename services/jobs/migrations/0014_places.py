"""How many jobs have a place at a provider, and how many wait for one, is known without reading them.

Triggers keep count, so that the former release, which goes on to store and end jobs beside this one, is counted too.
Rows of before are counted once the triggers are there, and nothing is locked meanwhile: a row and what a trigger notes
of it are committed together, so what the triggers have not seen is the same at every moment.
Whoever was interrupted begins again.
"""

from alembic import op

revision = "0014"
down_revision = "0013"

TABLES = """
CREATE TABLE IF NOT EXISTS places (
    account_id text,
    environment text,
    key_id text,
    placed integer NOT NULL,
    waiting integer NOT NULL,
    PRIMARY KEY (account_id, environment, key_id)
) WITH (fillfactor = 50);
CREATE TABLE IF NOT EXISTS place_changes (
    account_id text,
    environment text,
    key_id text,
    change_id bigint GENERATED ALWAYS AS IDENTITY,
    placed integer NOT NULL,
    waiting integer NOT NULL,
    PRIMARY KEY (account_id, environment, key_id, change_id)
);
"""

# Called where the lock of the account and environment is held, so nobody waits for these rows.
FOLD = """
CREATE OR REPLACE FUNCTION fold_places(of_account text, of_environment text) RETURNS void LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off
AS $$
DECLARE
    folded_from CONSTANT integer := 16;
BEGIN
    IF (
        SELECT count(*) < folded_from FROM (
            SELECT FROM place_changes WHERE account_id = of_account AND environment = of_environment LIMIT folded_from
        ) AS noted
    ) THEN
        RETURN;
    END IF;
    WITH noted AS (
        DELETE FROM place_changes WHERE account_id = of_account AND environment = of_environment
        RETURNING key_id, placed, waiting
    ), summed AS (
        SELECT counted.key_id, sum(placed) AS placed, sum(waiting) AS waiting
        FROM noted CROSS JOIN LATERAL (SELECT '' UNION SELECT noted.key_id) AS counted (key_id)
        GROUP BY counted.key_id
    )
    INSERT INTO places AS known (account_id, environment, key_id, placed, waiting)
    SELECT of_account, of_environment, key_id, placed, waiting FROM summed ORDER BY key_id
    ON CONFLICT (account_id, environment, key_id) DO UPDATE SET
        placed = greatest(known.placed + excluded.placed, 0), waiting = greatest(known.waiting + excluded.waiting, 0);
END $$
"""

# Nobody's way is where a new row of place_changes is written: who gives a place back waits for no one.
STORED_OR_GONE = """
CREATE OR REPLACE FUNCTION note_places() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    owner record;
BEGIN
    INSERT INTO place_changes (account_id, environment, key_id, placed, waiting)
    SELECT account_id, environment, key_id, sign * placed, sign * waiting
    FROM (
        SELECT account_id, environment, key_id, CASE TG_OP WHEN 'DELETE' THEN -1 ELSE 1 END AS sign,
            count(admitted_at) AS placed, count(*) FILTER (WHERE admitted_at IS NULL AND state = 'pending') AS waiting
        FROM moved GROUP BY account_id, environment, key_id
    ) AS counted
    WHERE placed + waiting > 0;
    IF TG_OP = 'INSERT' THEN
        FOR owner IN SELECT DISTINCT account_id, environment FROM moved ORDER BY account_id, environment LOOP
            PERFORM fold_places(owner.account_id, owner.environment);
        END LOOP;
    END IF;
    RETURN NULL;
END $$
"""

CHANGED = """
CREATE OR REPLACE FUNCTION note_place() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    INSERT INTO place_changes (account_id, environment, key_id, placed, waiting)
    SELECT account_id, environment, key_id, sum(sign * placed), sum(sign * waiting)
    FROM (
        VALUES
            (OLD.account_id, OLD.environment, OLD.key_id, -1, OLD.admitted_at, OLD.state),
            (NEW.account_id, NEW.environment, NEW.key_id, 1, NEW.admitted_at, NEW.state)
    ) AS version (account_id, environment, key_id, sign, admitted_at, state)
    CROSS JOIN LATERAL (
        SELECT CAST(admitted_at IS NOT NULL AS integer) AS placed,
            CAST(admitted_at IS NULL AND state = 'pending' AS integer) AS waiting
    ) AS counted
    GROUP BY account_id, environment, key_id;
    IF OLD.admitted_at IS NULL AND NEW.admitted_at IS NOT NULL THEN
        PERFORM fold_places(NEW.account_id, NEW.environment);
    END IF;
    RETURN NULL;
END $$
"""

EMPTIED = """
CREATE OR REPLACE FUNCTION forget_places() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    DELETE FROM place_changes;
    DELETE FROM places;
    RETURN NULL;
END $$
"""

TRIGGERS = """
CREATE OR REPLACE TRIGGER work_stored AFTER INSERT ON work REFERENCING NEW TABLE AS moved
    FOR EACH STATEMENT EXECUTE FUNCTION note_places();
CREATE OR REPLACE TRIGGER work_gone AFTER DELETE ON work REFERENCING OLD TABLE AS moved
    FOR EACH STATEMENT EXECUTE FUNCTION note_places();
CREATE OR REPLACE TRIGGER work_changed AFTER UPDATE ON work FOR EACH ROW
    WHEN (
        (OLD.admitted_at IS NULL) <> (NEW.admitted_at IS NULL)
        OR (OLD.admitted_at IS NULL AND (OLD.state = 'pending') <> (NEW.state = 'pending'))
        OR (OLD.account_id, OLD.environment, OLD.key_id) IS DISTINCT FROM (NEW.account_id, NEW.environment, NEW.key_id)
    )
    EXECUTE FUNCTION note_place();
CREATE OR REPLACE TRIGGER work_emptied AFTER TRUNCATE ON work
    FOR EACH STATEMENT EXECUTE FUNCTION forget_places();
"""

# One statement sees the rows and what is noted of them at one moment. The difference is noted like any other change,
# so it does not matter what else is committed meanwhile; only two at once would note it twice.
MEND = """
CREATE OR REPLACE FUNCTION mend_places()
    RETURNS TABLE (of_account text, of_environment text, of_key text, placed_more bigint, waiting_more bigint)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(7266430);
    RETURN QUERY
    WITH by_key AS (
        SELECT account_id, environment, key_id, count(admitted_at) AS placed,
            count(*) FILTER (WHERE admitted_at IS NULL AND state = 'pending') AS waiting
        FROM work GROUP BY account_id, environment, key_id
        UNION ALL
        SELECT account_id, environment, key_id, -placed, -waiting FROM place_changes
    ), difference AS (
        SELECT account_id, environment, key_id, CAST(sum(placed) AS bigint) AS placed,
            CAST(sum(waiting) AS bigint) AS waiting
        FROM (
            SELECT account_id, environment, counted.key_id, placed, waiting
            FROM by_key CROSS JOIN LATERAL (SELECT '' UNION SELECT by_key.key_id) AS counted (key_id)
            UNION ALL
            SELECT account_id, environment, key_id, -placed, -waiting FROM places
        ) AS counted
        GROUP BY account_id, environment, key_id
    ), noted AS (
        INSERT INTO place_changes (account_id, environment, key_id, placed, waiting)
        SELECT * FROM (
            SELECT account_id, environment, key_id, placed, waiting FROM difference WHERE key_id <> ''
            UNION ALL
            SELECT account_id, environment, '', sum(CASE key_id WHEN '' THEN placed ELSE -placed END),
                sum(CASE key_id WHEN '' THEN waiting ELSE -waiting END)
            FROM difference GROUP BY account_id, environment
        ) AS change
        WHERE placed <> 0 OR waiting <> 0
    )
    SELECT * FROM difference WHERE placed <> 0 OR waiting <> 0
    ORDER BY account_id, environment, key_id;
END $$
"""

# Only triggers and the processes of the service count; for those the runner grants it.
RIGHTS = "REVOKE EXECUTE ON FUNCTION fold_places(text, text), mend_places() FROM PUBLIC"


def upgrade() -> None:
    for part in (TABLES, FOLD, STORED_OR_GONE, CHANGED, EMPTIED, MEND, RIGHTS, TRIGGERS):
        op.execute(part)
    with op.get_context().autocommit_block():
        op.execute("SELECT FROM mend_places()")
