#!/usr/bin/env python3
"""Makes policies/models/loan_fit/1 and policies/models/loan_engagement/1 from the bank's event log. See README.md beside it."""

import argparse
import hashlib
import json
import math
import os

import applications
import declarations
import logistic
import operators

DAY_MS = operators.DAY_MS
SCALE = {"points_to_double_odds": 10, "points_at_even_odds": 50}
FACTOR = SCALE["points_to_double_odds"] / math.log(2)
RIDGE = 5.0
SEED = 20120115  # of the resampling behind the AUC's interval; nothing else is random

# The profile: what is asked for, in bins, since approval first rises with the amount and then falls.
AMOUNT_EDGES = [4000, 6000, 10000, 15000, 25000, 40000]

# The behaviour. Ages stop at a day, the moment the model learned from: later ones would be guesses.
TERMS = [
    {"feature": "completing_calls", "transform": "log1p"},
    {"feature": "lead_calls", "transform": "log1p"},
    {"feature": "offers_sent", "transform": "clip", "min": 0, "max": 1},
    {"feature": "offer_age", "transform": "clip", "min": 0, "max": DAY_MS},
    {"feature": "offer_calls", "transform": "log1p"},
    {"feature": "offer_came_back", "transform": "identity"},
    {"feature": "papers_calls", "transform": "log1p"},
    {"feature": "desk_people", "transform": "clip", "min": 0, "max": 8},
    {"feature": "desk_idle", "transform": "clip", "min": 0, "max": DAY_MS},
    {"feature": "desk_days", "transform": "clip", "min": 0, "max": 3},
]
MISSING = 0  # nothing known: the term adds what a 0 adds


def rounded(number):
    """Six digits, so that the last bits of one machine's libm are not in the files."""
    return float(f"{number:.6g}")


def transformed(term, value):
    value = MISSING if value is None else value
    if term["transform"] == "clip":
        return min(max(value, term["min"]), term["max"])
    return math.log1p(max(value, 0)) if term["transform"] == "log1p" else value


def bin_of(amount):
    return sum(1 for edge in AMOUNT_EDGES if amount >= edge)


def train_engagement(rows, labels):
    """rows: {feature: value}. The weights.json of a logistic model."""
    table = [[transformed(term, row[term["feature"]]) for term in TERMS] for row in rows]
    intercept, weights = logistic.fit(table, labels, RIDGE)
    terms = []
    for term, weight in zip(TERMS, weights):
        bounds = {key: term[key] for key in ("min", "max") if key in term}
        terms.append({"feature": term["feature"], "weight": rounded(weight), "transform": term["transform"], **bounds,
                      "missing": MISSING})
    return {"intercept": rounded(intercept), "terms": terms}


def margin_engagement(weights, row):
    return weights["intercept"] + sum(
        term["weight"] * transformed(term, row[term["feature"]]) for term in weights["terms"])


def train_fit(rows, labels):
    """The weights.json of a scorecard: a regression on which bin the amount is in, in tenths of a point."""
    bins = range(len(AMOUNT_EDGES) + 1)
    table = [[1.0 if bin_of(row["amount_req"]) == b else 0.0 for b in bins] for row in rows]
    intercept, weights = logistic.fit(table, labels, RIDGE)
    base = SCALE["points_at_even_odds"] + intercept * FACTOR
    average = sum(weights[bin_of(row["amount_req"])] for row in rows) / len(rows)
    points = [round((weight - average) * FACTOR, 1) for weight in weights]
    entries = [{"under": edge, "points": p} for edge, p in zip(AMOUNT_EDGES, points)] + [{"points": points[-1]}]
    return {"base": round(base + average * FACTOR, 1),
            "terms": [{"feature": "amount_req", "bins": entries, "missing": 0}]}


def margin_fit(weights, row):
    amount = row["amount_req"]
    points = weights["base"] + weights["terms"][0]["bins"][bin_of(amount)]["points"]
    return (points - SCALE["points_at_even_odds"]) / FACTOR


