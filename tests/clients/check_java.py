"""What `make check-verifiers` runs: Verify.java judges the published vectors. It needs the JDK of this machine."""

import subprocess
from pathlib import Path

from tests.clients.cases import compare, lines

SOURCES = (
    Path(__file__).parents[2] / "clients/webhooks/Verify.java",
    Path(__file__).parent / "verifiers/Drive.java",
)


def test_java(tmp_path: Path) -> None:
    subprocess.run(["javac", "-Xlint:all", "-Werror", "-d", tmp_path, *SOURCES], check=True)

    done = subprocess.run(
        ["java", "--class-path", tmp_path, "Drive"],
        input="\n".join(lines()) + "\n",
        capture_output=True,
        text=True,
        check=True,
    )

    compare(done.stdout)
