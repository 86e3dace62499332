"""What uvicorn lacks: single writes of responses, and workers that are interrupted safely.

`server.main` starts uvicorn with both. They use no part of the control plane.
"""
