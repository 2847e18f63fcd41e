"""Processor time of processes and of PostgreSQL's connections, in nanoseconds, as the kernel's scheduler counts it."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg

Groups = Mapping[str, Iterable[int]]
"""Ids of processes by the name that they are counted under, together with all that they started."""
GENERATOR = "generator"
SERVER = "PostgreSQL itself"
"""Its processes that serve no connection: they write, check and clean up for all."""
_BACKENDS = """
SELECT CASE backend_type WHEN 'client backend' THEN application_name ELSE '' END AS name, pid
FROM pg_stat_activity
WHERE pid <> pg_backend_pid() AND (datname = ANY (%s) OR backend_type <> 'client backend')
"""


@dataclass(frozen=True)
class Time:
    """What threads had of the processor, and what they waited for one."""

    running_ns: int = 0
    waiting_ns: int = 0

    def __add__(self, other: "Time") -> "Time":
        return Time(self.running_ns + other.running_ns, self.waiting_ns + other.waiting_ns)

    def __sub__(self, other: "Time") -> "Time":
        return Time(self.running_ns - other.running_ns, self.waiting_ns - other.waiting_ns)

    @property
    def waiting_share(self) -> float:
        """Returns which share of the time in which it could have run it had no core."""
        return self.waiting_ns / max(1, self.running_ns + self.waiting_ns)


Threads = Mapping[str, Mapping[int, Time]]
"""The time of each thread since it was started, by group."""


def parse_schedstat(text: str) -> Time:
    """Reads the file `schedstat` of a thread: nanoseconds running, nanoseconds waiting, and turns."""
    running, waiting, _ = text.split()
    return Time(int(running), int(waiting))


def spent(before: Threads, after: Threads) -> dict[str, Time]:
    """Returns the time between two readings, by group. What a thread did that has ended meanwhile is lost.

    That is not so for whole processes that a process of the group started.
    """
    return {
        name: sum(
            (time - before.get(name, {}).get(thread, Time()) for thread, time in threads.items()), Time()
        )
        for name, threads in after.items()
    }


class Meter:
    """Reads the time of all threads of some processes, of the connections to some databases, and of the generator."""

    def __init__(self, processes: Groups, *, url: str = "", databases: Iterable[str] = ()) -> None:
        self._processes = processes
        self._url = url
        self._databases = list(databases)

    def read(self) -> Threads:
        """Returns the time so far. Whoever came since the reading before is in this one."""
        groups: dict[str, list[int]] = {GENERATOR: [os.getpid()]}
        for name, pids in self._processes.items():
            groups[name] = [each for pid in pids for each in _family(pid)]
        groups |= self._backends()
        return {name: dict(_threads(pids)) for name, pids in groups.items()}

    def _backends(self) -> dict[str, list[int]]:
        if not self._databases:
            return {}
        found: dict[str, list[int]] = {}
        with psycopg.connect(self._url, autocommit=True) as connection:
            for name, pid in connection.execute(_BACKENDS, (self._databases,)).fetchall():
                found.setdefault(f"PostgreSQL: {name}" if name else SERVER, []).append(pid)
        return found


def _family(pid: int) -> list[int]:
    return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]


def _threads(pids: Iterable[int]) -> Iterable[tuple[int, Time]]:
    for pid in pids:
        yield -pid, _of_ended_children(pid)
        for file in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            try:
                yield int(file.parent.name), parse_schedstat(file.read_text(encoding="ascii"))
            except (FileNotFoundError, ProcessLookupError):
                continue


def _of_ended_children(pid: int) -> Time:
    """Returns the time of the processes that this one started and has seen the end of. How long they waited is not known."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return Time()
    return parse_ended_children(stat, ticks_per_second=os.sysconf("SC_CLK_TCK"))


def parse_ended_children(stat: str, *, ticks_per_second: int) -> Time:
    """Reads the file `stat` of a process, whose second field, a name in brackets, may have blanks and brackets."""
    fields = stat.rpartition(")")[2].split()
    user_ticks, system_ticks = int(fields[13]), int(fields[14])
    return Time(running_ns=(user_ticks + system_ticks) * 1_000_000_000 // ticks_per_second)


ECHO_MICROSECONDS = (240.0, 340.0)
"""What an echo costs its server and its Envoy while nothing else disturbs the machine that the goals are for."""
WAITING_SHARE_MAX = 1 / 3


def why_noisy(echo_microseconds: float, waiting_share: float) -> str:
    """Returns why figures of processor time and of rates mean little beside such an echo, or nothing."""
    least, most = ECHO_MICROSECONDS
    if not least <= echo_microseconds <= most:
        return f"an echo costs {echo_microseconds:.0f} µs, not {least:.0f} to {most:.0f}"
    if waiting_share > WAITING_SHARE_MAX:
        return f"servers waited for a core {waiting_share:.0%} of the time that they had work"
    return ""
