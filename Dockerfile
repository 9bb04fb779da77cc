# or-otel as an image: the exporter by default, every other command by its name.

FROM python:3.13-slim-bookworm AS build
WORKDIR /source
COPY . .
RUN python -m venv --without-pip /opt/or-otel \
    && python -m pip --python /opt/or-otel/bin/python install --no-cache-dir --disable-pip-version-check '.[demo]'

FROM python:3.13-slim-bookworm
# Nothing is installed into the running image, so nothing that installs is left in it.
RUN python -m pip uninstall --yes --quiet --root-user-action=ignore pip \
    && useradd --system --uid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin or-otel \
    && install --directory --owner=10001 --group=10001 --mode=0700 /var/lib/or-otel
COPY --from=build /opt/or-otel /opt/or-otel
ENV PATH=/opt/or-otel/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001
EXPOSE 9877
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9877/healthz', timeout=4)"]
ENTRYPOINT ["or-otel"]
CMD ["exporter", "--listen", "0.0.0.0:9877"]
