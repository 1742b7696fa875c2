"""Feature values as the engine computes them (docs/features.md), for the operators that the loan features use.

An application's events are a list of dicts: time_ms, event, properties. A value at `now` is a number, or None when
nothing is known yet. Windows are not here: no loan feature has one.
"""

DAY_MS = 86_400_000
_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": DAY_MS, "w": 7 * DAY_MS}
_KNOWN = {"name", "op", "on", "where", "of", "half_life", "session_gap", "class", "description", "owner"}


def duration_ms(text):
    digits = text.rstrip("mshdw")
    return int(digits) * _UNITS_MS[text[len(digits):]]


def _lookup(event, path):
    root, key = path.split(".", 1)
    return event.get(root, {}).get(key)


def _matches(declaration, event):
    alternatives = declaration.get("on")
    if alternatives is not None and not any(
            event["event"] == (alternative if isinstance(alternative, str) else alternative["event"])
            for alternative in alternatives):
        return False
    for condition in declaration.get("where", []):
        if set(condition) != {"path", "is"}:
            raise ValueError(f"{declaration['name']}: only `is` is read here")
        if _lookup(event, condition["path"]) != condition["is"]:
            return False
    return True


def _sessions(times, gap_ms):
    return sum(1 for i, t in enumerate(times) if i == 0 or t - times[i - 1] > gap_ms)


def _streak(times, now):
    days = {t // DAY_MS for t in times}
    day = now // DAY_MS
    if day not in days:
        day -= 1
    length = 0
    while day in days:
        length, day = length + 1, day - 1
    return length


def value(declaration, events, now):
    """The feature at `now`, from the events up to and including it."""
    unknown = set(declaration) - _KNOWN
    if unknown:
        raise ValueError(f"{declaration['name']}: {sorted(unknown)} is not read here")
    seen = sorted((e for e in events if e["time_ms"] <= now and _matches(declaration, e)), key=lambda e: e["time_ms"])
    times = [e["time_ms"] for e in seen]
    op = declaration["op"]
    if op == "count":
        return len(times)
    if op == "flag":
        return 1 if times else 0
    if op == "recency":
        return now - times[-1] if times else None
    if op == "gap":
        return times[-1] - times[-2] if len(times) > 1 else None
    if op == "decay":
        half_life = duration_ms(declaration["half_life"])
        return sum(2.0 ** (-(now - t) / half_life) for t in times)
    if op == "sessions":
        return _sessions(times, duration_ms(declaration.get("session_gap", "30m")))
    if op == "streak":
        return _streak(times, now)
    if op in ("last", "distinct"):
        found = [v for v in (_lookup(e, declaration["of"]) for e in seen) if v is not None]
        if op == "distinct":
            return len(set(found))
        return found[-1] if found else None
    raise ValueError(f"{declaration['name']}: the operator {op} is not read here")
