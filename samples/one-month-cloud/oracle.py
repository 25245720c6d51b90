#!/usr/bin/env python3
"""Computes what this sample must give, from the usage files and the rules alone, in the plainest way there is.

    python3 oracle.py          writes expected/*.csv, prints counts and totals, checks the README's hand-worked figures
    python3 oracle.py --check  writes nothing; fails where expected/*.csv holds something else

A second opinion beside Conto: exact fractions, one record at a time, everything in memory. It shares no code with make.py
and knows nothing of the story. Standard library only (Python 3.11 or newer).
"""

import csv
import glob
import gzip
import hashlib
import io
import json
import pathlib
import re
import sys
import tomllib
from collections import Counter, defaultdict
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from itertools import groupby
from typing import NamedTuple
from zoneinfo import ZoneInfo

HERE = pathlib.Path(__file__).resolve().parent
BILLING_PERIOD = date(2026, 10, 1), date(2026, 11, 1)

CONFIG = tomllib.loads((HERE / "conto.toml").read_text())
ZONE = ZoneInfo(CONFIG["time_zone"])
RULES = {"meter": [], "lookup": [], "rule": []}
for path in sorted((HERE / CONFIG["rules"]).glob("*.toml")):
    for key, value in tomllib.loads(path.read_text(), parse_float=Decimal).items():
        if key != "currency":
            RULES[key] += value
METERS = {meter["name"]: meter for meter in RULES["meter"]}
LOOKUPS = {lookup["name"]: lookup["values"] for lookup in RULES["lookup"]}
ACCOUNTS = tomllib.loads((HERE / CONFIG["accounts"]).read_text())["account"]
PROJECTS = {project["id"]: (account, project) for account in ACCOUNTS for project in account["projects"]}


# ---------------------------------------------------------------------------------------------------------------------
# Numbers and times


def rounded(value, places):
    """Half away from zero."""
    scaled = abs(value) * 10**places
    whole = scaled.numerator // scaled.denominator
    whole += scaled - whole >= Fraction(1, 2)
    return Fraction(whole if value >= 0 else -whole, 10**places)


def plain(value, minimum=0):
    """The shortest plain notation, with at least so many places."""
    whole, places = Fraction(value), minimum
    while (whole * 10**places).denominator != 1:
        places += 1
        assert places <= 30, value
    digits = str(abs(whole * 10**places)).rjust(places + 1, "0")
    sign = "-" if whole < 0 else ""
    return sign + (f"{digits[:-places]}.{digits[-places:]}" if places else digits)


TIME = re.compile(r"(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2}:\d{2})(\.\d{1,6})?(Z|[+-]\d{2}:?\d{2})?")


def instant(text):
    """A time as UTC; without a zone it is UTC already. None where it is none."""
    found = TIME.fullmatch(text) if isinstance(text, str) else None
    if not found:
        return None
    day, clock, fraction, zone = found.groups()
    try:
        parsed = datetime.fromisoformat(f"{day}T{clock}{(fraction or '.0').ljust(7, '0')}")
        shift = datetime.strptime(zone, "%z").utcoffset() if zone else timedelta()
    except ValueError:
        return None
    return parsed.replace(tzinfo=timezone.utc) - shift


def duration(text):
    return timedelta(**{{"s": "seconds", "m": "minutes", "h": "hours"}[text[-1]]: int(text[:-1])})


def midnight(day):
    return datetime(day.year, day.month, day.day, tzinfo=ZONE).astimezone(timezone.utc)


def local_date(moment):
    return moment.astimezone(ZONE).date()


def window(moment):
    """The hour of the local clock, as an instant. Offsets of this zone are whole hours, so it is the hour of UTC."""
    return moment.replace(minute=0, second=0, microsecond=0)


PERIOD = midnight(BILLING_PERIOD[0]), midnight(BILLING_PERIOD[1])
HOURS = Fraction((PERIOD[1] - PERIOD[0]) / timedelta(hours=1))


# ---------------------------------------------------------------------------------------------------------------------
# Intake: each record is accepted, duplicate, rejected or unmetered


class Refused(Exception):
    pass


UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
ABSENT = (None, "", "None")


def canonical_id(text):
    return text.lower() if UUID.fullmatch(text) else text


