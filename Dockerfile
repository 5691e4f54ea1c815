# A node of Gotong. Everything it keeps is in /var/lib/gotong:
#   docker run --init -p 8080:8080 -v gotong:/var/lib/gotong gotong
# --init, because the embedded PostgreSQL leaves processes behind that somebody has to reap.

FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
COPY requirements.lock requirements-dev.lock ./
# The tools that build our own wheel are locked too; they stay in this stage.
RUN python -m venv /tools && /tools/bin/pip install --require-hashes -r requirements-dev.lock
RUN python -m venv /opt/gotong && /opt/gotong/bin/pip install --require-hashes --only-binary=:all: -r requirements.lock
COPY . .
RUN /tools/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
    && /opt/gotong/bin/pip install --no-deps --no-index /wheels/*.whl \
    && /opt/gotong/bin/pip uninstall --yes pip

FROM python:3.13-slim
# PostgreSQL wants its user to have a name; the home directory is the data directory.
RUN useradd --system --uid 10001 --home-dir /var/lib/gotong --create-home --shell /usr/sbin/nologin gotong
COPY --from=build /opt/gotong /opt/gotong
ENV PATH=/opt/gotong/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    GOTONG_DATA_DIR=/var/lib/gotong \
    GOTONG_HOST=0.0.0.0 \
    GOTONG_PORT=8080 \
    GOTONG_LOG_FORMAT=json
USER gotong
WORKDIR /var/lib/gotong
VOLUME /var/lib/gotong
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f\"http://127.0.0.1:{os.environ['GOTONG_PORT']}/readyz\", timeout=4)"]
ENTRYPOINT ["gotong"]
CMD ["up"]
