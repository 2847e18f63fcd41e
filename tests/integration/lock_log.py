"""Which rows a transaction locks, and in which order: read from PostgreSQL's write-ahead log, which misses none.

Every row lock that outlives its moment is a record there, whoever took it: a part of a statement, a function, a trigger
or a foreign key. So nothing has to be known about a statement, and nothing about how it is run.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

import psycopg
import pytest
from psycopg import sql

from services.common.postgres.database import Query
from services.devstack import postgres

_WRITES = r"\b(INSERT INTO|UPDATE|DELETE FROM|FOR (NO KEY )?(UPDATE|SHARE))\b"

_RECORD = re.compile(r"rmgr: Heap\S* .*? tx: +(\d+), .*? desc: (\S+) (.*)")
_COMMIT = re.compile(r"tx: +(\d+), .*? desc: COMMIT .*?; subxacts:((?: \d+)+)")
_BLOCK = re.compile(r"blkref #(\d): rel \d+/(\d+)/(\d+) (?:fork \w+ )?blk (\d+)")
_TUPLE = "(?:^|[ ,]){}: ?(\\d+)"

Place = tuple[str, str]
"""Table and ctid."""


@dataclass(frozen=True)
class RowLock:
    """A row, by its table and its rank in the order of the primary key. None: the row is new."""

    table: str
    rank: int | None
    is_for_deletion: bool
    """Whether it also keeps foreign keys waiting."""


@dataclass(frozen=True)
class Transaction:
    """What a transaction locked, each row once, first things first."""

    name: str
    locks: Sequence[RowLock]
    waits: bool
    """Whether it waits for rows that others have locked."""


@dataclass
class LockLog:
    """The transactions of a database, step by step."""

    connection: psycopg.AsyncConnection
    wal_folder: Path
    database: str
    kinds: Mapping[str, str]
    """By table, what tells rows apart that are locked at different places of the order: an expression of text."""
    transactions: list[Transaction] = field(default_factory=list)
    executed: set[bytes] = field(default_factory=set)
    """The statements of all steps."""

    @asynccontextmanager
    async def step(self, name: str, *, waits: bool = True) -> AsyncIterator[None]:
        """Puts on record what the block locks. Nothing else may run meanwhile.

        What locks with SKIP LOCKED alone waits for nobody, and so is in no circle.
        """
        ranks = await self._ranks()
        start = await self._position()
        yield
        end = await self._position()
        tables, roots = await self._tables(), await self._roots()
        output = await self._records(start, end)
        parent = _parents(output)
        found: dict[str, _Reader] = {}
        for line in output.splitlines():
            match = _RECORD.match(line)
            block = _BLOCK.findall(line)
            if match is None or not block or block[0][1] != self.database or block[0][2] not in tables:
                continue
            number, kind, rest = match.groups()
            reader = found.setdefault(parent.get(number, number), _Reader(ranks, roots))
            reader.read(tables[block[0][2]], kind.partition("+")[0], rest, [each[3] for each in block])
        self.transactions += [
            Transaction(name, list(reader.locks.values()), waits) for reader in found.values()
        ]

    def note(self, statement: bytes) -> None:
        """Notes that a statement was sent."""
        self.executed.add(statement)

    async def unseen(self, *modules: ModuleType) -> list[str]:
        """Returns the statements of modules, and of those in packages, that lock rows and that no step has sent.

        In what order they do is not known.
        """
        cursor = await self.connection.execute("""
            SELECT proname FROM pg_proc
            WHERE pronamespace = CAST('public' AS regnamespace) AND provolatile = 'v' AND prorettype <> 'trigger'::regtype
        """)
        functions = "|".join(name for (name,) in await cursor.fetchall())
        locks = re.compile(rf"{_WRITES}|\b({functions or 'none'})\(")
        return [
            name
            for name, statement in _statements(*modules).items()
            if locks.search(statement.decode()) and statement not in self.executed
        ]

    async def violations(
        self,
        *,
        order: Sequence[str],
        new_in_nobodys_way: frozenset[str],
        guards: Mapping[str, str] | None = None,
    ) -> list[str]:
        """Returns where the order was not kept: of tables, or of the rows of one where somebody may wait for them.

        `guards` names tables of which several rows are locked only under the lock of a row of another, and so in any order.
        """
        roots = await self._roots()
        stored = {roots.get(table, table) for table in (await self._tables()).values()}
        missing = stored - {*order, *self.kinds, "alembic_version"}
        found = [f"the order does not name {table}" for table in sorted(missing)]
        referred_to = await self._referred_to()
        for each in (each for each in self.transactions if each.waits):
            counted = [
                lock for lock in each.locks if lock.rank is not None or lock.table not in new_in_nobodys_way
            ]
            tables = list(dict.fromkeys(lock.table for lock in counted))
            if tables != sorted(tables, key=order.index):
                found.append(f"{each.name} locks {', then '.join(tables)}")
            for table in tables:
                ranks = [lock.rank for lock in counted if lock.table == table and lock.rank is not None]
                guard = (guards or {}).get(table, table)
                if len(ranks) > 1 and guard not in tables:
                    found.append(f"{each.name} locks rows of {table} without one of {guard}")
                elif guard == table and ranks != sorted(ranks):
                    found.append(f"{each.name} locks rows of {table} in the order {ranks}")
            # Foreign keys lock rows in no order. Whoever keeps them waiting must wait for nobody any more.
            if any(lock.is_for_deletion and lock.table in referred_to for lock in counted[:-1]):
                found.append(f"{each.name} keeps foreign keys waiting, and goes on to wait")
        return found

    async def _referred_to(self) -> frozenset[str]:
        cursor = await self.connection.execute(
            "SELECT DISTINCT CAST(CAST(confrelid AS regclass) AS text) FROM pg_constraint WHERE contype = 'f'"
        )
        return frozenset([name for (name,) in await cursor.fetchall()])

    async def _records(self, start: str, end: str) -> str:
        program = str(postgres.binary("pg_waldump"))
        reading = await asyncio.create_subprocess_exec(
            program,
            "-p",
            str(self.wal_folder),
            "-s",
            start,
            "-e",
            end,
            "-r",
            "Heap",
            "-r",
            "Transaction",
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await reading.communicate()
        assert reading.returncode == 0
        return output.decode()

    async def _position(self) -> str:
        # Flushed, so that it can be read from the file.
        await self.connection.execute("SELECT pg_logical_emit_message(false, 'locks', '', true)")
        cursor = await self.connection.execute("SELECT CAST(pg_current_wal_flush_lsn() AS text)")
        row = await cursor.fetchone()
        assert row is not None
        return str(row[0])

    async def _tables(self) -> dict[str, str]:
        cursor = await self.connection.execute("""
            SELECT CAST(pg_relation_filenode(oid) AS text), relname FROM pg_class
            WHERE relkind = 'r' AND relnamespace = CAST('public' AS regnamespace)
        """)
        return dict(await cursor.fetchall())

    async def _roots(self) -> dict[str, str]:
        """Returns of each partition the table that it is a part of."""
        cursor = await self.connection.execute("""
            SELECT relname, CAST(CAST(pg_partition_root(oid) AS regclass) AS text) FROM pg_class
            WHERE relispartition AND relkind = 'r'
        """)
        return dict(await cursor.fetchall())

    async def _ranks(self) -> dict[Place, tuple[str, int]]:
        """Returns of each row what it counts as and its rank in the order of its table's primary key."""
        cursor = await self.connection.execute("""
            SELECT DISTINCT CAST(CAST(coalesce(pg_partition_root(indrelid), indrelid) AS regclass) AS text),
                array_agg(CAST(attname AS text) ORDER BY array_position(indkey, attnum))
            FROM pg_index JOIN pg_class ON pg_class.oid = indrelid
            JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY (indkey)
            WHERE indisprimary AND relnamespace = CAST('public' AS regnamespace) GROUP BY indrelid
        """)
        ranks: dict[Place, tuple[str, int]] = {}
        for table, columns in await cursor.fetchall():
            query = sql.SQL(
                "SELECT CAST(CAST(tableoid AS regclass) AS text), CAST(ctid AS text), {} FROM {} ORDER BY {}"
            ).format(
                sql.SQL(self.kinds.get(table, f"'{table}'")),
                sql.Identifier(table),
                sql.SQL(", ").join(map(sql.Identifier, columns)),
            )
            rows = await (await self.connection.execute(query)).fetchall()
            ranks |= {(part, place): (kind, rank) for rank, (part, place, kind) in enumerate(rows)}
        return ranks


