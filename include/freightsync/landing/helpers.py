"""Processes that read and land files beside each other: reading is Python's work, and one process has one core.

A helper takes one file after the other from its standard input and answers on its standard output; it ends when the
input does, so that it never outlives its collector by more than a file. It is a program of its own and no fork: the
collector has threads (its SSH session), and a worker of a scheduler may not have children of multiprocessing.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from psycopg.errors import DeadlockDetected

from freightsync.domain.errors import TransientError
from freightsync.settings import Settings

if TYPE_CHECKING:
    from freightsync.landing.collecting import _File

MOST = 4
ATTEMPTS = 5
"""Two files with the same new records in another order may wait for each other; PostgreSQL then ends one of them."""


def run(settings: Settings, run_id: str, incomplete_seconds: float, files: Sequence[_File]) -> list[Any]:
    """What `collecting.take` gives for each of the files, in their order. Files go to whoever is free. Raises what the
    first one raised that failed; files behind it that nobody had begun are left for the next look."""
    taken: list[Any] = [None] * len(files)
    failures: list[BaseException] = []
    waiting = iter(enumerate(files))
    lock = threading.Lock()

    def next_file() -> tuple[int, _File] | None:
        with lock:
            return None if failures else next(waiting, None)

    def serve() -> None:
        try:
            with _Helper((settings, run_id, incomplete_seconds)) as helper:
                while (job := next_file()) is not None:
                    taken[job[0]] = helper.ask(job[1])
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=serve) for _ in range(min(MOST, os.cpu_count() or 1, len(files)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return taken


class _Helper:
    def __init__(self, given: object) -> None:
        self._given = given

    def __enter__(self) -> _Helper:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )
        self._send(self._given)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def ask(self, file: _File) -> Any:
        """What became of a file. Raises what was raised over it."""
        assert self._process.stdout is not None
        try:
            self._send(file)
            kind, answer = pickle.load(self._process.stdout)
        except (EOFError, BrokenPipeError) as error:
            code = self._process.wait()
            raise TransientError(
                f"the process that read {file.entry.name} ended ({code})",
                partner=file.sender.partner,
                document=file.entry.name,
                what_to_do="nothing: the file lies where it was and is read again",
            ) from error
        if kind == "raised":
            raise answer
        return answer

    def _send(self, what: object) -> None:
        assert self._process.stdin is not None
        pickle.dump(what, self._process.stdin)
        self._process.stdin.flush()


def _asked(stream: Any) -> Iterator[Any]:
    while True:
        try:
            yield pickle.load(stream)
        except EOFError:
            return


def main() -> None:
    """Takes files until there are no more."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    sys.stdout = sys.stderr  # whatever prints must not spoil an answer
    logging.basicConfig(level=logging.WARNING)
    asked = _asked(sys.stdin.buffer)
    settings, run_id, incomplete_seconds = next(asked)
    from freightsync.landing import collecting
    from freightsync.systems import sftp
    from freightsync.warehouse.connection import connect

    with connect(settings.dsn("app"), application_name="collect files") as conn, sftp.connect(settings) as session:
        for file in asked:
            answer: tuple[str, Any]
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    answer = ("taken", collecting.take(conn, settings, session, file, run_id, incomplete_seconds))
                except DeadlockDetected as error:
                    conn.rollback()
                    answer = ("raised", _portable(error))
                    if attempt < ATTEMPTS:
                        continue
                except Exception as error:
                    answer = ("raised", _portable(error))
                break
            pickle.dump(answer, answers)
            answers.flush()


def _portable(error: Exception) -> Exception:
    """The error itself, if it survives the way to another process."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return TransientError(f"{type(error).__name__}: {error}")
    return error


if __name__ == "__main__":
    main()
