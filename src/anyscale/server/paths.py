"""The paths that more than one module needs: of links, of signing in, of the OpenID provider."""

#: the page that sets a password by a one-time link
LINK_PAGE = "/set-password"

#: the page that sends such a link by mail
FORGOT_PASSWORD = "/forgot-password"  # noqa: S105 - a path

#: where a browser sends a form again whose user has to sign in first
KEEP_FORM = "/sign-in/form"

#: where a form with a passkey's answer is sent, in place of email and password
SIGN_IN_BY_PASSKEY = "/sign-in/passkey"

#: the page where a user signs in again, before what cannot be undone
SIGN_IN_AGAIN = "/sign-in-again"

#: the page of the second part of a sign-in
SECOND_FACTOR = "/sign-in/second-factor"

#: the page after a sign-in by a recovery code
RECOVERED = "/account/second-factor/recovered"

#: where the identity provider redirects browsers
SSO_CALLBACK = "/sso/callback"

#: the endpoints of the OpenID provider, which its metadata names
AUTHORIZE = "/oauth2/authorize"
EXCHANGE = "/oauth2/token"
USERINFO = "/oauth2/userinfo"
SIGNING_KEYS = "/oauth2/jwks"
LOGOUT = "/oauth2/logout"
REVOKE = "/oauth2/revoke"