class _Reader:
    """Follows the rows of one transaction through the versions that it writes."""

    def __init__(self, ranks: dict[Place, tuple[str, int]], roots: Mapping[str, str]) -> None:
        self._ranks = ranks
        self._roots = roots
        self._first: dict[Place, Place] = {}
        self.locks: dict[Place, RowLock] = {}

    def read(self, table: str, kind: str, rest: str, blocks: Sequence[str]) -> None:
        """Takes the next record in."""
        if kind == "INSERT":
            place = _place(table, blocks[0], rest, "off")
            self.locks[place] = RowLock(self._root(table), None, is_for_deletion=False)
            self._first[place] = place
        elif kind == "LOCK" and not _is_shared(rest):
            self._lock(_place(table, blocks[0], rest, "off"), is_for_deletion="KEYS_UPDATED" in rest)
        elif kind == "DELETE":
            self._lock(_place(table, blocks[0], rest, "off"), is_for_deletion=True)
        elif kind in {"UPDATE", "HOT_UPDATE"}:
            # The new version's page comes first; the old one's is named only where it is another.
            old = self._lock(
                _place(table, blocks[-1], rest, "old_off"), is_for_deletion="KEYS_UPDATED" in rest
            )
            self._first[_place(table, blocks[0], rest, "new_off")] = old

    def _root(self, table: str) -> str:
        return self._roots.get(table, table)

    def _lock(self, place: Place, *, is_for_deletion: bool) -> Place:
        first = self._first.get(place, place)
        if first not in self.locks:
            kind, rank = self._ranks.get(first, (self._root(first[0]), None))
            self.locks[first] = RowLock(kind, rank, is_for_deletion)
        return first


