#!/usr/bin/env python3
"""Writes usage/: one month of a small cloud, as Ceilometer would have delivered it.

    python3 make.py            writes usage/*
    python3 make.py --check    says whether usage/* is what this program writes

Deterministic: no clock, no random numbers (noise comes from SHA-256 of a name), gzip without a time stamp.
Standard library only. What ought to come out of it is not computed here but in oracle.py, which shares no code with this.

THE STORY (local time is Europe/Paris: UTC+2 until Sunday 25 October 2026 03:00, UTC+1 afterwards)

  who                     what                                             when (local time)
  ----------------------  -----------------------------------------------  ----------------------------------------
  Kervran (invoiced)      project kervran-shop
    shop-web-1            m1.small, zone a, with much egress               all month
    shop-web-2            m1.small, zone b                                 all month; not polled on 7 October 03:50;
                                                                           cost centre 4711 -> 4720 on 20 October 12:00
    shop-db-1             m1.large, zone a                                 all month
    shop-erp-1            w1.medium (Windows, 2 vCPU), zone a              deleted on 20 October 16:12:40
    render-1              g1.large, zone a, egress; no price for it        made on 29 October 14:54:41
    shop-db-data          volume 500 GiB                                   hdd, retyped to ssd on 18 October 00:10
    shop-media            volume 1000 GiB hdd                              all month
    203.0.113.10          floating IP                                      all month; polled by two agents on 6 October
  Ségur (invoiced)        project @lims
    lims-1                m1.small, zone b, egress                         resized to m1.large on 14 October 10:35:20;
                                                                           the counter of its port begins again at 0
    lims-win-1            w1.medium (Windows, 2 vCPU), zone a              all month
    lims-data             volume 100 GiB ssd                               extended to 160 GiB on 9 October 15:55:30
    203.0.113.24          floating IP                                      all month; DOWN on 11 October; without a
                                                                           project in one record of 19 October
  Platform (internal)     project platform
    ci-runner             b1.medium (2 vCPU), zone a, egress               all month; port polled from 1 October 11:00
    ci-cache              volume 50 GiB ssd                                all month
  nobody                  volume 20 GiB hdd, one record                    27 October 08:50

  the agents              instances, volumes, floating IPs every hour at minute 50; network counters at 05, 20, 35, 50;
                          memory.usage and cpu of shop-db-1 on 8 October (meters that no rule file asks for).
                          They begin before the month (30 September 23:50) and end after it (1 November).
  13 October              08:00 to 14:00 (06:00 to 12:00 UTC) the disk of the file publisher is full. What it lost is
                          recovered from the message bus, in the bus's spelling (counter_name …), in arrays, with
                          upper-case ids, and with an hour of overlap on both sides.
"""

import argparse
import gzip
import hashlib
import io
import json
import pathlib
import sys
import uuid
from datetime import datetime, timedelta

USAGE = pathlib.Path(__file__).resolve().parent / "usage"


def utc(text):
    return datetime.fromisoformat(text)


FIRST, LAST = utc("2026-09-30T21:50"), utc("2026-10-31T23:50")      # first and last poll
HOUR = timedelta(hours=1)

SHOP = "3e0a61e2ad6bb9ea09ceb7a6c2a7a3b1"
LIMS = "9f2c4d7a1b3e48c6a5d07e8f6b1c2d34"
PLATFORM = "c47be1f05d9a4b0e8f3621d7a90c5e18"
USERS = {SHOP: "5d1f3a0b7c2e49d8b6a4e1f093c7d825", LIMS: "e80b6c1d2f3a4e5b9c7d8f0a1b2c3d4e", PLATFORM: "0a9b8c7d6e5f40312233445566778899"}

# name: (id of the flavor, vCPU, MiB of memory, GiB of disk)
FLAVORS = {
    "m1.small": ("2", 1, 2048, 20),
    "m1.large": ("4", 4, 8192, 80),
    "w1.medium": ("w3", 2, 4096, 60),
    "b1.medium": ("b2", 2, 4096, 20),
    "g1.large": ("g1", 8, 65536, 200),
}
VOLUME_TYPES = {"ssd": "5bca1134-8357-4ae1-8423-d36df3f17086", "hdd": "b7d20a64-91c5-4f0e-8a36-1f64a2c95e03"}
IMAGES = {
    "debian": "155d900f-4e14-4e4c-a73d-069cbf4541e6",
    "windows": "7c40e2b8-63f1-4d55-9e0a-b2f8d1c63a97",
}


