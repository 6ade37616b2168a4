import json
import os

import pytest

from freightsync.settings import Settings, SettingsError


@pytest.fixture(autouse=True)
def _clean(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith("FREIGHTSYNC_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FREIGHTSYNC_HOME", str(tmp_path))


def write_home(home, **values):
    path = home / "secrets" / "settings.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values))


def test_a_misspelt_variable_is_refused_and_the_right_name_offered(monkeypatch):
    monkeypatch.setenv("FREIGHTSYNC_APP_DNS", "postgresql://a:b@c/d")
    with pytest.raises(SettingsError, match=r"FREIGHTSYNC_APP_DNS.*did you mean FREIGHTSYNC_APP_DSN"):
        Settings.load()


def test_a_misspelt_nested_variable_is_refused_by_its_full_name(monkeypatch):
    monkeypatch.setenv("FREIGHTSYNC_SFTP__HOTS", "sftp.example")
    with pytest.raises(SettingsError, match=r"FREIGHTSYNC_SFTP__HOTS"):
        Settings.load()


def test_an_unknown_key_in_the_home_file_is_refused(tmp_path):
    write_home(tmp_path, app_dns="postgresql://a:b@c/d")
    with pytest.raises(SettingsError, match="APP_DNS"):
        Settings.load()


def test_given_beats_environment_beats_home_file(monkeypatch, tmp_path):
    write_home(tmp_path, sandbox_url="file", airflow_url="file", sftp={"host": "file", "port": 7})
    monkeypatch.setenv("FREIGHTSYNC_SANDBOX_URL", "environment")
    monkeypatch.setenv("FREIGHTSYNC_SFTP__HOST", "environment")
    found = Settings.load()
    assert (found.sandbox_url, found.airflow_url) == ("environment", "file")
    assert (found.sftp.host, found.sftp.port) == ("environment", 7)
    assert Settings.load(sandbox_url="given").sandbox_url == "given"


def test_partners_come_from_single_variables(monkeypatch):
    monkeypatch.setenv("FREIGHTSYNC_PARTNERS__ERP__BASE_URL", "https://erp.example")
    monkeypatch.setenv("FREIGHTSYNC_PARTNERS__ERP__TOKEN", "t0p")
    erp = Settings.load().partner("erp")
    assert erp.base_url == "https://erp.example"
    assert erp.token.get_secret_value() == "t0p"
    with pytest.raises(SettingsError, match=r"no partner `tms`.*known: erp"):
        Settings.load().partner("tms")


def test_settings_cannot_be_changed_after_reading():
    with pytest.raises(ValueError, match="frozen"):
        Settings.load().log_level = "DEBUG"  # type: ignore[misc]


def test_secrets_never_show_in_print_or_errors(monkeypatch):
    monkeypatch.setenv("FREIGHTSYNC_APP_DSN", "postgresql://app:hunter2@db/freightsync")
    monkeypatch.setenv("FREIGHTSYNC_PARTNERS__ERP__TOKEN", "hunter3")
    assert "hunter" not in repr(Settings.load())
    assert "hunter" not in str(Settings.load().model_dump())
    monkeypatch.setenv("FREIGHTSYNC_PARTNERS__ERP__TOKN", "hunter4")
    with pytest.raises(SettingsError) as refused:
        Settings.load()
    assert "hunter" not in str(refused.value)


def test_a_missing_database_says_what_to_do():
    with pytest.raises(SettingsError, match=r"make up.*FREIGHTSYNC_APP_DSN"):
        Settings.load().dsn("app")


def test_dbt_is_given_the_parts_of_its_url(monkeypatch):
    monkeypatch.setenv("FREIGHTSYNC_DBT_DSN", "postgresql://freightsync_dbt:p%40ss@db.example:6543/freightsync")
    found = Settings.load().dbt_environment()
    expected = {
        "DBT_HOST": "db.example",
        "DBT_PORT": "6543",
        "DBT_USER": "freightsync_dbt",
        "DBT_PASSWORD": "p@ss",
        "DBT_DATABASE": "freightsync",
    }
    assert expected.items() <= found.items()
