"""The web application for people who bring in bills: /freightsync/invoices on Airflow's API server.

    POST /upload?carrier=SCAC&name=FILE&kind=invoices    the file as the body; 202, 200 for one that is here already
    GET  /template?kind=invoices                         the empty workbook

The caller is an Airflow user (token or session, as for Airflow's own API) with one of ROLES; its name is kept with the
document.
"""

import logging
from typing import Any

import anyio.to_thread
import psycopg
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from freightsync_airflow.inbound import Connections, problem

log = logging.getLogger(__name__)

ROLES = frozenset({"finance", "steward", "data_engineer", "Admin"})
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def may_upload(user: Any) -> bool:
    """Whether the user has a role for it. Users of other authorisations than FAB have no such roles."""
    return any(getattr(role, "name", None) in ROLES for role in getattr(user, "roles", None) or ())


def application(connections: Connections | None = None) -> FastAPI:
    """The application, with a pool of its own. Airflow is imported here: its security exists only in the API server."""
    from airflow.api_fastapi.core_api.security import GetUserDep

    app = FastAPI(title="freightsync invoices", docs_url=None, redoc_url=None, openapi_url=None)
    pool = connections or Connections(2)

    @app.post("/upload")
    async def upload(
        request: Request, user: GetUserDep, carrier: str, name: str = "upload", kind: str = "invoices"
    ) -> Response:
        from freightsync.landing import uploads

        if not may_upload(user):
            return _not_yours()
        announced = request.headers.get("content-length", "")
        content = bytearray()
        too_large = announced.isdigit() and int(announced) > uploads.LARGEST_UPLOAD
        if not too_large:
            async for part in request.stream():
                content += part
                if len(content) > uploads.LARGEST_UPLOAD:
                    too_large = True
                    break
        if too_large:
            return problem(413, "Too large", f"an upload may have {uploads.LARGEST_UPLOAD} bytes: split it")
        by = str(user.get_name())
        return await anyio.to_thread.run_sync(_taken, pool, bytes(content), name, carrier.upper(), by, kind)

    @app.get("/template")
    def template(user: GetUserDep, kind: str = "invoices") -> Response:
        from freightsync.landing import uploads

        if not may_upload(user):
            return _not_yours()
        if kind not in uploads.KINDS:
            return problem(404, "No such template", f"there are {', '.join(uploads.KINDS)}")
        headers = {"Content-Disposition": f'attachment; filename="{kind}.xlsx"'}
        return Response(uploads.template(kind), media_type=XLSX, headers=headers)

    return app


def _not_yours() -> JSONResponse:
    return problem(403, "Not yours to do", f"bills are uploaded by {', '.join(sorted(ROLES))}")


def _taken(pool: Connections, content: bytes, name: str, carrier: str, by: str, kind: Any) -> JSONResponse:
    from freightsync.landing import uploads

    try:
        with pool.borrow() as connection:
            done = uploads.upload(connection, content, name=name, scac=carrier, by=by, kind=kind)
    except uploads.UploadRefused as error:
        return problem(422, "Nothing was taken in", error.message, what_to_do=error.what_to_do)
    except psycopg.OperationalError:
        log.exception("an upload of %s could not be landed", by)
        return problem(503, "Not now", "nothing was kept: upload it again")
    body: dict[str, Any] = {
        "correlation_id": done.correlation_id,
        "document_id": done.document_id,
        "invoices": done.invoices,
        "duplicates": done.duplicates,
        "errors": [{"at": where, "message": what} for where, what in done.problems],
    }
    if done.first_at is not None:
        body["uploaded_before"] = {"by": done.first_by, "at": done.first_at.isoformat()}
        return JSONResponse(body, status_code=200)
    return JSONResponse(body, status_code=422 if done.problems else 202)