class Instance:
    def __init__(self, number, name, uid, project, flavor, zone, cost_center, image="debian", since=FIRST, until=None, resized=None):
        self.number, self.name, self.id, self.project, self.zone = number, name, uid, project, zone
        self.image, self.cost_center, self.since, self.until = image, cost_center, since, until
        self.flavor_then, self.resized = flavor, resized            # resized: (instant, new flavor)

    def exists(self, at):
        return self.since <= at and (self.until is None or at < self.until)

    def flavor(self, at):
        return self.resized[1] if self.resized and at >= self.resized[0] else self.flavor_then

    def user_metadata(self, at):
        if self.cost_center is None:
            return {}
        if self.name == "shop-web-2" and at >= utc("2026-10-20T10:00"):
            return {"cost_center": "4720"}
        return {"cost_center": self.cost_center}


RESIZE = utc("2026-10-14T08:35:20")
INSTANCES = [
    Instance(11, "shop-web-1", "0b6f1a52-3c8d-4e17-9a40-5d2e7f81c603", SHOP, "m1.small", "eu-west-a", "4711"),
    Instance(12, "shop-web-2", "1c7e2b63-4d9e-4f28-8b51-6e3f80920d14", SHOP, "m1.small", "eu-west-b", "4711"),
    Instance(13, "shop-db-1", "2d8f3c74-5eaf-4039-9c62-7f40910a3e25", SHOP, "m1.large", "eu-west-a", "4712"),
    Instance(14, "shop-erp-1", "3e904d85-6fb0-414a-8d73-80519a1b4f36", SHOP, "w1.medium", "eu-west-a", "4713", "windows",
             until=utc("2026-10-20T14:12:40")),
    Instance(31, "render-1", "4fa15e96-70c1-425b-9e84-9162ab2c5047", SHOP, "g1.large", "eu-west-a", "4711",
             since=utc("2026-10-29T13:54:50")),
    Instance(21, "lims-1", "50b26fa7-81d2-436c-8f95-a273bc3d6158", LIMS, "m1.small", "eu-west-b", "R-12", resized=(RESIZE, "m1.large")),
    Instance(22, "lims-win-1", "61c370b8-92e3-447d-90a6-b384cd4e7269", LIMS, "w1.medium", "eu-west-a", "R-12", "windows"),
    Instance(5, "ci-runner", "72d481c9-a3f4-458e-81b7-c495de5f837a", PLATFORM, "b1.medium", "eu-west-a", None),
]
BY_NAME = {instance.name: instance for instance in INSTANCES}

# name, id, project, [(from, type, GiB), …]
VOLUMES = [
    ("shop-db-data", "83e592da-b405-469f-92c8-d5a6ef60948b", SHOP, [(FIRST, "hdd", 500), (utc("2026-10-17T22:10"), "ssd", 500)]),
    ("shop-media", "94f6a3eb-c516-47a0-83d9-e6b7f071a59c", SHOP, [(FIRST, "hdd", 1000)]),
    ("lims-data", "a507b4fc-d627-48b1-94ea-f7c80182b6ad", LIMS, [(FIRST, "ssd", 100), (utc("2026-10-09T13:55:30"), "ssd", 160)]),
    ("ci-cache", "b618c50d-e738-49c2-85fb-08d91293c7be", PLATFORM, [(FIRST, "ssd", 50)]),
]
# address, id, project
FLOATING_IPS = [
    ("203.0.113.10", "c729d61e-f849-4ad3-960c-19ea23a4d8cf", SHOP),
    ("203.0.113.24", "d83ae72f-095a-4be4-871d-2afb34b5e9d0", LIMS),
]
# instance, port, readings to pass through: (poll, value of the counter in bytes); a smaller value is a counter that began again
PORTS = [
    ("shop-web-1", "tap5e1c07a2-9b", [(FIRST, 803_115_240_118), (utc("2026-10-31T22:50"), 2_071_563_000_118), (LAST, 2_073_300_410_997)]),
    ("lims-1", "tapa94f3d60-17", [(FIRST, 12_000_000_000), (utc("2026-10-14T08:20"), 61_400_000_000),
                                  (utc("2026-10-14T08:50"), 3_200_000), (utc("2026-10-31T22:50"), 98_750_000_000), (LAST, 99_012_345_678)]),
    ("ci-runner", "tap20d8b1f5-6c", [(utc("2026-10-01T09:05"), 5_404_117_332), (utc("2026-10-31T22:50"), 41_404_117_332), (LAST, 41_460_000_000)]),
    ("render-1", "tapc3e5720b-d4", [(utc("2026-10-29T14:05"), 1_250_000_000), (utc("2026-10-31T22:50"), 32_750_000_000), (LAST, 33_000_000_000)]),
]
OUTAGE = utc("2026-10-13T06:00"), utc("2026-10-13T12:00")


