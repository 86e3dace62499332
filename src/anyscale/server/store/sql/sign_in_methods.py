"""Whether a user can sign in to an account: the one place that knows all sign-in methods.

The partial indexes `users_without_password` and `users_sso` of `migrations/` have conditions of
this module, so a new sign-in method changes them too.
"""

from collections.abc import Sequence

#: A link that a user has requested says nothing about the account, and one that is being mailed may
#: never arrive.
ADMIN_LINK = "links.kind = 'admin' and links.mail = ''"

#: the condition of the index `users_sso`
SSO_USER = "is_sso_user = {true}"

# A suspended account needs no credentials.
_WITHOUT_PASSWORD = "password_hash is null and suspended_at is null"  # noqa: S105 - SQL

#: No user can sign in: the account has no password, and no SSO. SSO needs an identity provider.
WITHOUT_CREDENTIALS = f"({_WITHOUT_PASSWORD} and not (is_sso_user and {{has_provider}}))"

#: How many users of a chunk, as it is in `chunks`, have no credentials when they are created.
NEW_WITHOUT_CREDENTIALS = (
    "(users - passwords - suspended - case when {has_provider} then sso_users else 0 end)"
)


def sign_in(table: str) -> str:
    """Return an expression for how a user can sign in: a value of `SignIn`.

    Args:
        table: `users`, or the view `live_users`.
    """
    # Links that have expired are deleted each minute.
    return (
        "case when suspended_at is not null then 'suspended'"
        " when password_hash is not null then 'password'"
        " when is_sso_user and {has_provider} then 'sso'"
        f" when exists (select 1 from links where links.user_id = {table}.user_id"
        f" and {ADMIN_LINK}) then 'link'"
        " else 'none' end"
    )


def indexes_without_credentials(*, has_provider: bool) -> Sequence[str]:
    """Return the conditions of the indexes that together have all accounts without credentials."""
    without_password = f"{_WITHOUT_PASSWORD} and is_sso_user = {{false}}"
    return [without_password] if has_provider else [without_password, SSO_USER]
