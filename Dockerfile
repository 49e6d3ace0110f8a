FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src

COPY requirements.lock requirements-build.lock ./
RUN pip wheel --require-hashes --requirement requirements.lock --wheel-dir /wheels \
 && pip install --require-hashes --requirement requirements-build.lock

COPY pyproject.toml README.md LICENSE NOTICE ./
COPY app app
COPY migrations migrations
COPY seeds seeds
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /wheels .

# Nothing is fetched from here on. Byte code is compiled now: the running container need not write.
RUN python -m venv /venv \
 && /venv/bin/pip install --no-index --no-deps /wheels/*.whl \
 && /venv/bin/pip check


FROM python:3.13-slim
LABEL org.opencontainers.image.title="Khorgos" \
      org.opencontainers.image.licenses="Apache-2.0"

RUN groupadd --gid 10001 khorgos \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin khorgos \
 && install --directory --owner=10001 --group=10001 /data

COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    KHORGOS_HOST=0.0.0.0 \
    KHORGOS_PORT=8000 \
    KHORGOS_DATABASE_URL=sqlite:////data/khorgos.db

USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8000

HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f'http://127.0.0.1:{os.environ[\"KHORGOS_PORT\"]}/readyz', timeout=3)"]

CMD ["khorgos", "serve"]
