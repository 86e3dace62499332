"""A signed-in user's own account: `/v1/me...`, and the page `/` with its forms.

All routes require the cookie of a session. Browsers use the page; scripts of users use the calls.
"""
