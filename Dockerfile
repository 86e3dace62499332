# The server of musterroll. docs/operations/serving.md explains how to run it.
FROM python:3.12-slim AS build
WORKDIR /build
RUN python -m venv /opt/musterroll
COPY requirements/run.lock requirements/
RUN /opt/musterroll/bin/pip install --no-cache-dir --require-hashes -r requirements/run.lock
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN /opt/musterroll/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.12-slim
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