def at_path(metadata, path):
    """The value at `flavor.name`: absent, null and empty are None, the rest is text."""
    for key in path.split("."):
        metadata = metadata.get(key) if isinstance(metadata, dict) else None
    if metadata in (None, "") or isinstance(metadata, (dict, list)):
        return None
    return str(metadata).lower() if isinstance(metadata, bool) else str(metadata)


def dimensions_said(meter, metadata):
    said = {}
    for name, wanted in meter.get("dimensions", {}).items():
        assert ("from" in wanted) != ("key" in wanted)
        paths = wanted.get("from") or wanted["key"]
        value = next((found for found in (at_path(metadata, path) for path in paths) if found is not None), None)
        if "lookup" in wanted:      # what the table does not hold stays as it is after `from`, and is nothing after `key`
            value = LOOKUPS[wanted["lookup"]].get(value, value if "from" in wanted else None)
        if value is None:
            continue
        if wanted.get("type") == "decimal":
            value = plain(Fraction(value))
        said[name] = value
    return said


def is_deleted(metadata, at):
    gone = instant(metadata.get("deleted_at"))
    return (
        (gone is not None and gone <= at)
        or metadata.get("deleted") in (True, "true", "True")
        or ".delete." in (metadata.get("event_type") or "")
        or "deleted" in (metadata.get("status"), metadata.get("state"))
    )


def read(record):
    """(meter, facts) of one metered record; None of an unmetered one."""
    if not isinstance(record, dict):
        raise Refused("malformed")
    field = lambda short, bus=None: record.get(short, record.get(bus or "counter_" + short))
    if not field("name"):
        raise Refused("missing_field")
    meter = next((meter for meter in METERS.values() if field("name") in meter["source_meters"]), None)
    if meter is None:
        return None
    if field("volume") is None or record.get("timestamp") in ABSENT or record.get("resource_id") in ABSENT:
        raise Refused("missing_field")
    at = instant(record["timestamp"])
    if at is None:
        raise Refused("bad_timestamp")
    volume = Decimal(str(field("volume")))
    if not volume.is_finite():
        raise Refused("quantity_not_finite")
    if volume < 0:
        raise Refused("negative_quantity")
    if "source_unit" in meter and field("unit") != meter["source_unit"]:
        raise Refused("unit_mismatch")
    metadata = record.get("resource_metadata") or {}
    return meter, {
        "resource": canonical_id(record["resource_id"]),
        "at": at,
        "value": Fraction(volume),
        "project": None if record.get("project_id") in ABSENT else record["project_id"],
        "dimensions": dimensions_said(meter, metadata),
        "labels": {path.split(".")[-1]: found for path in meter.get("labels", []) if (found := at_path(metadata, path)) is not None},
        "deleted": is_deleted(metadata, at),
        "made": instant(metadata.get("launched_at")) or instant(metadata.get("created_at")),
    }


def refuse_constant(_):
    raise ValueError("NaN and Infinity are not JSON")


def take_in():
    streams, counts, reasons = defaultdict(dict), {}, Counter()
    for path in sorted(glob.glob(str(HERE / CONFIG["source"][0]["path"]))):
        content = pathlib.Path(path).read_bytes()
        content = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
        count = counts[pathlib.Path(path).name] = Counter()
        for line in content.decode().removesuffix("\n").split("\n"):
            try:
                parsed = json.loads(line, parse_float=Decimal, parse_constant=refuse_constant)
            except ValueError:
                parsed = None
            for record in parsed if isinstance(parsed, list) else [parsed]:
                count["read"] += 1
                try:
                    known = read(record)
                except Refused as refused:
                    count["rejected"] += 1
                    reasons[str(refused)] += 1
                    continue
                if known is None:
                    count["unmetered"] += 1
                    continue
                meter, facts = known
                assert meter["aggregation"] in ("presence", "max", "increase"), "record ids would belong to the identity"
                stream = streams[meter["name"], facts["resource"]]
                if facts["at"] in stream:
                    assert stream[facts["at"]] == facts, "the same instant told in two ways"
                    count["duplicate"] += 1
                else:
                    stream[facts["at"]] = facts
                    count["accepted"] += 1
    return {key: [stream[at] for at in sorted(stream)] for key, stream in streams.items()}, counts, reasons


# ---------------------------------------------------------------------------------------------------------------------
# Description and metering


