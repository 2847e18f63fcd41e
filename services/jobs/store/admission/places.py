"""How many places an account or a key has taken, and how many of its jobs wait for one, in SQL: never by reading them.

Triggers on `work` note each change in `place_changes`, in its commit, and fold many of them into `places` when a place
is taken, under the lock of the account and environment. What is in both tables together is right at every commit.
"""


def counted_places(owner: str, *, key: str) -> str:
    """Returns a relation of one row: what the account or key has, of the row `owner` and the key, '' for the account."""
    return f"""(
            SELECT greatest(coalesce(sum(placed), 0), 0) AS placed_count,
                greatest(coalesce(sum(waiting), 0), 0) AS waiting_count
            FROM (
                SELECT placed, waiting FROM places
                WHERE (places.account_id, places.environment, places.key_id)
                    = ({owner}.account_id, {owner}.environment, {key})
                UNION ALL
                SELECT placed, waiting FROM place_changes AS change
                WHERE change.account_id = {owner}.account_id AND change.environment = {owner}.environment
                    AND {key} IN ('', change.key_id)
            ) AS noted
        )"""  # noqa: S608
