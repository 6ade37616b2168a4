"""Directories of partners on an SFTP server whose host key is pinned: list, read, archive, leave files."""

from __future__ import annotations

import base64
import binascii
import posixpath
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import paramiko

from freightsync.domain.errors import PartnerUnavailable, PermanentError
from freightsync.settings import Settings

CONNECT_SECONDS = 10.0
CALL_SECONDS = 60.0


@dataclass(frozen=True)
class Entry:
    """A file lying there. mtime: seconds since 1970 by the server's clock, whole."""

    name: str
    size: int
    mtime: int


class Directory:
    """One partner's inbound directory and the archive beside it. Raises PartnerUnavailable where the server fails."""

    def __init__(self, sftp: paramiko.SFTPClient, partner: str, inbound: str, archive: str) -> None:
        self.sftp = sftp
        self.partner = partner
        self.inbound = inbound
        self.archive_directory = archive

    def list(self) -> list[Entry]:
        """The regular files there, by name; those still being sent under another name (`.tmp`, hidden) left out."""
        with self._typed("list", self.inbound):
            found = self.sftp.listdir_attr(self.inbound)
        return sorted(
            (
                Entry(one.filename, int(one.st_size or 0), int(one.st_mtime or 0))
                for one in found
                if stat.S_ISREG(one.st_mode or 0)
                and not one.filename.startswith(".")
                and not one.filename.endswith(".tmp")
            ),
            key=lambda entry: entry.name,
        )

    def read(self, name: str) -> bytes:
        path = posixpath.join(self.inbound, name)
        with self._typed("read", path), self.sftp.open(path, "rb") as file:
            file.prefetch()
            return file.read()

    def archive(self, name: str, as_name: str) -> None:
        """Moves a file to the archive; one that is there under this name already has the same content and is replaced.
        A file that is gone was moved before."""
        source, target = posixpath.join(self.inbound, name), posixpath.join(self.archive_directory, as_name)
        with self._typed("archive", source):
            try:
                self.sftp.posix_rename(source, target)
            except FileNotFoundError:
                self.sftp.stat(target)

    def put(self, name: str, content: bytes) -> None:
        """A file is there as a whole or not at all: written under another name, then renamed. One of this name is
        replaced."""
        path = posixpath.join(self.inbound, name)
        with self._typed("write", path):
            with self.sftp.open(path + ".tmp", "wb") as file:
                file.set_pipelined(True)
                file.write(content)
            self.sftp.posix_rename(path + ".tmp", path)

    @contextmanager
    def _typed(self, what: str, path: str) -> Iterator[None]:
        try:
            yield
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise PartnerUnavailable(
                f"could not {what} {path} ({type(error).__name__}: {error})",
                partner=self.partner,
                document=posixpath.basename(path),
                what_to_do="nothing: it is tried again; if it stays so, check the account's rights on the server",
            ) from error


@contextmanager
def connect(settings: Settings) -> Iterator[paramiko.SFTPClient]:
    """A session of our collecting account. Raises PermanentError for a server whose key is not the pinned one or that
    refuses the password, PartnerUnavailable for one that can't be reached."""
    server = settings.sftp
    where = f"{server.host}:{server.port}"
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.RejectPolicy())
    name = server.host if server.port == 22 else f"[{server.host}]:{server.port}"
    key = _host_key(server.host_key, where)
    client.get_host_keys().add(name, key.get_name(), key)
    try:
        try:
            client.connect(
                server.host,
                server.port,
                username=server.user,
                password=server.password.get_secret_value(),
                allow_agent=False,
                look_for_keys=False,
                timeout=CONNECT_SECONDS,
                banner_timeout=CONNECT_SECONDS,
                auth_timeout=CONNECT_SECONDS,
                disabled_algorithms={"pubkeys": []},
            )
            sftp = client.open_sftp()
        except paramiko.BadHostKeyException as error:
            raise PermanentError(
                f"the SFTP server {where} shows another host key than the pinned one",
                what_to_do="find out whether the server was replaced; pin the new key only when its owner confirms it",
            ) from error
        except paramiko.AuthenticationException as error:
            raise PermanentError(
                f"the SFTP server {where} refuses the account {server.user}",
                what_to_do="check FREIGHTSYNC_SFTP__USER and FREIGHTSYNC_SFTP__PASSWORD",
            ) from error
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise PartnerUnavailable(
                f"the SFTP server {where} can't be reached ({type(error).__name__}: {error})",
                what_to_do="nothing: it is tried again; if it stays away, check the server",
            ) from error
        channel = sftp.get_channel()
        if channel is not None:
            channel.settimeout(CALL_SECONDS)
        yield sftp
    finally:
        client.close()


class Files:
    """Leaves files, over one session that is opened at the first of them and again after it broke. Raises what
    `connect` does, and PartnerUnavailable where a file could not be written."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stack = ExitStack()
        self._session: paramiko.SFTPClient | None = None

    def put(self, partner: str, directory: str, name: str, content: bytes) -> None:
        if self._session is None:
            self._session = self._stack.enter_context(connect(self._settings))
        try:
            Directory(self._session, partner, directory, directory).put(name, content)
        except Exception:
            self.close()
            raise

    def close(self) -> None:
        self._session = None
        self._stack.close()


def _host_key(text: str, where: str) -> paramiko.PKey:
    try:
        kind, encoded, *_ = text.split()
        return paramiko.PKey.from_type_string(kind, base64.b64decode(encoded, validate=True))
    except (ValueError, binascii.Error, paramiko.SSHException) as error:
        raise PermanentError(
            f"no host key is pinned for the SFTP server {where}",
            what_to_do="set FREIGHTSYNC_SFTP__HOST_KEY to its public key, e.g. `ssh-ed25519 AAAA…`",
        ) from error
