"""A credential whose key its provider refused is named where people look at how an installation does."""

import psycopg

from tests.e2e.local_stack import Stack

OUT = """
    INSERT INTO credential_states (name, out_key_name, out_reason, out_since) VALUES ('ark', 'main', 'quota', now())
    ON CONFLICT (name) DO UPDATE SET out_key_name = excluded.out_key_name, out_reason = excluded.out_reason
"""


def test_a_credential_that_is_out_of_use_is_shown_until_it_is_put_back(stack: Stack) -> None:
    assert "Credentials out of use" not in stack.run("status").stdout
    with psycopg.connect(stack.status()["database"]["jobs"], autocommit=True) as connection:
        connection.execute(OUT)

    shown = stack.run("status")

    assert "Credentials out of use: ark (quota); see `reelgate credential list`" in shown.stdout
    assert stack.status()["credentials_out"] == {"ark": "quota"}
    assert stack.run("credential", "enable", "ark", "--reason", "paid").returncode == 0
    assert "Credentials out of use" not in stack.run("status").stdout
