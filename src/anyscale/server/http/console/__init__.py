"""The console: pages under `/console`, on which owners manage accounts in a browser.

A module owns the pages of one noun and is thin: it calls the services of `server.core`, as the
calls under `/v1` do. The templates are in `web/templates/console`.
"""