def described(stream):
    """Gives each sample the project and dimensions that hold at its instant: (project, ((name, value), …))."""
    names = {name for facts in stream for name in facts["dimensions"]} | {None}
    said = lambda facts, name: facts["project"] if name is None else facts["dimensions"].get(name)
    columns = {}
    for name in names:
        column, last = [], None
        for facts in stream:
            last = said(facts, name) or last
            column.append(last)
        for index, facts in enumerate(stream):
            if column[index] is None:
                later = (said(other, name) for other in stream[index:] if local_date(other["at"]) == local_date(facts["at"]))
                column[index] = next((value for value in later if value is not None), None)
        columns[name] = column
    project = columns.pop(None)
    return [
        (project[index], tuple(sorted((name, column[index]) for name, column in columns.items() if column[index] is not None)))
        for index in range(len(stream))
    ]


def metered(streams):
    """(charge date, project, dimensions, meter, resource) -> consumed quantity, over windows."""
    usage = defaultdict(Fraction)
    for (name, resource), stream in streams.items():
        meter, descriptions = METERS[name], described(stream)
        assert duration(meter["window"]) == timedelta(hours=1)
        add = lambda facts, description, quantity: usage.__setitem__(
            key := (local_date(facts["at"]), *description, name, resource), usage[key] + quantity)
        if meter["aggregation"] == "increase":
            before = None
            for facts, description in zip(stream, descriptions):
                if facts["deleted"]:
                    before = None
                    continue
                if before is not None:
                    grown = facts["value"] - before if facts["value"] >= before else facts["value"]
                else:
                    fresh = facts["made"] is not None and timedelta() <= facts["at"] - facts["made"] <= duration(meter["max_gap"])
                    grown = facts["value"] if fresh else Fraction(0)
                add(facts, description, grown)
                before = facts["value"]
        else:
            windows = defaultdict(list)
            for facts, description in zip(stream, descriptions):
                if not facts["deleted"]:
                    windows[window(facts["at"])].append((facts, description))
            for samples in windows.values():
                facts, description = samples[-1]
                add(facts, description, max(other["value"] for other, _ in samples) if meter["aggregation"] == "max" else Fraction(1))
    return usage


# ---------------------------------------------------------------------------------------------------------------------
# Rating


def holds(when, names):
    """The one form of predicate that this sample uses: NAME like 'PREFIX%'."""
    name, prefix = re.fullmatch(r"(\w+) like '([^%_]*)%'", when).groups()
    return names.get(name) is not None and names[name].startswith(prefix)


def valid(row, day):
    as_date = lambda value: date.fromisoformat(value) if isinstance(value, str) else value
    start, end = as_date(row.get("valid_from") or None), as_date(row.get("valid_to") or None)
    return (start is None or start <= day) and (end is None or day < end)


def tiers_of(rule, dimensions, day):
    """[(from, up to, unit price, per)] of what a rule charges; None where its table holds no price."""
    if "unit_price" in rule:
        price = rule["unit_price"]
        amount, per = (price["amount"], price["per"]) if isinstance(price, dict) else (price, "1")
        return [(Fraction(0), None, Fraction(amount), Fraction(per))]
    if "prices" in rule:
        value = dimensions.get(rule["prices"]["by"])
        return [(Fraction(0), None, Fraction(rule["prices"][value]), Fraction(1))] if value in rule["prices"] and value != "by" else None
    if "price_list" in rule:
        with open(HERE / CONFIG["rules"] / rule["price_list"], newline="") as file:
            for row in csv.DictReader(file):
                price, keys = row["unit_price"], set(row) - {"unit_price", "valid_from", "valid_to"}
                if valid(row, day) and all(dimensions.get(key) == row[key] for key in keys):
                    return [(Fraction(0), None, Fraction(price), Fraction(1))]
        return None
    assert rule["tiers"] == "graduated"
    bounds = [Fraction(0)] + [Fraction(tier["up_to"]) for tier in rule["tier"][:-1]]
    return [(low, high, Fraction(tier["unit_price"]), Fraction(1)) for low, high, tier in zip(bounds, bounds[1:] + [None], rule["tier"])]


