# A worker or distributor as an ordinary user; docker-compose.yml says which.
FROM python:3.12.14-slim@sha256:e5c9fa26ffb76e11e0f054f30dc2523a2f9693f0c36c0cf1e39b27e152d899fc

RUN useradd --create-home simpledist
COPY pyproject.toml README.md /src/
COPY simpledist /src/simpledist
COPY web /src/web
RUN pip install --no-cache-dir /src
COPY demo /demo

USER simpledist
WORKDIR /demo
CMD ["simpledist-worker", "fns"]