def _parents(output: str) -> dict[str, str]:
    """Returns, by its number, of which transaction each block with an exception handler was a part."""
    return {child: parent for parent, children in _COMMIT.findall(output) for child in children.split()}


def _is_shared(rest: str) -> bool:
    """Returns whether it is what a foreign key takes: it waits for whoever deletes the row or locks it FOR UPDATE only."""
    return "KEYSHR_LOCK" in rest and "EXCL_LOCK" not in rest


def _place(table: str, block: str, rest: str, name: str) -> Place:
    offset = re.search(_TUPLE.format(name), rest)
    assert offset is not None, rest
    return table, f"({block},{offset.group(1)})"


@asynccontextmanager
async def lock_log(
    url: str, monkeypatch: pytest.MonkeyPatch, *, kinds: Mapping[str, str] | None = None
) -> AsyncIterator[LockLog]:
    """Reads the locks of a database, whose statements this process sends."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        cursor = await connection.execute("""
            SELECT current_setting('data_directory'), CAST(oid AS text) FROM pg_database
            WHERE datname = current_database()
        """)
        row = await cursor.fetchone()
        assert row is not None
        log = LockLog(connection, Path(row[0]) / "pg_wal", row[1], kinds or {})
        _listen(log, monkeypatch)
        yield log


def _listen(log: LockLog, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("execute", "executemany"):
        send = getattr(psycopg.AsyncCursor, name)

        async def noting(
            self: psycopg.AsyncCursor[Any], query: Any, *args: Any, _send: Any = send, **more: Any
        ) -> Any:
            if isinstance(query, bytes) and self.connection is not log.connection:
                log.note(query)
            return await _send(self, query, *args, **more)

        monkeypatch.setattr(psycopg.AsyncCursor, name, noting)


def _statements(*modules: ModuleType) -> dict[str, bytes]:
    """Returns all statements by name."""
    known: dict[str, bytes] = {}
    for module in modules:
        inner = iter_modules(getattr(module, "__path__", ()))
        known |= _statements(*(import_module(f"{module.__name__}.{found.name}") for found in inner))
        for name, value in vars(module).items():
            for key, query in value.items() if isinstance(value, dict) else (("", value),):
                if isinstance(query, Query):
                    known[f"{module.__name__}.{name} {key}"] = query.sql
    return known