def rate_for(usage_key, component):
    """The winning rule of one component with its tiers, or the reason why there is none."""
    day, project, dimensions, meter, _ = usage_key
    dimensions = dict(dimensions)
    rules = [rule for rule in RULES["rule"] if rule["meter"] == meter and rule.get("component", "base") == component and valid(rule, day)]
    factors = [rule for rule in rules if "factor" in rule]
    rules = [rule for rule in rules if "factor" not in rule]
    if not rules:
        return "no_rule"
    rules = [rule for rule in rules if "when" not in rule or holds(rule["when"], dimensions)]
    if not rules:
        return "no_match"
    priced = [(rule, tiers) for rule in rules if (tiers := tiers_of(rule, dimensions, day)) is not None]
    if not priced:
        return "no_price"
    top = max(rule.get("priority", 0) for rule, _ in priced)
    winners = [(rule, tiers) for rule, tiers in priced if rule.get("priority", 0) == top]
    assert len(winners) == 1, "a tie"
    rule, tiers = winners[0]
    for factor in factors:
        assert "when" not in factor
        factor = factor["factor"]
        if isinstance(factor, dict):
            value = dimensions.get(factor["by"])
            if value is None or value not in factor:
                return "no_price"
            factor = factor[value]
        tiers = [(low, high, rounded(price * Fraction(factor), 12), per) for low, high, price, per in tiers]
    return rule, tiers


COMPONENTS = sorted({rule.get("component", "base") for rule in RULES["rule"]}, key=lambda name: (name != "base", name))


class Line(NamedTuple):
    """What makes one invoice line; the fields of its order come first, and its account is the one of the project."""

    project: str | None
    service: str
    beside_base: bool
    component: str
    sku: str
    description: str
    by: str
    tier_start: Fraction
    unit_price: Fraction
    per: Fraction
    unit: str
    divisor: Fraction

    def cost(self, metered):
        return rounded(metered * self.unit_price / (self.divisor * self.per), 18)

    def pricing_quantity(self, metered):
        return rounded(metered / self.divisor, 9)


def rate(usage):
    """Rows of (usage key, quantity, component, rule, [(line, metered, pricing quantity, cost)]), and what nothing prices."""
    rated, unrated = [], []
    for key, quantity in usage.items():
        if not BILLING_PERIOD[0] <= key[0] < BILLING_PERIOD[1] or quantity == 0:
            continue
        for component in COMPONENTS:
            found = rate_for(key, component)
            if isinstance(found, str):
                if component == "base":
                    unrated.append((key, quantity, found))
            else:
                rated.append((key, quantity, component, *found))

    # First the pools: their running totals, in metered units, say which tier each part of a row lies in, and nothing else.
    # By charge date, resource, sku, meter, description, component, rate. (No rate here changes within a day.)
    rated.sort(key=lambda row: (row[0][0], row[0][4], row[3]["sku"], row[0][3], row[0][2], row[2], row[3]["id"]))
    totals, parts = defaultdict(Fraction), []
    for row, (key, quantity, component, rule, tiers) in enumerate(rated):
        day, project, dimensions, meter, resource = key
        dimensions = dict(dimensions)
        multiplier = Fraction(1)
        if "pricing_quantity" in rule:
            multiplier = Fraction(dimensions[re.fullmatch(r"quantity \* (\w+)", rule["pricing_quantity"]).group(1)])
        unit = rule.get("pricing_unit", {"name": METERS[meter]["unit"], "of": "1"})
        divisor = HOURS if unit["of"] == "hours_in_period" else Fraction(unit["of"])
        assert (rule.get("per", "project"), rule.get("every", "period")) == ("project", "period")
        pool = rule.get("pool", rule["sku"]), project
        before = totals[pool]
        after = totals[pool] = before + quantity * multiplier
        by = joined((name, dimensions[name]) for name in rule.get("line_by", []) if name in dimensions)
        for low, high, price, per in tiers:
            metered = (after if high is None else min(after, high * divisor)) - max(before, low * divisor)
            if len(tiers) == 1:
                assert metered == quantity * multiplier
            if metered > 0:
                line = Line(project, rule["service"], component != "base", component, rule["sku"], rule["description"], by, low, price, per,
                            unit["name"], divisor)
                parts.append((day, resource, meter, key[2], rule["id"], low, row, line, metered))

    # Then the lines: each has a running total of its own, and a part costs what it adds to the line.
    priced, totals = defaultdict(list), defaultdict(Fraction)
    for *_, row, line, metered in sorted(parts, key=lambda part: part[:6]):
        before = totals[line]
        after = totals[line] = before + metered
        quantity, cost = line.pricing_quantity(after) - line.pricing_quantity(before), line.cost(after) - line.cost(before)
        priced[row].append((line, metered, quantity, cost))
    return [(key, quantity, component, rule, priced[row]) for row, (key, quantity, component, rule, _) in enumerate(rated)], unrated


