"""The warehouse: connections, COPY, migrations, and the embedded PostgreSQL that stands in where no server is given.

May import: domain, settings.
"""