# ---------------------------------------------------------------------------------------------------------------------
# Ceilometer's form of a record


def noise(*words):
    """A number in [0, 2^32) that depends on nothing but the words."""
    return int.from_bytes(hashlib.sha256("/".join(map(str, words)).encode()).digest()[:4], "big")


def record_id(at, *words):
    """A UUID of version 1, as Ceilometer makes one for every sample object."""
    ticks = int((at - datetime(1582, 10, 15)).total_seconds()) * 10_000_000 + noise("id", at, *words) % 10_000_000
    return str(uuid.UUID(fields=(ticks & 0xFFFFFFFF, ticks >> 32 & 0xFFFF, ticks >> 48 & 0x0FFF | 0x1000, 0x86, 0xFC, 0xFA163E0000A1)))


def sample(name, kind, unit, volume, project, resource, at, metadata, notified=False, user=True):
    return {
        "name": name,
        "type": kind,
        "unit": unit,
        "volume": volume,
        "user_id": USERS.get(project) if user else None,
        "user_name": None,
        "project_id": project,
        "project_name": None,
        "resource_id": resource,
        "timestamp": at.isoformat() + ("+00:00" if notified else ""),      # isoformat omits a fraction of zero, like the original
        "resource_metadata": metadata,
        "source": "openstack",
        "id": record_id(at, name, resource),
        "monotonic_time": None,
    }


def polled_metadata(instance, at):
    flavor = instance.flavor(at)
    flavor_id, vcpus, memory, disk = FLAVORS[flavor]
    metadata = {
        "display_name": instance.name,
        "name": f"instance-{instance.number:08x}",
        "instance_id": instance.id,
        "instance_type": flavor,
        "host": hashlib.sha224(f"{instance.project}{instance.number % 3}".encode()).hexdigest(),
        "instance_host": f"cmp-{instance.number % 3}",
        "flavor": {"id": flavor_id, "name": flavor, "vcpus": vcpus, "ram": memory, "disk": disk, "ephemeral": 0, "swap": 0},
        "status": "active",
        "state": "active",
        "task_state": None,
        "image": {"id": IMAGES[instance.image]},
        "image_ref": IMAGES[instance.image],
        "vcpus": vcpus,
        "memory_mb": memory,
        "disk_gb": disk,
        "OS-EXT-AZ:availability_zone": instance.zone,
        "user_metadata": instance.user_metadata(at),
    }
    if instance.since != FIRST:
        metadata["launched_at"] = instance.since.isoformat() + ".000000"
    return metadata


def notified_samples(instance, at, created, booted=None, deleted=None):
    """What the notification agent makes of one compute.instance.* notification: it knows neither vCPU nor zone by name."""
    flavor = instance.flavor(at)
    flavor_id, vcpus, memory, disk = FLAVORS[flavor]
    metadata = {
        "host": f"cmp-{instance.number % 3}",
        "flavor_id": flavor_id,
        "flavor_name": flavor,
        "display_name": instance.name,
        "image_ref": IMAGES[instance.image],
        "image_meta": {"base_image_ref": IMAGES[instance.image], "min_disk": str(disk), "container_format": "bare", "disk_format": "qcow2"},
        "launched_at": (created + timedelta(seconds=9)).isoformat() + ".000000",
        "created_at": str(created) + "+00:00",
    }
    if deleted:
        metadata["deleted_at"] = deleted.isoformat() + ".000000"
    metadata["user_metadata"] = instance.user_metadata(at)
    meters = [("disk.ephemeral.size", "GiB", 0), ("disk.root.size", "GiB", disk), ("vcpus", "vcpu", vcpus), ("memory", "MiB", memory)]
    if booted:
        meters.append(("compute.instance.booting.time", "sec", booted))
    return [sample(name, "gauge", unit, volume, instance.project, instance.id, at, metadata, notified=True) for name, unit, volume in meters]