# ---------------------------------------------------------------------------------------------------------------------
# Documents


def joined(pairs):
    return "; ".join(f"{name}={value}" for name, value in pairs)


def guarded(text):
    """Text that a spreadsheet would run as a formula."""
    return "'" + text if text[:1] in tuple("=+-@\t\r\n＝＋－＠") and text else text


def draft_number(account, project):
    """The digits are the last six of the hash of the payer. The seller and the currency are those of the configuration."""
    payer = json.dumps([account, project, None, CONFIG["currency"]], separators=(",", ":"), ensure_ascii=False)
    return f"DRAFT-2026-10-{int(hashlib.sha256(payer.encode()).hexdigest()[:16], 16) % 1_000_000:06}"


def invoices(rated):
    lines = defaultdict(lambda: {"metered": Fraction(0), "quantity": Fraction(0), "cost": Fraction(0), "days": []})
    for (day, project, *_), _, _, _, parts in rated:
        if project not in PROJECTS or PROJECTS[project][0].get("internal"):
            continue
        for key, metered, quantity, cost in parts:
            line = lines[key]
            line["metered"] += metered
            line["quantity"] += quantity
            line["cost"] += cost
            line["days"].append(day)
    documents = []
    numbers = {project: draft_number(PROJECTS[project][0]["id"], project) for project in {key.project for key in lines}}
    for project in sorted(numbers, key=lambda project: numbers[project]):
        own = sorted((key, line) for key, line in lines.items() if key.project == project and line["quantity"] != 0)
        rows = [
            {"service": key.service, "sku": key.sku, "description": key.description, "line_by": key.by, "unit_price": key.unit_price, "per": key.per,
             "unit": key.unit, "divisor": key.divisor, "metered": line["metered"], "quantity": line["quantity"], "cost": line["cost"],
             "start": min(line["days"]), "end": max(line["days"]) + timedelta(days=1), "net": rounded(line["cost"], 2)}
            for key, line in own
        ]
        # Lines that differ only in tier and price are in order of time.
        rows = [row for _, of_sku in groupby(rows, key=lambda row: (row["service"], row["sku"], row["description"], row["line_by"]))
                for row in sorted(of_sku, key=lambda row: row["start"])]
        net = sum(row["net"] for row in rows)
        tax = rounded(net * Fraction(CONFIG["tax"]["rate"]) / 100, 2)
        documents.append({"number": numbers[project], "project": project, "lines": rows, "net": net, "tax": tax})
    return documents


def csv_text(header, rows):
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n", quoting=csv.QUOTE_MINIMAL)
    writer.writerow(header.split(","))
    writer.writerows(rows)
    return text.getvalue().encode()


def labels_on(stream, day):
    known = {}
    for facts in stream:
        if PERIOD[0] <= facts["at"] < PERIOD[1]:
            for name, value in facts["labels"].items():
                if name not in known or local_date(facts["at"]) <= day:
                    known[name] = value
    return joined(sorted(known.items()))


