"""The routes of operators and of their programs: health, metrics, the OpenAPI document.

They own `/healthz`, `/readyz`, `/metrics`, `/openapi.json`, `/docs` and `/received-request`, which
load balancers, Prometheus, API clients and `anyscale server check` use.
"""
