"""What the role of a service's processes may do in its database: use it, and neither rewrite history nor the rules.

Tables that are only ever added to are told by their trigger `refuse_change`, so those of later migrations are too.
"""

from typing import Any

from sqlalchemy import Connection, text

HISTORY_OF_MIGRATIONS = "alembic_version"


class RoleError(Exception):
    """The role cannot be restricted. The message says what to change."""


_ROLE = text("""
    SELECT quote_ident(rolname) AS quoted, rolsuper AS is_super,
        rolname <> current_user AND pg_has_role(rolname, current_user, 'MEMBER') AS is_owners_member,
        (SELECT string_agg(CAST(oid AS text), '') FROM pg_class
            WHERE relowner = pg_roles.oid AND relnamespace = CAST('public' AS regnamespace)) IS NOT NULL AS owns
    FROM pg_roles WHERE rolname = :role
""")
# 8 and 16 are the bits of DELETE and UPDATE in `tgtype`.
_TABLES = text("""
    SELECT quote_ident(relname) AS quoted, relname AS name,
        coalesce(bool_or(tgtype & 16 > 0), false) AS keeps_rows,
        coalesce(bool_or(tgtype & 8 > 0), false) AS loses_none
    FROM pg_class LEFT JOIN pg_trigger
        ON tgrelid = pg_class.oid AND tgfoid = to_regprocedure('public.refuse_change()')
    WHERE relnamespace = CAST('public' AS regnamespace) AND relkind IN ('r', 'p')
    GROUP BY relname ORDER BY relname
""")


def grant_use(connection: Connection, role: str) -> None:
    """Gives a role what a service's processes need, and takes from it what they do not, in the caller's transaction.

    Run it as the owner of the tables. What it creates later can at first be read and added to.
    Raises RoleError for a role that is above privileges: one that owns tables, or may do what their owner may.
    """
    quoted = _checked(connection, role)
    statements = [
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
        f"GRANT USAGE ON SCHEMA public TO {quoted}",
        f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {quoted}",
        f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {quoted}",
        f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO {quoted}",
        f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT ON TABLES TO {quoted}",
        f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO {quoted}",
        *(
            f"GRANT {', '.join(_privileges(table))} ON {table.quoted} TO {quoted}"
            for table in connection.execute(_TABLES)
        ),
    ]
    for statement in statements:
        connection.execute(text(statement))


def _checked(connection: Connection, role: str) -> str:
    """Returns the role's name as it is written in SQL."""
    found = connection.execute(_ROLE, {"role": role}).one_or_none()
    if found is None:
        raise RoleError(f"There is no role {role}. Create it: CREATE ROLE … LOGIN PASSWORD '…'.")
    if found.is_super or found.is_owners_member:
        raise RoleError(f"Role {role} has all rights of the tables' owner. Use a role that does not.")
    if found.owns:
        raise RoleError(
            f"Role {role} owns tables, and so may change them. Give them away as a superuser, once: "
            f"REASSIGN OWNED BY {found.quoted} TO the role of the migrations."
        )
    return str(found.quoted)


def _privileges(table: Any) -> list[str]:
    if table.name == HISTORY_OF_MIGRATIONS:
        return ["SELECT"]
    may_update = [] if table.keeps_rows else ["UPDATE"]
    return ["SELECT", "INSERT", *may_update, *([] if table.loses_none else ["DELETE"])]
