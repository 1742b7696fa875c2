#!/usr/bin/env python3
"""Tests of the loan scripts. Without LOAN_EVENTS, the real log, the test that trains again says that it skips."""

import csv
import gzip
import hashlib
import json
import math
import os
import random
import subprocess
import sys
import tempfile
import unittest

import applications
import declarations
import logistic
import operators

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
FEATURES = os.path.join(ROOT, "policies/signals/loans/features")
HOUR_MS = 3_600_000


def event(hour, name, **properties):
    return {"time_ms": hour * HOUR_MS, "event": name, "properties": properties}


class Operators(unittest.TestCase):
    EVENTS = [event(1, "call", lifecycle="START", resource="7"), event(2, "call", lifecycle="COMPLETE", resource="7"),
              event(5, "call", lifecycle="START", resource="8"), event(30, "call", lifecycle="START"),
              event(31, "mail", size=3)]

    def value(self, now_hours, **declaration):
        return operators.value({"name": "f", **declaration}, self.EVENTS, now_hours * HOUR_MS)

    def test_counts_what_matches_up_to_now(self):
        starts = [{"path": "properties.lifecycle", "is": "START"}]
        self.assertEqual(self.value(40, op="count"), 5)
        self.assertEqual(self.value(40, op="count", on=["call"]), 4)
        self.assertEqual(self.value(40, op="count", on=[{"event": "call"}], where=starts), 3)
        self.assertEqual(self.value(5, op="count", on=[{"event": "call"}], where=starts), 2)
        self.assertEqual(self.value(0, op="flag"), 0)
        self.assertEqual(self.value(1, op="flag"), 1)

    def test_times(self):
        self.assertIsNone(self.value(30, op="recency", on=["mail"]))
        self.assertEqual(self.value(33, op="recency", on=["mail"]), 2 * HOUR_MS)
        self.assertEqual(self.value(10, op="gap"), 3 * HOUR_MS)
        self.assertIsNone(self.value(1, op="gap"))
        self.assertEqual(self.value(40, op="sessions", session_gap="1h"), 3)
        self.assertEqual(self.value(40, op="sessions", session_gap="59m"), 5)

    def test_streak_counts_to_today_or_yesterday(self):
        self.assertEqual(self.value(31, op="streak"), 2)
        self.assertEqual(self.value(50, op="streak"), 2)
        self.assertEqual(self.value(80, op="streak"), 0)

    def test_decay_halves(self):
        self.assertAlmostEqual(self.value(55, op="decay", on=["mail"], half_life="1d"), 0.5)
        self.assertAlmostEqual(self.value(31 + 14 * 24, op="decay", on=["mail"], half_life="7d"), 0.25)

    def test_values(self):
        self.assertEqual(self.value(40, op="distinct", of="properties.resource"), 2)
        self.assertEqual(self.value(40, op="last", of="properties.resource"), "8")
        self.assertIsNone(self.value(20, op="last", of="properties.size"))

    def test_what_is_not_known_is_refused(self):
        for wrong in ({"op": "velocity"}, {"op": "count", "window": "7d"},
                      {"op": "count", "where": [{"path": "properties.size", "under": 3}]}):
            with self.assertRaises(ValueError):
                self.value(40, **wrong)


class Declarations(unittest.TestCase):
    def test_the_file_is_read_and_looks_at_no_outcome(self):
        declared = declarations.read(FEATURES)
        self.assertGreaterEqual(len(declared), 8)
        self.assertEqual(len({d["name"] for d in declared}), len(declared))
        for d in declared:
            named = {a if isinstance(a, str) else a["event"] for a in d["on"]}
            self.assertTrue(named)  # an open `on` would take in the outcome
            self.assertFalse(named & applications.OUTCOME)

    def test_anything_but_literals_is_refused(self):
        for text in ("return { os.exit() }", "return { 1, a = 2 }", "x = {}", "return {} return {}", "return { f }"):
            with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
                file.write(text)
                file.flush()
                with self.assertRaises(ValueError, msg=text):
                    declarations.read_file(file.name)


