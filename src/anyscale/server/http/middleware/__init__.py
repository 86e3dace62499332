"""ASGI middleware that handles every request, whatever its route.

`http.app` applies it; the docstring of `http` has the order.
"""
