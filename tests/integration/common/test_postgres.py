import psycopg

from services.devstack import postgres


def test_the_embedded_cluster_is_durable(postgres_port: int) -> None:
    with psycopg.connect(postgres.database_url(postgres_port, postgres.SUPERUSER)) as connection:
        shown = {
            name: connection.execute(f"SHOW {name}").fetchone() for name in ("fsync", "synchronous_commit")
        }

    assert shown == {"fsync": ("on",), "synchronous_commit": ("on",)}
