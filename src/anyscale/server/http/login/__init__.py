"""Sign-in: `/v1/sessions...`, `/v1/passwords`, the pages `/sign-in...`, `/password`, `/sso/...`.

`LoginFlows` signs users in for the calls and for the pages. Browsers use both, and `account` uses
the response of a sign-in when a password changes.
"""
