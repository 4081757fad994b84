# One image per service: docker build -f deploy/docker/service.Dockerfile --build-arg SERVICE=detection .
# Behind a proxy with its own authority: --secret id=ca,src=/path/to/ca.pem
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

# What builds stays outside of what runs: neither pip nor hatchling gets into a service's environment.
FROM ${PYTHON_IMAGE} AS tools
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
# The authority of a building machine's proxy, if there is one, is used here and below and stays out of the image.
RUN --mount=type=secret,id=ca,required=false \
    if [ -f /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi; \
    python3 -m venv /tools && /tools/bin/pip install hatchling==1.27.0

FROM tools AS dependencies
ARG SERVICE
COPY services/${SERVICE}/requirements.lock /build/requirements.lock
RUN --mount=type=secret,id=ca,required=false \
    if [ -f /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi; \
    python3 -m venv --without-pip /opt/vigia && \
    /tools/bin/pip --python /opt/vigia/bin/python install --require-hashes --no-deps -r /build/requirements.lock

FROM tools AS wheels
ARG SERVICE
COPY shared/contracts /build/shared/contracts
COPY shared/runtime /build/shared/runtime
COPY shared/vision /build/shared/vision
COPY services/${SERVICE} /build/services/${SERVICE}
WORKDIR /build
RUN /tools/bin/pip wheel --no-deps --no-build-isolation --no-index --wheel-dir /tools/wheels \
      ./shared/contracts ./shared/runtime ./shared/vision "./services/${SERVICE}"

FROM ${PYTHON_IMAGE}
ARG SERVICE
LABEL org.opencontainers.image.title="vigia-${SERVICE}" org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 vigia && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin vigia
COPY --from=dependencies /opt/vigia /opt/vigia
# A layer of its own: a release that changes no dependency is pulled in a moment.
RUN --mount=type=bind,from=wheels,source=/tools,target=/mnt \
    /mnt/bin/python -B -m pip --python /opt/vigia/bin/python install \
      --no-cache-dir --disable-pip-version-check --no-deps --no-index /mnt/wheels/*.whl && \
    ln -s "/opt/vigia/bin/vigia-${SERVICE}" /opt/vigia/bin/vigia-service
# onnxruntime reports to its maker unless told not to before it is imported.
ENV PATH=/opt/vigia/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MALLOC_ARENA_MAX=2 ORT_DISABLE_TELEMETRY=1
USER 10001:10001
ENTRYPOINT ["vigia-service"]
