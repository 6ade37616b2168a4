"""Settings: one immutable object, the only reader of the environment.

Every value comes, in this order, from what the caller gives, from an environment variable `FREIGHTSYNC_<NAME>` (nested
with a double underscore: `FREIGHTSYNC_SFTP__HOST`), from `<home>/secrets/settings.json` (written by the local stack, so
that a command typed beside a running stack finds its databases and ports), or from the default here. An unknown
variable or key is refused by name: a misspelt setting must not be silently ignored.
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

PREFIX = "FREIGHTSYNC_"
TESTS = "FREIGHTSYNC_TEST_"
"""Variables of the tests, which the project does not read and does not mind."""

Role = Literal["owner", "app", "dbt", "report", "airflow", "admin"]
"""Whose database URL."""


class SettingsError(Exception):
    """The settings don't fit together; the message names the variable and says what would."""


def find_project() -> Path:
    """The directory that holds dags/, dbt/ and expectations/: the clone that this file lies in, else the working
    directory (an installed wheel in an image)."""
    clone = Path(__file__).resolve().parents[2]
    return clone if (clone / "pyproject.toml").is_file() else Path.cwd()


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SftpSettings(_Part):
    """The SFTP server where carriers and 3PLs leave their files, and the account that we fetch them with."""

    host: str = "127.0.0.1"
    port: int = Field(default=0, ge=0, le=65535, description="0: none known; the local stack picks a free one")
    user: str = "freightsync"
    password: SecretStr = SecretStr("")
    host_key: str = Field(default="", description="pinned: `ssh-ed25519 AAAA…`; an unpinned server is refused")


class PartnerSettings(_Part):
    """One partner system's address and the secrets that we and it share."""

    base_url: str = ""
    token: SecretStr = SecretStr("")
    webhook_secret: SecretStr = SecretStr("")
    sftp_user: str = ""
    sftp_password: SecretStr = SecretStr("")


class DemoSettings(_Part):
    """What `freightsync demo` plays unless its options say otherwise."""

    seed: int = Field(default=1, ge=0)
    orders: int = Field(default=500, ge=1)


