# One image per service: docker build -f deploy/docker/service.Dockerfile --build-arg SERVICE=detection .
# Behind a proxy with its own authority: --secret id=ca,src=/path/to/ca.pem
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ARG SERVICE
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
RUN test -n "${SERVICE}" && python3 -m venv /opt/vigia
COPY services/${SERVICE}/requirements.lock /build/requirements.lock
# The authority of a building machine's proxy, if there is one, is used here and stays out of the image.
RUN --mount=type=secret,id=ca,required=false \
    if [ -f /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca SSL_CERT_FILE=/run/secrets/ca; fi; \
    /opt/vigia/bin/pip install --require-hashes --no-deps -r /build/requirements.lock && \
    /opt/vigia/bin/pip install hatchling==1.27.0
COPY shared/contracts /build/shared/contracts
COPY shared/runtime /build/shared/runtime
COPY shared/vision /build/shared/vision
COPY services/${SERVICE} /build/services/${SERVICE}
WORKDIR /build
RUN /opt/vigia/bin/pip install --no-deps --no-build-isolation --no-index \
      ./shared/contracts ./shared/runtime ./shared/vision "./services/${SERVICE}" && \
    /opt/vigia/bin/pip uninstall -y hatchling && \
    ln -s "/opt/vigia/bin/vigia-${SERVICE}" /opt/vigia/bin/vigia-service

FROM ${PYTHON_IMAGE}
ARG SERVICE
LABEL org.opencontainers.image.title="vigia-${SERVICE}" org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 vigia && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin vigia
COPY --from=build /opt/vigia /opt/vigia
ENV PATH=/opt/vigia/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MALLOC_ARENA_MAX=2
USER 10001:10001
ENTRYPOINT ["vigia-service"]
