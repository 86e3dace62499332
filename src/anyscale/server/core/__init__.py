"""The rules of the control plane: no HTTP, no SQL.

A folder for each subject: `batches`, `users`, `login`, `sso`, `openid`, `tokens`, `hashing` and
`audit`. `callers.py` decides what each caller may do. `control_plane.py` builds the services, and
the HTTP layer and the embedded transport call them.
"""
