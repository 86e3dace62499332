"""What uvicorn lacks: strict header lines, and workers that are interrupted safely.

`server.main` starts uvicorn with both. They use no part of the control plane.
"""
