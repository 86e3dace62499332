"""The control plane over HTTP: handlers that decode a request, call one service and encode.

`app` composes the routes of four packages: `api` (calls of owners, by token), `login` (sign-in),
`account` (a signed-in user's own account) and `web` (what HTML pages share). A request passes, from
the outside in:

1. `RequestLogMiddleware`: the request id, the log line, the metrics
2. `SecurityHeadersMiddleware`: headers of every response
3. `HeadMiddleware`: HEAD as GET
4. `GzipRequestMiddleware`: decompression of bodies
5. Litestar: routing and error responses; the following are its own middleware
6. `ShutdownMiddleware`: 503 for a request that a forced shutdown cancels
7. `CsrfMiddleware`: no requests of other sites
8. `TokenAuthentication` or `SessionAuthentication`, by the router
9. compression of the response, then the guards, the dependencies and the handler

`server.main` serves the application with uvicorn.
"""
