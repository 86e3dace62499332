"""The control plane over HTTP: handlers that decode a request, call one service and encode.

`app` composes the routes of the packages: `api` (calls of owners, by token), `login` (sign-in),
`account` (a signed-in user's own account), `console` (pages of owners), `openid` (the OpenID
provider) and `operations` (for operators). `web` is what HTML pages share. A request passes, from
the outside in:

1. `ClientAddressMiddleware`: the client's address and scheme, as a trusted proxy says
2. `RequestLogMiddleware`: the request id, the log line, the metrics
3. `SecurityHeadersMiddleware`: headers of every response
4. `RequestCheckMiddleware`: no ambiguous paths, bodies and host names
5. `HeadMiddleware`: HEAD as GET
6. `GzipRequestMiddleware`: decompression of bodies
7. `MangledLinkMiddleware`: one-time links that a mail gateway has changed
8. Litestar: routing and error responses; the following are its own middleware
9. `ShutdownMiddleware`: 503 for a request that a forced shutdown cancels
10. `CorsMiddleware`: what pages of applications may read, by the option of the route
11. `CsrfMiddleware`: no requests of other sites, by the rule of the route
12. `TokenAuthentication` or `SessionAuthentication`, by the router
13. compression of the response, then the guards, the dependencies and the handler, in a thread
    of the pool that its route names

`server.main` serves the application with uvicorn.
"""
