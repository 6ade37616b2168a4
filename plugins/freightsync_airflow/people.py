"""The API for people and for their tools: /freightsync/api/v1 on Airflow's API server.

Whoever calls is a user of Airflow's, with a token or a session of its own. Reading asks for the right to see the DAG
`work_disputes`, saying something for the right to edit it: the same persons who may answer it under *Required actions*.
What it says in the books is decided behind it, by the limits in `rules.approval_limit`; and it is the caller who says
it: nobody names another person. Where two must agree, the one recommends and the other accepts.
"""

import logging
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal

import psycopg
from fastapi import Depends, FastAPI, Path
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from freightsync_airflow.inbound import Connections, problem

log = logging.getLogger(__name__)

DAG = "work_disputes"
BILL = Path(pattern=r"^[A-Z0-9]{2,4}:[0-9]{1,18}$", description="as the list names it, e.g. NRDF:1042")


class Said(BaseModel):
    """What all that is said has in common."""

    model_config = ConfigDict(extra="forbid")
    note: str = Field("", max_length=2000)
    reference: str | None = Field(None, max_length=200)


class Proposal(Said):
    party: Literal["us", "carrier"] = "us"
    charges: dict[str, Decimal] = Field(default_factory=dict, max_length=500)
    """`SH100/LINEHAUL`: what is to be paid in all. None: what is owed for each that is undecided."""
    reason_code: str | None = Field(None, max_length=60)


class Answer(Said):
    accept: bool
    party: Literal["us", "carrier"] = "us"


class Recovery(Said):
    charges: dict[str, Decimal] = Field(min_length=1, max_length=500)


class Approval(BaseModel):
    model_config = ConfigDict(extra="forbid")
    bills: list[str] = Field(min_length=1, max_length=500)
    verdict: Literal["approved", "rejected"]
    note: str = Field("", max_length=2000)


class Lazily:
    """An application that is made when it is first called: every component of Airflow loads plugins, and only the API
    server can load what guards this one."""

    def __init__(self, make: Callable[[], FastAPI]) -> None:
        self._make = make
        self._app: FastAPI | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self._app is None:
            self._app = self._make()
        await self._app(scope, receive, send)