def polled_volume(name, uid, project, kind, size, at):
    return sample("volume.size", "gauge", "GiB", size, project, uid, at, {"name": name, "status": "in-use", "volume_type": kind})


def polled_ip(address, uid, project, at):
    down = address == "203.0.113.24" and utc("2026-10-10T22:00") <= at < utc("2026-10-11T22:00")
    metadata = {"router_id": None, "status": "DOWN" if down else "ACTIVE", "floating_network_id": "e94bf830-1a6b-4cf5-982e-3b0c45c6fae1",
                "fixed_ip_address": None if down else "10.0.0.7", "port_id": None, "floating_ip_address": address}
    return sample("ip.floating", "gauge", "ip", 3 if down else 1, project, uid, at, metadata, user=False)


def readings(port, waypoints):
    """Poll -> counter: uneven growth that passes exactly through the waypoints."""
    result = {}
    for (start, low), (end, high) in zip(waypoints, waypoints[1:]):
        steps = int((end - start) / timedelta(minutes=15))
        weights = [1 + noise(port, start, step) % 1000 for step in range(steps)]
        covered = 0
        for step in range(steps):
            if high >= low:
                result[start + timedelta(minutes=15) * step] = low + (high - low) * covered // sum(weights)
            covered += weights[step]
        if high < low:                          # between the two the machine was down: nothing but the last reading before
            result[start] = low
    result[waypoints[-1][0]] = waypoints[-1][1]
    return result


# ---------------------------------------------------------------------------------------------------------------------
# The story, poll by poll


def polls():
    """Everything that the polling agents measured: (poll, sample)."""
    counters = {name: (port, readings(port, waypoints)) for name, port, waypoints in PORTS}
    poll = FIRST
    while poll <= LAST:
        cycle = []
        if poll.minute == 50:
            for instance in INSTANCES:
                at = poll + timedelta(microseconds=117_000 + 5_000 * instance.number + noise("vcpus", poll) % 900)
                if instance.exists(at) and not (instance.name == "shop-web-2" and poll == utc("2026-10-07T01:50")):
                    vcpus = FLAVORS[instance.flavor(at)][1]
                    cycle.append(sample("vcpus", "gauge", "vcpu", vcpus, instance.project, instance.id, at, polled_metadata(instance, at)))
                    if instance.name == "shop-db-1" and poll.date() == utc("2026-10-08").date():
                        used = 4096 + noise("memory", poll) % 2048 / 2
                        cycle.append(sample("memory.usage", "gauge", "MiB", used, instance.project, instance.id, at, polled_metadata(instance, at)))
                        ticks = int((at - utc("2026-06-01")).total_seconds()) * 1_370_000_000
                        cycle.append(sample("cpu", "cumulative", "ns", ticks, instance.project, instance.id, at, polled_metadata(instance, at)))
            for number, (name, uid, project, states) in enumerate(VOLUMES):
                # One poll falls on a whole second: the original writes no fraction then.
                exact = poll == utc("2026-10-02T12:50") and name == "ci-cache"
                at = poll + (timedelta(seconds=1) if exact else timedelta(seconds=1, microseconds=204_000 + 7_000 * number + noise("volume", poll) % 900))
                kind, size = [state[1:] for state in states if state[0] <= at][-1]
                cycle.append(polled_volume(name, uid, project, kind, size, at))
            for number, (address, uid, project) in enumerate(FLOATING_IPS):
                at = poll + timedelta(seconds=2, microseconds=88_000 + 3_000 * number + noise("ip", poll) % 900)
                cycle.append(polled_ip(address, uid, project, at))
                if address == "203.0.113.10" and poll.date() == utc("2026-10-06").date():      # a second agent, 3 ms later
                    cycle.append(polled_ip(address, uid, project, at + timedelta(milliseconds=3)))
        for number, (name, (port, values)) in enumerate(counters.items()):
            if poll in values:
                instance = BY_NAME[name]
                at = poll + timedelta(seconds=3, microseconds=301_000 + 11_000 * number + noise("port", poll) % 900)
                resource = f"instance-{instance.number:08x}-{instance.id}-{port}"
                cycle.append(sample("network.outgoing.bytes", "cumulative", "B", values[poll], instance.project, resource, at,
                                    polled_metadata(instance, at) | {"mac": f"fa:16:3e:00:00:{instance.number:02x}", "vnic_name": port}))
        yield from ((poll, entry) for entry in cycle)
        poll += timedelta(minutes=15)


