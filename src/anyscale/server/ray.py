"""The control plane as an application of Ray Serve: `serve run anyscale.server.ray:app`.

It is the application that `server.main` serves; each replica reads the environment of its node.
Needs the extra `musterroll[ray]`. `deploy/ray/serve.yaml` deploys it.
"""

from typing import Final

from ray import serve

from anyscale.server.main import asgi

app: Final = serve.deployment(
    # Ray calls `asgi` in each replica.
    serve.ingress(asgi)(),
    name="control-plane",
    # A replica hashes on all cores of its node: a second one there would only take turns with it.
    max_replicas_per_node=1,
    ray_actor_options={"num_cpus": 1},
    autoscaling_config={"min_replicas": 1, "max_replicas": 4, "target_ongoing_requests": 4},
    # More than the queues of the application have places for, so that the application decides
    # which request to refuse. Requests for its health then never wait for sign-ins.
    max_ongoing_requests=1000,
    health_check_period_s=5,
    health_check_timeout_s=10,
    # seconds to complete the requests in progress, which take at most 60
    graceful_shutdown_timeout_s=75,
    graceful_shutdown_wait_loop_s=1,
).bind()
