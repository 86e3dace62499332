"""The control plane: accounts, sign-in, batches and the audit log, in a server or embedded.

`main` starts a server process, `control_plane` creates the services from the `settings`. `http`
handles requests, `background` does what needs no request, `core` has the rules and `store` the
databases. The client opens a control plane by `transport.embedded`, which makes its calls by
`in_process`, and by the commands of `anyscale server`.
"""
