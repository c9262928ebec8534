# A worker or distributor as an ordinary user; docker-compose.yml says which.
FROM python:3.12-slim

RUN useradd --create-home simpledist
COPY pyproject.toml README.md /src/
COPY simpledist /src/simpledist
COPY web /src/web
RUN pip install --no-cache-dir /src
COPY demo /demo

USER simpledist
WORKDIR /demo
CMD ["simpledist-worker", "fns"]