def notifications():
    """The plain file: what happened between the polls, as the notification agent tells it."""
    result = []
    volumes = {name: (uid, project) for name, uid, project, _ in VOLUMES}

    def volume(name, kind, size, at, event):
        uid, project = volumes[name]
        metadata = {"display_name": name, "volume_type": VOLUME_TYPES[kind], "volume_type_id": VOLUME_TYPES[kind], "event_type": event}
        result.append(sample("volume.size", "gauge", "GiB", size, project, uid, utc(at), metadata, notified=True))

    volume("lims-data", "ssd", 160, "2026-10-09T13:55:30.512804", "volume.resize.end")
    lims, made = BY_NAME["lims-1"], utc("2026-06-11T09:02:11")
    result += notified_samples(lims, utc("2026-10-14T08:20:41.090211"), made)             # resize.prep.start: still m1.small
    resized = notified_samples(lims, utc("2026-10-14T08:35:20.733415"), made)             # finish_resize.end: m1.large
    result += resized
    result.append(next(entry for entry in resized if entry["name"] == "vcpus"))           # delivered at least once: here twice
    volume("shop-db-data", "ssd", 500, "2026-10-17T22:10:07.250399", "volume.retype")
    erp, made = BY_NAME["shop-erp-1"], utc("2026-04-02T12:30:05")
    result += notified_samples(erp, utc("2026-10-20T14:10:02.417700"), made)              # delete.start: still there
    result += notified_samples(erp, utc("2026-10-20T14:12:41.300118"), made, deleted=utc("2026-10-20T14:12:40"))   # delete.end
    result += notified_samples(BY_NAME["render-1"], utc("2026-10-29T13:54:52.861003"), utc("2026-10-29T13:54:41"), booted=11.0)
    return result


def bus_spelling(entry):
    """The same record as the message bus carries it; the recovery tool writes ids of UUID form in upper case."""
    resource = entry["resource_id"]
    upper = len(resource) == 36 and resource.count("-") == 4
    return {
        "source": entry["source"],
        "counter_name": entry["name"],
        "counter_type": entry["type"],
        "counter_unit": entry["unit"],
        "counter_volume": entry["volume"],
        "user_id": entry["user_id"],
        "user_name": None,
        "project_id": entry["project_id"],
        "project_name": None,
        "resource_id": resource.upper() if upper else resource,
        "timestamp": entry["timestamp"] + "+00:00",
        "resource_metadata": entry["resource_metadata"],
        "message_id": entry["id"],
        "monotonic_time": None,
        "message_signature": "",
    }


