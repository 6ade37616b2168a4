"""The supervisor with one small web server in place of the sandbox partners and Airflow; started by test_supervisor.py.

Airflow's database is not prepared, and the warehouse gets the migrations alone.
"""

import os
import sys

from freightsync.settings import Settings
from freightsync.stack import databases, services, supervisor
from freightsync.warehouse import migrate
from freightsync.warehouse.embedded import EmbeddedPostgres

WEB = """
import http.server, os, signal, sys, time
if os.environ.get("SMALL_STACK_BROKEN"):
    sys.exit(os.environ["SMALL_STACK_BROKEN"])
if os.fork() == 0:              # a worker, deaf to polite requests, that loses nothing by living on
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.setpgid(0, 0)
    time.sleep(600)
time.sleep(float(os.environ.get("SMALL_STACK_SLOW", 0)))
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"{}")
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""


def web(settings: Settings) -> list[services.Service]:
    port = settings.airflow_url.rsplit(":", 1)[1]
    ready = services.Service(
        "web", "Web", (sys.executable, "-c", WEB, port), lambda started: services.get(settings.airflow_url) is not None
    )
    return [ready]


class SmallSupervisor(supervisor.Supervisor):
    def prepare_airflow(self, environment, keys):
        pass

    def prepare_warehouse(self, settings, found):
        with self.step("Warehouse"):
            if not databases.warehouse_is_ready(found.admin, self.home.project, fresh=self.fresh):
                databases.prepare_warehouse(settings, found.admin, fresh=self.fresh)

    def wait_for_dags(self, settings):
        pass


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    partners = services.partners
    services.partners = lambda home, settings: partners(home, settings)[:1]
    services.airflow = web
    databases.embedded = lambda home: EmbeddedPostgres(home.postgres, parameters={"fsync": "off"})
    databases.build_warehouse = lambda settings: migrate.upgrade(settings.dsn("owner"))
    supervisor.main(SmallSupervisor)
