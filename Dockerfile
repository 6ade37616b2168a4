# freightsync's image: Airflow, dbt, Great Expectations and the project, from the same hash-pinned lock as everywhere.
FROM python:3.12-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /opt/freightsync
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
COPY requirements/requirements.lock requirements/
RUN pip install --require-hashes --no-deps -r requirements/requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY include include
RUN pip install --no-deps --no-build-isolation . && python -m compileall -q /opt/venv/lib

FROM python:3.12-slim-bookworm
RUN useradd --create-home --uid 50000 freightsync \
    && mkdir -p /var/lib/freightsync && chown freightsync: /var/lib/freightsync
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    FREIGHTSYNC_PROJECT=/opt/freightsync \
    FREIGHTSYNC_HOME=/var/lib/freightsync \
    AIRFLOW_HOME=/var/lib/freightsync/airflow \
    PYTHONPATH=/opt/freightsync/plugins
WORKDIR /opt/freightsync
COPY --from=build /opt/venv /opt/venv
COPY --chown=root:root pyproject.toml README.md ./
COPY dags dags
COPY plugins plugins
COPY dbt dbt
COPY expectations expectations
USER freightsync
VOLUME /var/lib/freightsync
CMD ["airflow", "version"]
