"""Reads a page that explains bills as a person with a calculator would: every calculation and every sum on it again."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from html.parser import HTMLParser

NUMBER = re.compile(r"[\d,]+(?:\.\d+)?")
VOID = {"meta", "br", "img", "link", "hr"}


@dataclass
class TableRead:
    """heads: heading and whether its column is of figures. foot: the row of sums, where there is one."""

    caption: str = ""
    heads: list[tuple[str, bool]] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    foot: list[str] = field(default_factory=list)


@dataclass
class BillRead:
    name: str
    text: str = ""
    calculations: list[str] = field(default_factory=list)
    tables: list[TableRead] = field(default_factory=list)


class PageReader(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.bills: list[BillRead] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.seen: set[str] = set()
        self.feed(page)
        self.close()

    def inside(self, tag: str, **wanted: str) -> bool:
        return any(name == tag and all(given.get(k) == v for k, v in wanted.items()) for name, given in self.tags)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.seen.add(tag)
        if tag not in VOID:
            self.tags.append((tag, given))
        if tag == "article":
            self.bills.append(BillRead(str(given["data-bill"])))
        if not self.bills or not self.inside("article"):
            return
        bill = self.bills[-1]
        if tag == "table":
            bill.tables.append(TableRead())
        elif tag == "span" and given.get("class") == "sum":
            bill.calculations.append("")
        elif tag == "tr" and self.inside("tbody"):
            bill.tables[-1].rows.append([])
        elif tag in ("th", "td") and self.inside("thead"):
            bill.tables[-1].heads.append(("", given.get("class") == "num"))
        elif tag in ("th", "td") and self.inside("tbody"):
            bill.tables[-1].rows[-1].append("")
        elif tag in ("th", "td") and self.inside("tfoot"):
            bill.tables[-1].foot.append("")

    def handle_endtag(self, tag: str) -> None:
        name, _ = self.tags.pop()
        assert name == tag, f"</{tag}> closes <{name}>"

    def handle_data(self, data: str) -> None:
        if not self.inside("article"):
            return
        bill = self.bills[-1]
        bill.text += data
        if self.inside("span", **{"class": "sum"}):
            bill.calculations[-1] += data
        if not self.inside("table"):
            return
        table = bill.tables[-1]
        if self.inside("caption"):
            table.caption += data
        elif self.inside("thead") and (self.inside("th") or self.inside("td")):
            table.heads[-1] = (table.heads[-1][0] + data, table.heads[-1][1])
        elif self.inside("tbody") and table.rows[-1]:
            table.rows[-1][-1] += data
        elif self.inside("tfoot") and table.foot:
            table.foot[-1] += data


def number(text: str) -> Decimal:
    return Decimal(text.strip().replace("−", "-").replace(",", ""))


def value(text: str) -> Decimal:
    """What stands left of an equals sign: sums, products, or the larger or smaller of two."""
    if found := re.fullmatch(r"(larger|smaller) of (\S+) and (\S+)", text.strip()):
        return (max if found[1] == "larger" else min)(number(found[2]), number(found[3]))
    tokens = re.findall(r"[\d,]+(?:\.\d+)?|[−+×÷()%]", text)
    assert "".join(tokens) == re.sub(r"\s", "", text), f"not to be done on a calculator: {text}"

    def atom() -> Decimal:
        token = tokens.pop(0)
        if token == "−":
            return -atom()
        if token == "(":
            inner = total()
            assert tokens.pop(0) == ")"
            return inner
        return number(token)

    def product() -> Decimal:
        result = atom()
        while tokens and tokens[0] in "×÷%":
            sign = tokens.pop(0)
            if sign == "%":
                result /= 100
            elif sign == "×":
                result *= atom()
            else:
                result /= atom()
        return result

    def total() -> Decimal:
        result = product()
        while tokens and tokens[0] in "+−":
            result = result + product() if tokens.pop(0) == "+" else result - product()
        return result

    result = total()
    assert not tokens, text
    return result


def wrong(bill: BillRead) -> list[str]:
    """What does not come out as the page says."""
    found = []
    for text in bill.calculations:
        left, right = text.rsplit("=", 1)
        shown = number(right)
        places = Decimal(1).scaleb(int(shown.as_tuple().exponent))
        if value(left).quantize(places, ROUND_HALF_UP) != shown:
            found.append(text)
    for table in bill.tables:
        figures = [n for n, (_, figure) in enumerate(table.heads) if figure]
        for n in figures:
            if table.foot and number(table.foot[n]) != sum(number(row[n]) for row in table.rows):
                found.append(f"{table.caption}: sum of {table.heads[n][0]}")
        if "=" in table.caption:
            left, parts = (part.strip() for part in table.caption.split("=", 1))
            at = {name: n for n, (name, _) in enumerate(table.heads)}
            for row in [*table.rows, *([table.foot] if table.foot else [])]:
                if number(row[at[left]]) != sum(number(row[at[part.strip()]]) for part in parts.split("+")):
                    found.append(f"{table.caption}: {row}")
    return found