class Logistic(unittest.TestCase):
    def test_finds_the_weights_that_made_the_labels(self):
        rng = random.Random(7)
        rows = [[rng.gauss(0, 1), rng.gauss(5, 3)] for _ in range(4000)]
        labels = [int(rng.random() < logistic.sigmoid(0.5 + 1.2 * x - 0.3 * y)) for x, y in rows]
        intercept, (a, b) = logistic.fit(rows, labels, 1e-6)
        self.assertAlmostEqual(a, 1.2, delta=0.15)
        self.assertAlmostEqual(b, -0.3, delta=0.05)
        chances = [logistic.sigmoid(intercept + a * x + b * y) for x, y in rows]
        self.assertAlmostEqual(sum(chances), sum(labels), delta=1e-6)  # what the optimum is known by

    def test_auc_is_the_share_of_pairs(self):
        rng = random.Random(8)
        scores = [rng.randrange(6) for _ in range(60)]
        labels = [rng.randrange(2) for _ in scores]
        pairs = [(1.0 if s > t else 0.5 if s == t else 0.0) for s, y in zip(scores, labels) if y
                 for t, z in zip(scores, labels) if not z]
        self.assertAlmostEqual(logistic.auc(scores, labels), sum(pairs) / len(pairs))


class Training(unittest.TestCase):
    def run_train(self, events, out, *more):
        done = subprocess.run([sys.executable, os.path.join(HERE, "train.py"), events, "--out", out, *more],
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def write_log(self, path):
        """A small made-up log in which offers make approvals."""
        rng = random.Random(9)
        with gzip.open(path, "wt", encoding="utf-8", newline="") as file:
            log = csv.writer(file)
            log.writerow("case_id reg_date amount_req seq timestamp activity lifecycle resource".split())
            for case in range(400):
                day = f"201{'1-12' if case % 2 else '2-02'}-{1 + case % 27:02d}"
                start, offered = f"{day}T08:00:00.000+01:00", case % 4 < 2
                steps = [(start, "A_SUBMITTED"), (start, "A_PREACCEPTED"), (start, "W_Completeren aanvraag")]
                steps += [(f"{day}T10:00:00.000+01:00", "O_SENT")] if offered else []
                end = "A_APPROVED" if rng.random() < (0.7 if offered else 0.2) else "A_DECLINED"
                steps.append((f"{day[:8]}28T20:00:00.000+01:00", end))
                for seq, (moment, activity) in enumerate(steps):
                    log.writerow([case, start, 5000 + 100 * (case % 300), seq, moment, activity, "START", "7"])

    def test_a_made_up_log_end_to_end(self):
        with tempfile.TemporaryDirectory() as folder:
            log = os.path.join(folder, "log.csv.gz")
            self.write_log(log)
            self.run_train(log, os.path.join(folder, "a"))
            self.run_train(log, os.path.join(folder, "b"))
            for name in ("loan_fit", "loan_engagement"):
                files = [os.path.join(folder, side, name, "1") for side in "ab"]
                contents = []
                for path in files:
                    with open(os.path.join(path, "weights.json"), "rb") as file:
                        weights = file.read()
                    with open(os.path.join(path, "model.json"), "rb") as file:
                        contents.append((file.read(), weights))
                self.assertEqual(*contents)
                model, weights = (json.loads(text) for text in contents[0])
                self.assertEqual(model["sha256"], hashlib.sha256(contents[0][1]).hexdigest())
                self.assertEqual([f["name"] for f in model["features"]], [t["feature"] for t in weights["terms"]])
                if name == "loan_engagement":
                    self.assertGreater(model["metrics"]["auc_later"], 0.6)
                    self.assertTrue(all(math.isfinite(t["weight"]) for t in weights["terms"]))

    @unittest.skipUnless(os.environ.get("LOAN_EVENTS"), "LOAN_EVENTS does not name the log")
    def test_the_models_of_this_repository_are_made_again(self):
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(ROOT, "policies/models/loan_fit/1/model.json"), encoding="utf-8") as file:
                when = json.load(file)["trained"]["when"]
            self.run_train(os.environ["LOAN_EVENTS"], folder, "--when", when)
            for name in ("loan_fit", "loan_engagement"):
                for part in ("model.json", "weights.json"):
                    path = os.path.join(name, "1", part)
                    with open(os.path.join(folder, path), encoding="utf-8") as made, \
                            open(os.path.join(ROOT, "models", path), encoding="utf-8") as kept:
                        made, kept = json.load(made), json.load(kept)
                    for feature in kept.get("features", []):
                        feature["definition"] = None  # written in later, by the tool that knows the hashes
                    self.assertEqual(made, kept, path)


if __name__ == "__main__":
    unittest.main()