def application(connections: Connections | None = None) -> FastAPI:
    """The application. Airflow is imported here: its security exists only in the API server."""
    from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
    from airflow.api_fastapi.core_api.security import get_user, requires_access_dag

    app = FastAPI(
        title="freightsync",
        docs_url=None,
        redoc_url=None,
        openapi_url="/v1/openapi.json",
        dependencies=[Depends(requires_access_dag("GET", param_dag_id=DAG))],
    )
    pool = connections or Connections()
    may_write = [Depends(requires_access_dag("PUT", param_dag_id=DAG))]

    def answer(work: Callable[[psycopg.Connection[Any]], Any], status: int = 200) -> JSONResponse:
        from freightsync.cases.disputes import DisputeRefused
        from freightsync.domain.errors import NotEntitled, PermanentError

        try:
            with pool.borrow() as conn:
                found = work(conn)
                conn.commit()
        except NotEntitled as error:
            return problem(403, "Not entitled", error.message, what_to_do=error.what_to_do)
        except DisputeRefused as error:
            status = 404 if error.message.startswith(("nothing of this bill", "there is no proposal")) else 409
            return problem(status, "Not possible", error.message, what_to_do=error.what_to_do)
        except PermanentError as error:
            return problem(422, "Not understood", error.message, what_to_do=error.what_to_do)
        except psycopg.OperationalError:
            log.exception("a call could not be answered")
            return problem(503, "Not now", "try again")
        return JSONResponse(_plain(found), status_code=status)

    @app.get("/v1/disputes")
    def listed(state: str | None = None, scac: str | None = None) -> JSONResponse:
        from freightsync.cases import disputes

        return answer(
            lambda conn: [asdict(case) for case in disputes.cases(conn, states=[state] if state else (), scac=scac)]
        )

    @app.get("/v1/disputes/{bill}")
    def shown(bill: str = BILL) -> JSONResponse:
        from freightsync.cases import disputes

        return answer(
            lambda conn: {
                **asdict(disputes.case(conn, bill)),
                "lines": [asdict(line) for line in disputes.lines(conn, bill)],
                "events": [asdict(event) for event in disputes.events(conn, bill)],
            }
        )

    @app.post("/v1/disputes/{bill}/proposals", dependencies=may_write)
    def propose(given: Proposal, bill: str = BILL, user: BaseUser = Depends(get_user)) -> JSONResponse:
        from freightsync.cases import disputes

        def work(conn: psycopg.Connection[Any]) -> Any:
            charges = _charges(given.charges) or disputes.owed(disputes.lines(conn, bill))
            return {
                "proposal": disputes.propose(
                    conn, bill, given.party, charges, _saying(user, given), reason_code=given.reason_code
                )
            }

        return answer(work, 201)

    @app.post("/v1/proposals/{proposal}/answers", dependencies=may_write)
    def answered(proposal: int, given: Answer, user: BaseUser = Depends(get_user)) -> JSONResponse:
        from freightsync.cases import disputes

        def work(conn: psycopg.Connection[Any]) -> Any:
            saying = _saying(user, given)
            first = disputes.recommended_by(conn, proposal, but=saying.by) if given.party == "us" else None
            if first is not None and given.accept:
                saying = disputes.Saying(**{**vars(saying), "by": first, "approved_by": saying.by})
            return {"event": disputes.answer(conn, proposal, given.party, saying, accept=given.accept)}

        return answer(work, 201)

    @app.post("/v1/proposals/{proposal}/recommendations", dependencies=may_write)
    def recommended(proposal: int, given: Said, user: BaseUser = Depends(get_user)) -> JSONResponse:
        from freightsync.cases import disputes

        return answer(lambda conn: {"event": disputes.recommend(conn, proposal, _saying(user, given))}, 201)

    @app.post("/v1/disputes/{bill}/recoveries", dependencies=may_write)
    def recovered(given: Recovery, bill: str = BILL, user: BaseUser = Depends(get_user)) -> JSONResponse:
        from freightsync.cases import disputes

        return answer(
            lambda conn: {"event": disputes.settle_claim(conn, bill, _charges(given.charges), _saying(user, given))},
            201,
        )

    @app.get("/v1/approvals")
    def waiting() -> JSONResponse:
        from freightsync.cases import approvals

        return answer(lambda conn: [asdict(bill) for bill in approvals.waiting(conn)])

    @app.post("/v1/approvals", dependencies=may_write)
    def approve(given: Approval, user: BaseUser = Depends(get_user)) -> JSONResponse:
        from freightsync.cases import approvals

        return answer(
            lambda conn: {
                "decided": approvals.decide(
                    conn,
                    given.bills,
                    given.verdict,
                    by=user.get_name(),
                    at=datetime.now(UTC),
                    channel="api",
                    note=given.note,
                )
            }
        )

    return app


def _saying(user: Any, given: Said) -> Any:
    from freightsync.cases import disputes

    return disputes.Saying(
        by=user.get_name(), channel="api", at=datetime.now(UTC), note=given.note, reference=given.reference
    )


def _charges(given: dict[str, Decimal]) -> dict[tuple[str, str], Decimal]:
    """Raises PermanentError where a name is not SHIPMENT/CHARGE or an amount has parts of a cent."""
    from freightsync.domain.errors import PermanentError

    found = {}
    for name, amount in given.items():
        shipment, _, charge = name.rpartition("/")
        if not shipment or not charge or amount != amount.quantize(Decimal("0.01")):
            raise PermanentError(f"{name!r}: {amount} is not SHIPMENT/CHARGE with an amount in cents")
        found[f"tms:{shipment.removeprefix('tms:')}", charge] = amount
    return found


def _plain(found: Any) -> Any:
    """Amounts as decimal strings, times as ISO 8601."""
    if isinstance(found, dict):
        return {name: _plain(value) for name, value in found.items()}
    if isinstance(found, list | tuple):
        return [_plain(value) for value in found]
    if isinstance(found, Decimal):
        return str(found)
    if isinstance(found, datetime):
        return found.isoformat()
    return found
