"""The rules of the control plane: no HTTP, no SQL.

A folder for each subject: `batches`, `accounts`, `search`, `login`, `second_factor`, `passkeys`,
`sso`, `openid`, `tokens`, `hashing`, `mail` and `audit`. `callers.py` and `permissions.py` decide
what each caller may do. `control_plane.py` builds the services, and the HTTP layer and `in_process`
call them.
"""