class Settings(BaseSettings):
    """Everything that can be set. `Settings.load()` is the way to get one."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_ignore_empty=True,
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
    )

    project: Path = Field(default_factory=find_project, description="where dags/, dbt/ and expectations/ are")
    home: Path = Field(
        default_factory=lambda: find_project() / "var",
        description="what this installation writes: databases, logs, secrets, files",
    )

    owner_dsn: SecretStr | None = Field(
        default=None, description="warehouse database URL, owner of the tables (migrations)"
    )
    app_dsn: SecretStr | None = Field(default=None, description="warehouse database URL of the running stack")
    dbt_dsn: SecretStr | None = Field(default=None, description="warehouse database URL for dbt")
    report_dsn: SecretStr | None = Field(default=None, description="warehouse database URL, read only, for reports")
    airflow_dsn: SecretStr | None = Field(default=None, description="Airflow's metadata database URL")
    admin_dsn: SecretStr | None = Field(
        default=None, description="database URL that may make databases and roles; used only to prepare a server"
    )

    sftp: SftpSettings = SftpSettings()
    partners: dict[str, PartnerSettings] = Field(default_factory=dict)
    carrier_folder: Path | None = Field(
        default=None,
        description="folder of a deployment's own carriers: a `partners.yaml` beside the installed one, and mappings",
    )
    sandbox_url: str = Field(default="", description="control address of the sandbox partners, where they run")
    inbound_url: str = Field(default="", description="base address where partners' webhooks reach us")
    sweep_seconds: int = Field(default=60, ge=1, description="how often timed sweeps look for what events missed")
    linger_seconds: float = Field(
        default=8.0, ge=0, description="how long a run stays for more after its last work, warm; 0: it ends at once"
    )
    give_up_days: float = Field(
        default=3.0, gt=0, description="how long a message without a yes or no is sent again; then it is a dead letter"
    )
    local_directory: Path | None = Field(
        default=None, description="further country adapters (a folder each), and the company's own tax rules as CSV"
    )
    einvoice_directory: str = Field(
        default="",
        description="directory on our SFTP server from which the access point fetches e-invoices; empty: they are kept "
        "in the warehouse only",
    )
    airflow_url: str = Field(default="", description="address of Airflow's UI and REST API")
    demo: DemoSettings = DemoSettings()
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @model_validator(mode="before")
    @classmethod
    def _absolute_paths(cls, values: Any) -> Any:
        if isinstance(values, dict):
            for name in ("home", "project", "carrier_folder"):
                if values.get(name) is not None:
                    values[name] = Path(values[name]).expanduser().resolve()
        return values

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings, env_settings, _HomeFile(settings_cls))

    @classmethod
    def given(cls) -> Settings:
        """Only what the environment says, without what a local stack wrote into the home."""
        return _WithoutHomeFile.load()

    @classmethod
    def load(cls, **given: Any) -> Settings:
        """Reads the settings. Raises SettingsError naming every variable that is unknown or wrong."""
        _refuse_unknown(os.environ, cls)
        try:
            return cls(**given)
        except ValidationError as error:
            lines = [
                f"{PREFIX}{'__'.join(str(part) for part in found['loc']).upper()}: {found['msg']}"
                for found in error.errors()
            ]
            raise SettingsError("settings refused:\n  " + "\n  ".join(lines)) from None

    # -- places -----------------------------------------------------------------------------------------------------

    @property
    def run_directory(self) -> Path:
        """Pid files, locks, remembered ports."""
        return self.home / "run"

    @property
    def log_directory(self) -> Path:
        return self.home / "log"

    @property
    def secrets_directory(self) -> Path:
        """0700; every file in it 0600."""
        return self.home / "secrets"

    @property
    def dbt_project(self) -> Path:
        return self.project / "dbt"

    @property
    def expectations(self) -> Path:
        return self.project / "expectations"

    # -- what others are given --------------------------------------------------------------------------------------

    def dsn(self, role: Role) -> str:
        """The database URL of a role, in the clear. Raises SettingsError where it is not known."""
        value: SecretStr | None = getattr(self, f"{role}_dsn")
        if value is None or not value.get_secret_value():
            raise SettingsError(
                f"no database known for the role `{role}`: start the local stack (`make up`) or set "
                f"{PREFIX}{role.upper()}_DSN=postgresql://user:password@host:5432/database"
            )
        return value.get_secret_value()

    def dbt_environment(self) -> dict[str, str]:
        """The variables that dbt/profiles.yml reads: DBT_HOST, DBT_PORT, DBT_USER, DBT_PASSWORD, DBT_DATABASE."""
        parts = urlsplit(self.dsn("dbt"))
        return {
            "DBT_HOST": parts.hostname or "127.0.0.1",
            "DBT_PORT": str(parts.port or 5432),
            "DBT_USER": unquote(parts.username or ""),
            "DBT_PASSWORD": unquote(parts.password or ""),
            "DBT_DATABASE": parts.path.lstrip("/"),
            "DBT_PROFILES_DIR": str(self.dbt_project),
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        }

    def partner(self, name: str) -> PartnerSettings:
        """A partner's settings. Raises SettingsError naming the partners that are known."""
        try:
            return self.partners[name]
        except KeyError:
            known = ", ".join(sorted(self.partners)) or "none"
            raise SettingsError(
                f"no partner `{name}` in the settings (known: {known}); set "
                f"{PREFIX}PARTNERS__{name.upper()}__BASE_URL or start the local stack (`make up`)"
            ) from None


class _WithoutHomeFile(Settings):
    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings, env_settings)


class _HomeFile(PydanticBaseSettingsSource):
    """`<home>/secrets/settings.json`, written by the local stack."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        given = self.current_state.get("home")
        home = Path(given).expanduser() if given else find_project() / "var"
        path = home / "secrets" / "settings.json"
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, PermissionError):
            # a user who may not read the secrets gets the defaults; asking for a secret then says what is missing
            return {}
        except json.JSONDecodeError as error:
            raise SettingsError(f"{path} is not valid JSON ({error}); remove it and run `make up`") from None
        return dict(found)


def _refuse_unknown(environment: Mapping[str, str], cls: type[Settings]) -> None:
    known = {PREFIX + name.upper() for name in cls.model_fields}
    for name in environment:
        upper = name.upper()
        if not upper.startswith(PREFIX) or upper.startswith(TESTS) or upper.split("__", 1)[0] in known:
            continue
        near = difflib.get_close_matches(upper, sorted(known), n=1)
        hint = f"; did you mean {near[0]}?" if near else f"; known: {', '.join(sorted(known))}"
        raise SettingsError(f"unknown setting {name} in the environment{hint}")


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings of this process, read once."""
    return Settings.load()