def documents_as_csv(streams, rated, unrated, bills):
    currency = CONFIG["currency"]
    start, end = (day.isoformat() for day in BILLING_PERIOD)
    heads, lines, usage = [], [], []
    for bill in bills:
        account, project = PROJECTS[bill["project"]]
        total = plain(bill["net"] + bill["tax"], 2)
        net, tax = plain(bill["net"], 2), plain(bill["tax"], 2)
        last = (BILLING_PERIOD[1] - timedelta(days=1)).isoformat()
        heads.append([bill["number"], "draft", start, end, last, "", "", guarded(account["id"]), guarded(account["name"]), project["id"],
                      guarded(project["name"]), currency, net, "0.00", net, tax, total, "0.00", total, "", "", "", "", currency, tax])
        for number, line in enumerate(bill["lines"], 1):
            lines.append([bill["number"], number, guarded(account["id"]), project["id"], "Usage", guarded(line["service"]), guarded(line["sku"]),
                          guarded(line["description"]), guarded(line["line_by"]), "usage", line["start"], line["end"], plain(line["quantity"]),
                          line["unit"], plain(line["unit_price"], 2), plain(line["per"]), plain(line["net"], 2), currency, currency,
                          CONFIG["tax"]["category"], CONFIG["tax"]["rate"], "{name} {category} {rate} %".format(**CONFIG["tax"])])

    def add(key, quantity, component, sku, priced, status):
        day, project, dimensions, meter, resource = key
        account = PROJECTS[project][0]["id"] if project in PROJECTS else ""
        service, pricing_quantity, pricing_unit, cost = priced
        text = joined(dimensions)
        usage.append(((day, project is None, project or "", resource, meter, component != "base", component, sku, text),
                      [day, guarded(account), project or "", guarded(resource), meter, service, sku, plain(quantity), METERS[meter]["unit"],
                       pricing_quantity, pricing_unit, cost, cost, currency, status, guarded(text), guarded(labels_on(streams[meter, resource], day))]))

    for key, quantity, component, rule, parts in rated:
        project = key[1]
        status = "unattributed" if project is None else "internal" if PROJECTS[project][0].get("internal") else "invoiced"
        pricing_quantity, cost = (sum(part[index] for part in parts) for index in (2, 3))
        add(key, quantity, component, rule["sku"], (rule["service"], plain(pricing_quantity), parts[0][0].unit, plain(cost, 2)), status)
    for key, quantity, _ in unrated:
        add(key, quantity, "base", "", ("", "", "", ""), "unrated")
    usage.sort(key=lambda row: (row[1][1] == "", row[1][1], row[0]))
    assert len({row[0] for row in usage}) == len(usage)
    return {
        "invoices.csv": csv_text("invoice_number,document_kind,billing_period_start,billing_period_end,tax_point,issue_date,due_date,account_id,account_name,project_id,"
                                 "project_name,currency,line_total,allowance_total,total_without_tax,tax_amount,total_with_tax,prepaid_amount,"
                                 "amount_due,exchange_base,exchange_quote,exchange_rate,exchange_rate_date,seller_currency,"
                                 "tax_amount_in_seller_currency", heads),
        "invoice_lines.csv": csv_text("invoice_number,line_number,account_id,project_id,charge_category,service,sku,description,line_by,charge_kind,charge_period_start,"
                                      "charge_period_end,quantity,unit,unit_price,unit_price_per,net_amount,currency,price_currency,tax_category,tax_rate,"
                                      "tax_treatment", lines),
        "usage.csv": csv_text("charge_date,account_id,project_id,resource_id,meter,service,sku,consumed_quantity,consumed_unit,pricing_quantity,"
                              "pricing_unit,cost,list_cost,currency,status,dimensions,labels", [row for _, row in usage]),
    }


# ---------------------------------------------------------------------------------------------------------------------
# What the README works out by hand, typed in here once more: line_by, quantity, unit price, per, net amount; in the invoice's order

SHOP, LIMS = "3e0a61e2ad6bb9ea09ceb7a6c2a7a3b1", "9f2c4d7a1b3e48c6a5d07e8f6b1c2d34"
BY_HAND = {
    LIMS: {
        "lines": [
            ("flavor=m1.large; zone=eu-west-b", 14 + 24, "0.088", 1, "3.34"),
            ("flavor=m1.large; zone=eu-west-b", 16 * 24 + 1, "0.0836", 1, "32.19"),
            ("flavor=m1.small; zone=eu-west-b", 13 * 24 + 10, "0.022", 1, "7.08"),
            ("flavor=w1.medium; zone=eu-west-a", 745, "0.045", 1, "33.53"),
            ("flavor=w1.medium", 2 * 745, "0.023", 1, "34.27"),
            ("", 100, "0", 1, "0.00"),
            ("", "48.15", "0.05", 1, "2.41"),
            ("", 15 * 24, "4.00", 1000, "1.44"),
            ("", 16 * 24 + 1, "5.00", 1000, "1.93"),
            ("volume_type=ssd", "143.32885906", "0.09", 1, "12.90"),
        ],
        "net": "129.09", "tax": "25.82", "total": "154.91",
    },
    SHOP: {
        "lines": [
            ("flavor=m1.large; zone=eu-west-a", 360, "0.08", 1, "28.80"),
            ("flavor=m1.large; zone=eu-west-a", 385, "0.076", 1, "29.26"),
            ("flavor=m1.small; zone=eu-west-a", 745, "0.02", 1, "14.90"),
            ("flavor=m1.small; zone=eu-west-b", 745 - 1, "0.022", 1, "16.37"),
            ("flavor=w1.medium; zone=eu-west-a", 19 * 24 + 17, "0.045", 1, "21.29"),
            ("flavor=w1.medium", 2 * (19 * 24 + 17), "0.023", 1, "21.76"),
            ("", 100, "0", 1, "0.00"),
            ("", 900, "0.05", 1, "45.00"),
            ("", "301.19776", "0.03", 1, "9.04"),
            ("", 360, "4.00", 1000, "1.44"),
            ("", 385, "5.00", 1000, "1.93"),
            ("volume_type=hdd", "1273.825503356", "0.03", 1, "38.21"),
            ("volume_type=ssd", "226.174496644", "0.09", 1, "20.36"),
        ],
        "net": "248.36", "tax": "49.67", "total": "298.03",
    },
}
README = (HERE / "README.md").read_text()


