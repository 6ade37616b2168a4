"""Alembic's entry: one connection as the owner, one transaction a revision."""

from alembic import context
from sqlalchemy import create_engine, pool
from sqlalchemy.engine import make_url

url = make_url(context.config.attributes["dsn"]).set(drivername="postgresql+psycopg")
engine = create_engine(url, poolclass=pool.NullPool)
with engine.connect() as connection:
    # the owner's own schema may be closed to it on a hardened server; the version table needs a known place
    connection.exec_driver_sql("SET search_path = public")
    connection.commit()
    context.configure(connection=connection, transaction_per_migration=True, version_table_schema="public")
    with context.begin_transaction():
        context.run_migrations()
engine.dispose()
