# The backend and its worker. Build with --build-arg EXTRA=-sbert for sentence embeddings.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ARG EXTRA=""
WORKDIR /build
RUN python3 -m venv /opt/allabel
COPY requirements*.txt ./
RUN /opt/allabel/bin/pip install --no-cache-dir -r requirements.txt \
 && if [ -n "$EXTRA" ]; then /opt/allabel/bin/pip install --no-cache-dir -r requirements${EXTRA}.txt; fi
COPY pyproject.toml README.md LICENSE ./
COPY allabel_core allabel_core
COPY backend backend
RUN /opt/allabel/bin/pip install --no-cache-dir --no-deps .

FROM ${PYTHON_IMAGE}
RUN useradd --system --uid 10001 --no-create-home allabel
COPY --from=build /opt/allabel /opt/allabel
ENV PATH=/opt/allabel/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOST=0.0.0.0 NUMBA_CACHE_DIR=/tmp/numba
USER allabel
EXPOSE 9090
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["python3", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:9090/health', timeout=2)"]
ENTRYPOINT ["allabel"]
CMD ["serve"]
