# Backend and worker in one image: `allabel serve` unless told otherwise. docs/how-to/containers.md has its size and settings.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
# Where pip looks for packages, if not where it usually does; not kept in the image.
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_TRUSTED_HOST
# Anything but empty adds sentence embeddings; TORCH_INDEX is where PyTorch offers its builds for processors alone.
ARG SBERT=
ARG TORCH_INDEX=
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
RUN python3 -m venv --without-pip /opt/allabel
COPY requirements-build.lock requirements-cluster.lock requirements-sbert.lock requirements-sbert.txt requirements.txt ./
RUN pip install --require-hashes -r requirements-build.lock
RUN pip --python /opt/allabel/bin/python install --require-hashes -r requirements-cluster.lock
# PyTorch's own build has other hashes than the lock file's.
RUN if [ -n "$SBERT" ] && [ -n "$TORCH_INDEX" ]; then \
      pip --python /opt/allabel/bin/python install --index-url "$TORCH_INDEX" "$(grep '^torch==' requirements-sbert.txt)" \
      && pip --python /opt/allabel/bin/python install -r requirements-sbert.txt; \
    elif [ -n "$SBERT" ]; then \
      pip --python /opt/allabel/bin/python install --require-hashes -r requirements-sbert.lock; \
    fi
COPY pyproject.toml README.md LICENSE ./
COPY allabel_core allabel_core
COPY backend backend
# What builds the package is locked too; pip would otherwise fetch the newest.
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /build/wheels . \
 && pip --python /opt/allabel/bin/python install --no-deps /build/wheels/*.whl
# A library's tests are never imported; numpy's hold a few helpers that its own code does import.
RUN find /opt/allabel -type d -name tests -not -path '*/numpy/_core/*' -prune -exec rm -rf {} + \
 && /opt/allabel/bin/allabel --help >/dev/null

FROM ${PYTHON_IMAGE}
RUN groupadd --system --gid 10001 allabel \
 && useradd --system --uid 10001 --gid allabel --no-create-home allabel \
 && install --directory --owner=allabel --group=allabel /var/cache/allabel
COPY --from=build /opt/allabel /opt/allabel
ENV PATH=/opt/allabel/bin:$PATH HOME=/tmp HOST=0.0.0.0 PORT=9090 NUMBA_CACHE_DIR=/var/cache/allabel \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# Machine code compiled for this processor; everything else may be read-only, but for /tmp.
VOLUME /var/cache/allabel
USER allabel
EXPOSE 9090
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["python3", "-c", "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/health', timeout=2)"]
ENTRYPOINT ["allabel"]
CMD ["serve"]
