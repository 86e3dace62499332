"""Why single sign-on failed, as the pages of a sign-in say it."""

import re

#: by the parameter `sso` of the pages of a sign-in
_PROBLEMS = {
    "expired": "Signing in took too long, or you started it in another window. Please try again.",
    "cancelled": "You did not finish signing in. You can try again.",
    "unavailable": (
        "Single sign-on does not answer now. Please try again in a few minutes. "
        "If it still does not, {ask}"
    ),
    "not_set_up": "You have no account here that works with single sign-on. Please {ask}",
    "not_recent": (
        "Your identity provider did not say that you signed in just now. If that does not change, "
        "{ask}"
    ),
    "other_user": "You signed in there as somebody else. Sign in as the user that you are here.",
    "refused": "The sign-in could not be accepted. Please {ask}",
}

#: A request id that the page shows: nothing that reads like an address or a sentence.
_NUMBER = re.compile("[0-9A-Za-z-]{8,64}")


def sso_problem(sso: str, number: str) -> str:
    """Return the sentence for a failure, with the number of the request if it may help."""
    ask = "ask your administrator."
    if _NUMBER.fullmatch(number):
        ask = f"give your administrator this number: {number[:8]}"
    return _PROBLEMS.get(sso, _PROBLEMS["refused"]).format(ask=ask)