def files():
    """File name -> list of lines."""
    weeks = {f"polls-2026-w{week}.jsonl.gz": [] for week in range(40, 45)}
    recovered = []                                   # one array for each poll of the bus
    cycles = {}
    for poll, entry in polls():
        cycles.setdefault(poll, []).append(entry)

    for poll, cycle in cycles.items():
        file = weeks[f"polls-2026-w{poll.isocalendar().week}.jsonl.gz"]
        if OUTAGE[0] - HOUR <= poll < OUTAGE[1] + HOUR:
            recovered.append([bus_spelling(entry) for entry in cycle])
        if OUTAGE[0] <= poll < OUTAGE[1]:
            continue
        lines = []
        for entry in cycle:
            name, resource = entry["name"], entry["resource_id"]
            # What is wrong or strange in single records.
            if poll == utc("2026-10-21T10:20") and "lims" in entry["resource_metadata"]["display_name"]:
                entry = entry | {"volume": -1}                                            # negative: rejected, the next reading tells it all
            elif poll == utc("2026-10-22T03:50") and entry["resource_metadata"].get("name") == "ci-cache":
                entry = entry | {"volume": float("nan")}                                  # json.dumps writes NaN, which is not JSON
            elif poll == utc("2026-10-23T17:50") and entry["resource_metadata"].get("name") == "shop-media":
                later = (utc(entry["timestamp"]) + timedelta(seconds=2)).isoformat()
                lines.append(json.dumps(entry | {"volume": "NaN", "timestamp": later, "id": record_id(poll, "again")}))
            elif poll == utc("2026-10-19T09:50") and entry["resource_metadata"].get("floating_ip_address") == "203.0.113.24":
                entry = entry | {"project_id": None}                                      # keeps the project it had
            elif poll == utc("2026-10-28T16:50") and entry["resource_metadata"].get("name") == "ci-cache":
                entry = entry | {"volume": "50"}                                          # a dynamic pollster sends text
            lines.append(json.dumps(entry))
            if poll == utc("2026-10-16T20:50") and entry["resource_metadata"].get("display_name") == "shop-db-1" and name == "vcpus":
                lines.append(json.dumps(entry | {"id": record_id(poll, "cut")})[:211])    # the process died while writing
            if poll == utc("2026-10-27T07:50") and entry["resource_metadata"].get("name") == "ci-cache":
                orphan = polled_volume("tmp-restore", "e05c0941-2b7c-4d06-893f-4c1d56d70bf2", None, "hdd", 20, utc(entry["timestamp"]) + timedelta(milliseconds=7))
                lines.append(json.dumps(orphan | {"project_id": "None", "user_id": None}))
            if poll == utc("2026-10-30T05:50") and resource == VOLUMES[1][1]:
                later = (utc(entry["timestamp"]) + timedelta(seconds=1)).isoformat()
                lines.append(json.dumps(entry | {"resource_id": None, "timestamp": later, "id": record_id(poll, "nameless")}))
            if poll == utc("2026-10-30T06:20") and "shop-web-1" in entry["resource_metadata"]["display_name"]:
                lines.append(json.dumps({key: value for key, value in entry.items() if key != "timestamp"} | {"id": record_id(poll, "timeless")}))
            if poll == utc("2026-10-30T07:50") and entry["resource_metadata"].get("floating_ip_address") == "203.0.113.10":
                lines.append(json.dumps(entry | {"timestamp": "2026-10-30T25:61:00", "id": record_id(poll, "clock")}))
        if poll == utc("2026-10-06T08:05"):
            lines.append(repr(cycle[0] | {"id": record_id(poll, "repr")}))                # a publisher without ?json: Python, not JSON
        file += lines
        if poll == utc("2026-10-08T10:50"):
            file += lines                                                                 # the agent restarted and wrote the poll again
        if poll == utc("2026-10-18T23:50"):
            weeks["polls-2026-w43.jsonl.gz"] += lines                                     # rotated in between: in both files

    del recovered[9][0]["resource_id"]                                                    # one broken record does not spoil its array
    spare = recovered[8][0]
    spare = spare | {"counter_volume": -5, "timestamp": spare["timestamp"].replace("T07:05:03", "T07:06:03"), "message_id": record_id(OUTAGE[0], "spare")}
    recovered[9].append(spare)
    return {
        "notifications-2026-10.jsonl": [json.dumps(entry) for entry in notifications()],
        **weeks,
        "recovered-2026-10-13.jsonl.gz": [json.dumps(batch) for batch in recovered],
    }


def main():
    parser = argparse.ArgumentParser(description="Write the usage files of this sample.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a file holds something else")
    check = parser.parse_args().check
    USAGE.mkdir(exist_ok=True)
    different = 0
    for name, lines in files().items():
        content = "".join(line + "\n" for line in lines).encode()
        path = USAGE / name
        if check:
            found = path.read_bytes() if path.exists() else b""
            same = (gzip.decompress(found) if found and name.endswith(".gz") else found) == content
            different += not same
            print(f"{name}: {'as written' if same else 'differs'}")
            continue
        if name.endswith(".gz"):
            packed = io.BytesIO()
            with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=packed, mtime=0) as file:
                file.write(content)
            path.write_bytes(packed.getvalue())
        else:
            path.write_bytes(content)
        print(f"{name}: {len(lines)} lines, {path.stat().st_size} bytes")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
