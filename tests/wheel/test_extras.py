"""Each process starts where what it needs is installed, and where it is not, it says in one line what to install."""

import pytest

from tests.wheel.conftest import Install

HEAVY = "{'alembic', 'av', 'cryptography', 'grpc', 'numpy', 'obstore', 'PIL', 'psycopg', 'pydantic', 'rich', 'sqlalchemy'}"


@pytest.mark.parametrize(
    ("words", "image", "extra"),
    [
        (["services.jobs", "api"], "base", "services"),
        (["services.billing", "migrate"], "base", "services"),
        (["services.webhooks", "dispatcher"], "edge", "services"),
        (["services.cli", "migrate"], "base", "services"),
        (["services.edge", "run"], "base", "edge"),
        (["services.edge", "run"], "services", "edge"),
        (["services.simulator"], "services", "stack"),
        (["services.cli", "up"], "base", "stack"),
        (["services.cli", "up", "--detach"], "services", "stack"),
    ],
)
def test_what_is_not_installed_is_named_with_the_extra_that_has_it(
    installed: Install, words: list[str], image: str, extra: str
) -> None:
    ended = installed(image).run("-m", *words)

    assert ended.returncode == 1
    assert ended.stderr.endswith(f" is not installed, which this needs: pip install 'reelgate[{extra}]'\n")
    assert ended.stderr.count("\n") == 1


def test_the_commands_of_operators_need_no_extra(installed: Install) -> None:
    imported = installed("base").run(
        "-c",
        "import pkgutil, importlib, services.cli as cli\n"
        "for module in pkgutil.walk_packages(cli.__path__, 'services.cli.'):\n"
        "    if not module.name.endswith('__main__'): importlib.import_module(module.name)",
    )

    assert imported.returncode == 0, imported.stderr


def test_the_help_of_the_command_loads_nothing_large(installed: Install) -> None:
    program = f"import services.cli.app, sys; print(sorted({HEAVY} & set(sys.modules)))"

    assert installed("stack").run("-c", program).stdout == "[]\n"
