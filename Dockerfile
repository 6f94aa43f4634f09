# Two images: `shipper` (the default), and `demo`, which adds the AWS emulator and the generator of made-up logs.
ARG PYTHON=python:3.11-slim-bookworm
ARG RUST=rust:1-slim-bookworm

FROM ${PYTHON} AS wheel
WORKDIR /src
COPY requirements/build.txt requirements/build.txt
RUN pip install --no-cache-dir --require-hashes -r requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY shipper shipper
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels .

FROM ${RUST} AS native
RUN apt-get update && apt-get install -y --no-install-recommends python3-venv && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY requirements/build.txt requirements/build.txt
RUN python3 -m venv /venv && /venv/bin/pip install --no-cache-dir --require-hashes -r requirements/build.txt
COPY native native
RUN PATH=/venv/bin:$PATH pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels ./native

FROM ${PYTHON} AS installed
COPY requirements/runtime.txt /requirements/runtime.txt
RUN python -m venv /opt/shipper \
    && /opt/shipper/bin/pip install --no-cache-dir --require-hashes -r /requirements/runtime.txt
COPY --from=wheel /wheels /wheels
COPY --from=native /wheels /wheels
RUN /opt/shipper/bin/pip install --no-cache-dir --no-deps --no-index /wheels/*.whl

FROM installed AS installed-demo
COPY requirements/demo.txt /requirements/demo.txt
RUN /opt/shipper/bin/pip install --no-cache-dir --require-hashes -r /requirements/demo.txt

FROM ${PYTHON} AS demo
COPY --from=installed-demo /opt/shipper /opt/shipper
ENV PATH=/opt/shipper/bin:$PATH PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /tmp
CMD ["shipper", "demo"]

FROM ${PYTHON} AS shipper
COPY --from=installed /opt/shipper /opt/shipper
ENV PATH=/opt/shipper/bin:$PATH PYTHONUNBUFFERED=1
# The only place that is written to: keep it in a volume.
RUN install -d -m 0700 -o 10001 -g 10001 /var/lib/shipper
USER 10001:10001
WORKDIR /var/lib/shipper
VOLUME /var/lib/shipper
EXPOSE 9464
# Asks 127.0.0.1: `listen` must be 0.0.0.0:9464 or 127.0.0.1:9464.
HEALTHCHECK --interval=30s --timeout=5s --start-period=2m \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9464/healthz', timeout=4)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["shipper"]
CMD ["run", "-c", "/etc/shipper/shipper.yaml"]
