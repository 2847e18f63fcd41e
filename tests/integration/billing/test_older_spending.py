"""What becomes of limits and counters that a release before left behind."""

import psycopg

from services.common.postgres.migrate import migrate
from services.devstack.postgres import Cluster
from tests.conftest import cluster
from tests.integration.billing.test_old_holds import migrate_to

BEFORE = """
INSERT INTO accounts (account_id, name, contract) VALUES ('a', 'A', 'seedancee2'), ('b', 'B', 'nextapi');
INSERT INTO balances (account_id, environment)
    SELECT account_id, environment FROM accounts, (VALUES ('live'), ('test')) AS _ (environment);
INSERT INTO spending (subject_id, account_id, environment) SELECT account_id, account_id, environment FROM balances;
INSERT INTO spending (subject_id, account_id, environment) VALUES ('key_1', 'a', 'test');
INSERT INTO accounts (account_id, name, contract) VALUES ('c', 'C', 'nextapi');
INSERT INTO balances (account_id, environment) VALUES ('c', 'test');
INSERT INTO spending (subject_id, account_id, environment, per_day_micros) VALUES ('c', 'c', 'test', 0);
"""
LIMITS = "SELECT subject_id, environment, per_day_micros FROM spending ORDER BY subject_id, environment"


def _upgraded(server: Cluster, name: str) -> str:
    server.ensure_database(name)
    url = server.url(name)
    migrate_to(url, "0008")
    with psycopg.connect(url) as connection:
        connection.execute(BEFORE.encode())
    migrate(url, service="billing")
    return url


def test_accounts_get_a_limit_of_a_test_day_unless_they_have_one(postgres_port: int) -> None:
    url = _upgraded(cluster(postgres_port), "billing_before_test_days")

    with psycopg.connect(url) as connection:
        limits = connection.execute(LIMITS).fetchall()

    assert limits == [
        ("a", "live", None),
        ("a", "test", 100_000_000_000),
        ("b", "live", None),
        ("b", "test", 350_000_000),
        ("c", "test", 0),
        ("key_1", "test", None),
    ]
