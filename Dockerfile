# The server of musterroll. docs/operations/container.md explains how to run it.
# A tag moves: a release names the digest of the image that it was tested with, by
# `--build-arg BASE=python:3.12-slim@sha256:...`.
ARG BASE=python:3.12-slim

FROM $BASE AS wheel
WORKDIR /build
COPY requirements/build.lock requirements/
RUN pip install --no-cache-dir --require-hashes -r requirements/build.lock
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir wheels .

FROM $BASE AS build
WORKDIR /build
RUN python -m venv /opt/musterroll
COPY requirements/run.lock requirements/
RUN /opt/musterroll/bin/pip install --no-cache-dir --require-hashes -r requirements/run.lock
COPY --from=wheel /build/wheels wheels
RUN /opt/musterroll/bin/pip install --no-cache-dir --no-deps wheels/*.whl

FROM $BASE
LABEL org.opencontainers.image.title="musterroll" \
      org.opencontainers.image.description="Account service: accounts from a file, sign-in, OpenID provider" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
# A fixed uid, so that the owner of a volume is known before the first start.
RUN useradd --system --no-log-init --uid 10001 --user-group \
        --home-dir /var/lib/musterroll --shell /usr/sbin/nologin musterroll \
    && install -d -o musterroll -g musterroll -m 700 /var/lib/musterroll
COPY --from=build /opt/musterroll /opt/musterroll
ENV PATH="/opt/musterroll/bin:$PATH" \
    ANYSCALE_DATA_DIR=/var/lib/musterroll
USER 10001:10001
WORKDIR /var/lib/musterroll
VOLUME ["/var/lib/musterroll"]
EXPOSE 8000
STOPSIGNAL SIGTERM
# http.client, because urllib would use a proxy that the environment configures.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "from http.client import HTTPConnection as C; from os import environ as e; c = C('127.0.0.1', int(e.get('ANYSCALE_PORT') or 8000), timeout=4); c.request('GET', '/healthz'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["anyscale"]
CMD ["server", "start", "--host", "0.0.0.0"]
