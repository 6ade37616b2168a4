"""The SFTP server as its two kinds of client see it: paramiko (tasks) and asyncssh (triggers)."""

import asyncio
import base64
import threading
import time

import asyncssh
import paramiko
import psutil
import pytest

from freightsync.domain.errors import PartnerUnavailable
from freightsync.sandbox.sftp_server import Account, ServerConfig, ensure_host_key, serve
from freightsync.settings import Settings
from freightsync.systems.sftp import Files

USERS = {
    "freightsync": Account("collects", ""),
    "nrdf": Account("carries", "nrdf"),
    "bluw": Account("hauls", "bluw"),
}


@pytest.fixture
def server(tmp_path):
    config = ServerConfig("127.0.0.1", 0, tmp_path / "sftp", tmp_path / "host_key", USERS)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    listening = asyncio.run_coroutine_threadsafe(serve(config), loop).result(10)
    yield listening.get_port(), ensure_host_key(config.host_key), config.root

    async def close():
        listening.close()
        await listening.wait_closed()

    asyncio.run_coroutine_threadsafe(close(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def client(server, user, password, host_key=None):
    port, pinned, _ = server
    kind, key = (host_key or pinned).split()
    connection = paramiko.SSHClient()
    connection.get_host_keys().add(f"[127.0.0.1]:{port}", kind, paramiko.Ed25519Key(data=base64.b64decode(key)))
    connection.connect("127.0.0.1", port, user, password, look_for_keys=False, allow_agent=False, timeout=10)
    return connection


def test_a_carrier_sees_its_own_directory_and_nothing_above(server):
    (server[2] / "secret").write_text("ours")
    with client(server, "nrdf", "carries") as connection, connection.open_sftp() as sftp:
        assert sorted(sftp.listdir("/")) == ["archive", "inbound", "outbound"]
        assert sorted(sftp.listdir("/../..")) == ["archive", "inbound", "outbound"]
        with pytest.raises(FileNotFoundError):
            sftp.open("/../secret").read()
        with pytest.raises(FileNotFoundError):
            sftp.listdir("/bluw")


def test_a_link_cannot_lead_out(server):
    with client(server, "nrdf", "carries") as connection, connection.open_sftp() as sftp:
        with pytest.raises(PermissionError):
            sftp.symlink("../..", "/inbound/up")
        assert sftp.listdir("/inbound") == []


def test_what_a_carrier_leaves_the_collector_reads_and_moves(server):
    with client(server, "nrdf", "carries") as connection, connection.open_sftp() as sftp:
        with sftp.open("/inbound/210.edi.tmp", "w") as handle:
            handle.write("ISA*…")
        sftp.posix_rename("/inbound/210.edi.tmp", "/inbound/210.edi")
    with client(server, "freightsync", "collects") as connection, connection.open_sftp() as sftp:
        assert sftp.open("/nrdf/inbound/210.edi").read().decode() == "ISA*…"
        sftp.rename("/nrdf/inbound/210.edi", "/nrdf/archive/210.edi")
        assert sftp.listdir("/nrdf/inbound") == []


def test_asyncssh_reads_with_the_pinned_key(server):
    port, pinned, root = server
    (root / "bluw" / "inbound" / "a.csv").write_bytes(b"1,2\n")

    async def read():
        known = asyncssh.import_known_hosts(f"[127.0.0.1]:{port} {pinned}\n")
        async with (
            asyncssh.connect(
                "127.0.0.1", port, username="freightsync", password="collects", known_hosts=known
            ) as connection,
            connection.start_sftp_client() as sftp,
            sftp.open("/bluw/inbound/a.csv", "rb") as handle,
        ):
            return await handle.read()

    assert asyncio.run(read()) == b"1,2\n"


def test_another_host_key_is_refused_by_the_client_that_pinned(server, tmp_path):
    other = ensure_host_key(tmp_path / "another")
    with pytest.raises(paramiko.BadHostKeyException):
        client(server, "nrdf", "carries", host_key=other)


@pytest.mark.parametrize(("user", "password"), [("nrdf", "wrong"), ("nrdf", ""), ("nobody", ""), ("nobody", "x")])
def test_wrong_credentials_are_refused(server, user, password):
    with pytest.raises(paramiko.AuthenticationException):
        client(server, user, password)


def test_no_shell_and_no_commands(server):
    with client(server, "nrdf", "carries") as connection, pytest.raises(paramiko.SSHException):
        connection.exec_command("id")[1].read()


def test_the_host_key_is_kept_and_private(tmp_path):
    first = ensure_host_key(tmp_path / "key")
    assert ensure_host_key(tmp_path / "key") == first
    assert (tmp_path / "key").stat().st_mode & 0o077 == 0


def test_files_are_left_over_one_session_and_over_a_new_one_after_it_broke(server):
    port, pinned, root = server
    settings = Settings.load(sftp={"port": port, "user": "freightsync", "password": "collects", "host_key": pinned})
    files = Files(settings)

    def sessions():
        ends = time.monotonic() + 10
        while (
            found := [one for one in psutil.Process().net_connections("tcp") if one.raddr and one.raddr.port == port]
        ) and any(one.status != psutil.CONN_ESTABLISHED for one in found):
            assert time.monotonic() < ends, found
            time.sleep(0.02)
        return len(found)

    assert sessions() == 0
    for name, place in (("a", "nrdf"), ("b", "bluw"), ("a", "nrdf")):
        files.put(place, f"/{place}/outbound", name, name.encode() * 9)
        assert sessions() == 1
    with pytest.raises(PartnerUnavailable, match="could not write /nowhere/outbound/c") as lost:
        files.put("nobody", "/nowhere/outbound", "c", b"c")
    assert lost.value.partner == "nobody"
    assert sessions() == 0
    files.put("nrdf", "/nrdf/outbound", "d", b"d")
    assert sessions() == 1
    files.close()
    assert sessions() == 0
    assert [path.name for path in sorted((root / "nrdf/outbound").iterdir())] == ["a", "d"]
    assert (root / "bluw/outbound/b").read_bytes() == b"bbbbbbbbb"