def metrics(margin, weights, rows_train, labels_train, rows_later, labels_later):
    train = [margin(weights, row) for row in rows_train]
    later = [margin(weights, row) for row in rows_later]
    chances = [logistic.sigmoid(m) for m in later]
    share = sum(labels_train) / len(labels_train)
    low, high = logistic.auc_interval(later, labels_later, SEED)
    return {
        "auc_later": round(logistic.auc(later, labels_later), 4),
        "auc_later_low": round(low, 4),
        "auc_later_high": round(high, 4),
        "auc_train": round(logistic.auc(train, labels_train), 4),
        "log_loss_later": round(logistic.log_loss(chances, labels_later), 4),
        "log_loss_later_of_a_constant": round(logistic.log_loss([share] * len(labels_later), labels_later), 4),
        "brier_later": round(logistic.brier(chances, labels_later), 4),
        "mean_probability_later": round(sum(chances) / len(chances), 4),
        "approved_share_later": round(sum(labels_later) / len(labels_later), 4),
        "approved_share_train": round(share, 4),
        "rows_later": len(rows_later),
        "note": "later: registered from 2012-01-15 on, not seen in training; low and high hold 95 % of 400 resamples",
    }


def _lines(value, indent=""):
    """JSON for people: one entry a line, what lies deeper than two levels on its entry's line."""
    inner = indent + "  "
    if isinstance(value, dict) and len(inner) <= 4:
        entries = [f"{inner}{json.dumps(key)}: {_lines(item, inner)}" for key, item in value.items()]
        return "{\n" + ",\n".join(entries) + f"\n{indent}}}"
    if isinstance(value, list) and len(inner) <= 4:
        return "[\n" + ",\n".join(f"{inner}{json.dumps(item)}" for item in value) + f"\n{indent}]"
    return json.dumps(value)


def write(folder, name, kind, weights, about, found, when, rows):
    version = "1"
    path = os.path.join(folder, name, version)
    os.makedirs(path, exist_ok=True)
    weights_json = (_lines(weights) + "\n").encode()
    trained = {"by": "examples/loans/train.py", "when": when,
               "window": "registered 2011-10-01 to 2012-01-14, scored 24 hours after A_PREACCEPTED",
               "data": "BPI Challenge 2012, doi:10.4121/uuid:3926db30-f712-4394-aebc-75976070e91f", "rows": rows}
    model = {
        "name": name, "version": version, "kind": kind, "sha256": hashlib.sha256(weights_json).hexdigest(),
        "target": "the application is approved (A_APPROVED)", "scale": SCALE,
        "features": [{"name": term["feature"], "definition": None} for term in weights["terms"]],
        "trained": {key: item for key, item in trained.items() if item}, "metrics": found, "rationale": about,
    }
    for file_name, content in (("weights.json", weights_json), ("model.json", (_lines(model) + "\n").encode())):
        with open(os.path.join(path, file_name), "wb") as file:
            file.write(content)
    print(f"{name}: AUC {found['auc_later']} later ({found['auc_later_low']} to {found['auc_later_high']}), "
          f"{found['auc_train']} in training; log loss {found['log_loss_later']}, "
          f"of a constant {found['log_loss_later_of_a_constant']}")


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    root = os.path.dirname(os.path.dirname(here))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("events", help="events.csv.gz of BPI Challenge 2012")
    parser.add_argument("--features", default=os.path.join(root, "policies/signals/loans/features"))
    parser.add_argument("--out", default=os.path.join(root, "policies/models"), help="the folder of models")
    parser.add_argument("--when", help="the day to write into model.json; nothing here asks a clock")
    options = parser.parse_args()

    declared = declarations.read(options.features)
    chosen = applications.to_score(applications.read(options.events))
    train, later = applications.split(chosen)

    def rows_of(some):
        return [{d["name"]: operators.value(d, a.events, a.now) for d in declared} for a in some]

    rows_train, rows_later = rows_of(train), rows_of(later)
    labels_train, labels_later = [a.approved for a in train], [a.approved for a in later]
    print(f"{len(train)} applications to learn from, {len(later)} later ones to judge by")

    for name, kind, learn, margin, about in (
            ("loan_fit", "scorecard", train_fit, margin_fit,
             "The amount alone, the only thing known of the applicant: small and very large loans are approved less "
             "often. It ranks weakly, and says so."),
            ("loan_engagement", "logistic", train_engagement, margin_engagement,
             "What happened in the first day: an offer that went out, how early, how it was answered, and how much "
             "work the bank had with it.")):
        weights = learn(rows_train, labels_train)
        found = metrics(margin, weights, rows_train, labels_train, rows_later, labels_later)
        write(options.out, name, kind, weights, about, found, options.when, len(train))


if __name__ == "__main__":
    main()
