"""What belongs to an installation is found and ended; what only looks like it is not."""

import os
import subprocess
import sys
import time

import psutil
import pytest

from freightsync.stack.processes import Identity, everything_of, kill_session, register, rotate, spawn

FORKS = """
import os, sys, time
if os.fork() == 0:
    os.setpgid(0, 0)          # as Airflow's tasks do: a group of its own, in the same session
    time.sleep(600)
open(sys.argv[1], "w").write("ready")
time.sleep(600)
"""


def lives(pid):
    return Identity.of(pid) is not None


@pytest.fixture
def started(tmp_path):
    """A process that forked another one, entered in a register, without the marker in its environment."""
    ready = tmp_path / "ready"
    leader = spawn(
        [sys.executable, "-c", FORKS, str(ready)], environment=os.environ, directory=tmp_path, log=tmp_path / "x.log"
    )
    register(tmp_path / "processes.jsonl", leader.pid)
    while not ready.exists():
        assert leader.poll() is None, (tmp_path / "x.log").read_text()
        time.sleep(0.01)
    fork = psutil.Process(leader.pid).children()[0]
    yield leader, fork
    for process in (leader, fork):
        if lives(process.pid):
            process.kill()
    leader.wait()


def found(tmp_path):
    return {process.pid for process in everything_of(tmp_path / "processes.jsonl", tmp_path, but=set())}


def test_a_fork_is_found_when_its_parent_was_killed(tmp_path, started):
    leader, fork = started
    assert found(tmp_path) == {leader.pid, fork.pid}
    leader.kill()
    leader.wait()
    assert found(tmp_path) == {fork.pid}


def test_a_session_ends_with_all_it_forked(tmp_path, started):
    leader, fork = started
    kill_session(Identity.of(leader.pid))
    leader.wait()
    assert not lives(fork.pid)


def test_a_later_process_with_a_registered_id_is_left_alone(tmp_path, started):
    leader, _ = started
    identity = Identity.of(leader.pid)
    # the register speaks of a process that had this id an hour ago
    (tmp_path / "processes.jsonl").write_text(f"[{identity.pid}, {identity.started - 3600}]\n")
    assert found(tmp_path) == set()
    kill_session(Identity(identity.pid, identity.started - 3600))
    assert lives(leader.pid)


def test_a_register_cut_off_by_a_crash_is_still_read(tmp_path, started):
    leader, fork = started
    with (tmp_path / "processes.jsonl").open("a") as handle:
        handle.write("[12")
    assert found(tmp_path) == {leader.pid, fork.pid}


def test_the_log_of_a_running_process_is_moved_aside_and_goes_on(tmp_path):
    log = tmp_path / "x.log"
    writer = "import sys, time\nfor i in range(10**6):\n print('line', i, flush=True); time.sleep(0.001)"
    process = spawn([sys.executable, "-c", writer], environment=os.environ, directory=tmp_path, log=log)
    try:
        while not log.exists() or log.stat().st_size < 2000:
            assert process.poll() is None
            time.sleep(0.01)
        rotate(log, limit=1000)
        assert log.with_name("x.log.1").stat().st_size >= 2000
        while not log.read_bytes().startswith(b"line"):  # no hole of zeros where the old text was
            assert b"\0" not in log.read_bytes()[:1]
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait()


def test_a_zombie_is_not_alive():
    process = subprocess.Popen([sys.executable, "-c", ""])
    while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    assert Identity.of(process.pid) is None
    process.wait()
