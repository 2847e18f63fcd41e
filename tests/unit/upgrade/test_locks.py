from pathlib import Path

from tests.upgrade.locks import waits_ms

LOG = """\
2026-11-28 12:00:00.000 UTC [11] LOG:  process 11 still waiting for RowExclusiveLock on relation 16400 of database 16390 after 10.061 ms at character 8
2026-11-28 12:00:00.010 UTC [11] LOG:  process 11 acquired RowExclusiveLock on relation 16400 of database 16390 after 41.512 ms at character 8
2026-11-28 12:00:00.020 UTC [12] LOG:  process 12 acquired ShareLock on transaction 812 after 99.000 ms
"""


def test_only_waits_for_tables_count_and_only_those_that_came_later(tmp_path: Path) -> None:
    log = tmp_path / "postgres.log"
    log.write_text(LOG)

    assert waits_ms(log, since=0) == [41.512]
    assert waits_ms(log, since=len(LOG)) == []
