"""Country adapters as folders: what is wrong with one is said by file and row, before anything of it is recorded."""

from __future__ import annotations

from pathlib import Path

import pytest

from freightsync.local import AdapterInvalid, adapters
from freightsync.local.adapters import profile_of
from freightsync.local.conditions import FACTS, compile_conditions

ZONES = "rule_id,rule_version,zone,country,valid_from,recorded_at,recorded_by,note\n"
RULES = (
    "rule_id,rule_version,priority,conditions,treatment,category,place,rate_class,reason,source,valid_from,recorded_at,"
    "recorded_by\n"
)
SINCE = "2000-01-01,2000-01-01T00:00:00+00:00,test"


def adapter(directory: Path, name: str = "zz", zones: str = f"z,1,zz,ZZ,{SINCE},x\n", rules: str = "") -> Path:
    folder = directory / name
    folder.mkdir()
    (folder / "zones.csv").write_text(ZONES + zones, encoding="utf-8")
    if rules:
        (folder / "rules.csv").write_text(RULES + rules, encoding="utf-8")
    return directory


def test_ours() -> None:
    found = {one.name: one for one in adapters()}
    assert set(found) == {"eu", "in", "us"}
    assert found["us"].countries == {"US"}
    assert len(found["eu"].countries) == 28  # with the United Kingdom until the end of 2020
    for one in found.values():
        rules = one.tables["tax_rule"]
        assert all(row["source"] and row["reason"] for row in rules)
        versions = [(row["rule_id"], row["rule_version"]) for row in rules]
        assert len(versions) == len(set(versions))
        # a class that a rule names has a rate somewhere
        classes = {row["rate_class"] for row in one.tables["tax_rate"]}
        assert {row["rate_class"] for row in rules} - {""} <= classes


def test_states_of_the_union_that_differ() -> None:
    """At least twelve states treat freight, and in at least six ways."""
    us = next(one for one in adapters() if one.name == "us")
    ways: dict[str, set[str]] = {}
    for row in us.tables["tax_rule"]:
        state = row["rule_id"].split(".")[1].upper()
        if ".freight" in row["rule_id"] and len(state) == 2:
            ways.setdefault(state, set()).add(f"{row['treatment']} {row['conditions'].replace(state, '')}")
    assert len(ways) >= 16
    assert len({frozenset(way) for way in ways.values()}) >= 8


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"zones": f"z,1,yy,ZZ,{SINCE},x\n"}, "judges nobody"),
        ({"zones": f"z,1,zz,DE,{SINCE},x\n"}, "judged by eu and by zz"),
        ({"name": "Z-Z"}, "no name of an adapter"),
        ({"name": "us", "zones": f"z,1,us,ZZ,{SINCE},x\n"}, "two adapters us"),
        ({"rules": f"r,1,1,line.kind,taxed,S,ship_to,standard,x,law,{SINCE}\n"}, r"zz/rules\.csv row 2.*no condition"),
        ({"rules": f"r,1,1,line.colour=red,taxed,S,ship_to,standard,x,law,{SINCE}\n"}, "no fact 'line.colour'"),
        ({"rules": f"r,1,1,,taxed,S,ship_to,standard,x,law,{SINCE}\n"}, "without conditions"),
        ({"rules": f"r,1,1,supply=goods,taxed,S,ship_to,standard,x,,{SINCE}\n"}, "names its source"),
        ({"rules": "r,1,1\n"}, "as many columns"),
    ],
)
def test_a_broken_folder_is_refused(tmp_path: Path, given: dict[str, str], words: str) -> None:
    with pytest.raises(AdapterInvalid, match=words):
        adapters([adapter(tmp_path, **given)])


def test_conditions() -> None:
    assert compile_conditions("line.kind=freight|goods; customer.pickup_option=!no") == {
        "line.kind": {"in": ["freight", "goods"]},
        "customer.pickup_option": {"not": ["no"]},
    }
    for wrong in ("a", "supply=goods; supply=transport", "supply=", "supply=a b", ""):
        with pytest.raises(ValueError, match=r"."):
            compile_conditions(wrong)
    assert all("." in fact or fact == "supply" for fact in FACTS)


def test_profiles() -> None:
    eu = next(one for one in adapters() if one.name == "eu")
    assert profile_of(eu, "DE")[0] == "xrechnung"
    assert profile_of(eu, "FR")[0] == "en16931"
    assert profile_of(eu, "FR", "peppol")[0] == "peppol"
    with pytest.raises(AdapterInvalid, match="profile nothing"):
        profile_of(eu, "FR", "nothing")
    with pytest.raises(AdapterInvalid, match="no e-invoice profile"):
        profile_of(next(one for one in adapters() if one.name == "us"), "US")


def test_the_folders_hold_data_alone() -> None:
    for one in adapters():
        assert {path.suffix for path in one.folder.iterdir()} <= {".csv", ".yaml"}
