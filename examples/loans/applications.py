"""The bank's event log as applications to score: read, judged at one moment, and split by time."""

import csv
import datetime
import gzip

from operators import DAY_MS

# The outcome. No feature may look at these.
OUTCOME = {"A_APPROVED", "A_REGISTERED", "A_ACTIVATED", "O_ACCEPTED", "A_DECLINED", "O_DECLINED", "A_CANCELLED",
           "O_CANCELLED"}
_ENDS = {"A_APPROVED", "A_REGISTERED", "A_ACTIVATED", "A_DECLINED", "A_CANCELLED"}
SCORED_AFTER_MS = DAY_MS  # after A_PREACCEPTED
SPLIT = "2012-01-15"      # registered before: to learn from; from then on: to judge by


def _time_ms(text):
    moment = datetime.datetime.fromisoformat(text)
    return round(moment.timestamp() * 1000)


def _event(row):
    properties = {"lifecycle": row["lifecycle"]}
    if row["resource"]:
        properties["resource"] = row["resource"]
    if row["activity"] == "A_SUBMITTED":
        properties["amount_req"] = int(row["amount_req"])
    return {"time_ms": _time_ms(row["timestamp"]), "event": row["activity"], "properties": properties}


class Application:
    def __init__(self, rows):
        self.registered = rows[0]["reg_date"][:10]
        self.events = [_event(row) for row in rows]
        accepted = [e["time_ms"] for e in self.events if e["event"] == "A_PREACCEPTED"]
        self.now = accepted[0] + SCORED_AFTER_MS if accepted else None
        ends = [e["time_ms"] for e in self.events if e["event"] in _ENDS]
        self.ended_ms = min(ends) if ends else None
        self.approved = int(any(e["event"] == "A_APPROVED" for e in self.events))
        self.events = [e for e in self.events if e["event"] not in OUTCOME]


def read(path):
    """Every application of the log, in its order."""
    groups = {}
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            groups.setdefault(row["case_id"], []).append(row)
    return [Application(rows) for rows in groups.values()]


def to_score(applications):
    """Those that a score is for: pre-accepted, still open a day later, and with an end that is known by now."""
    return [a for a in applications if a.now is not None and a.ended_ms is not None and a.ended_ms > a.now]


def split(applications):
    return [a for a in applications if a.registered < SPLIT], [a for a in applications if a.registered >= SPLIT]