def said_in_readme(*texts):
    for text in texts:
        assert text in README, f"README.md does not say: {text}"


def check_by_hand(bills):
    assert [bill["project"] for bill in bills] == sorted(BY_HAND)
    for bill in bills:
        expected = BY_HAND[bill["project"]]
        found = [(line["line_by"], line["quantity"], line["unit_price"], line["per"], line["net"]) for line in bill["lines"]]
        wanted = [(by, Fraction(quantity), Fraction(price), Fraction(per), Fraction(net)) for by, quantity, price, per, net in expected["lines"]]
        assert found == wanted, (found, wanted)
        assert (bill["net"], bill["tax"]) == (Fraction(expected["net"]), Fraction(expected["tax"]))
        assert bill["net"] + bill["tax"] == Fraction(expected["total"])
        for number, (_, _, _, _, net) in enumerate(expected["lines"], 1):
            assert re.search(rf"^\| {number} \|.*\| {re.escape(net)} \|$", README, re.M), f"README.md: line {number}, {net}"
        said_in_readme(*(f"**{expected[name]}**" for name in ("net", "tax", "total")))
    # Each line is the price of its whole quantity: nothing was lost on the way through days, resources and pools.
    for bill in bills:
        for line in bill["lines"]:
            whole = line["metered"] / line["divisor"]
            assert line["quantity"] == rounded(whole, 9)
            assert line["cost"] == rounded(whole * line["unit_price"] / line["per"], 18)


def main():
    streams, counts, reasons = take_in()
    rated, unrated = rate(metered(streams))
    bills = invoices(rated)
    check_by_hand(bills)
    names = ["read", "accepted", "duplicate", "rejected", "unmetered"]
    table = [f"{'file':30}" + "".join(f"{name:>11}" for name in names)]
    for file, count in [*counts.items(), ("total", sum(counts.values(), Counter()))]:
        assert count["read"] == sum(count[name] for name in names[1:])
        table.append(f"{file:30}" + "".join(f"{count[name]:>11}" for name in names))
    print("\n".join(table))
    said_in_readme(*table)
    print("rejected:", ", ".join(f"{reason} {count}" for reason, count in sorted(reasons.items())))
    lost = defaultdict(Fraction)
    for key, quantity, reason in unrated:
        lost[key[3], joined(key[2]), reason] += quantity
    for (meter, dimensions, reason), quantity in lost.items():
        print(f"unrated: {plain(quantity)} {METERS[meter]['unit']} of {dimensions}: {reason}")
        said_in_readme(f"{plain(quantity)} {METERS[meter]['unit']}s", dimensions.split(";")[0].split("=")[1], reason)
    for bill in bills:
        print(bill["number"], plain(bill["net"], 2), plain(bill["tax"], 2), plain(bill["net"] + bill["tax"], 2))
    costs = defaultdict(Fraction)
    for (_, project, *_), _, _, _, parts in rated:
        costs[project] += sum(part[3] for part in parts)
    for project, cost in costs.items():
        print("cost of", project, plain(cost, 2))
        if project not in BY_HAND:
            said_in_readme(plain(cost, 2))
    different = 0
    for name, content in documents_as_csv(streams, rated, unrated, bills).items():
        path = HERE / "expected" / name
        if "--check" in sys.argv[1:]:
            same = path.exists() and path.read_bytes() == content
            different += not same
            print(f"expected/{name}: {'as computed' if same else 'differs'}")
        else:
            path.write_bytes(content)
            rows = content.count(b"\r\n") - 1
            print(f"expected/{name}: {rows} rows")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
