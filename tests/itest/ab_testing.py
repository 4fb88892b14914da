#!/usr/bin/env python3
"""docs/ab-testing.md is true: its commands are run in order, in one shell, against the demo
providers, and what they print is what the page shows, but for numbers, ids and times.  In the
page ```sh is run, a ```text behind it is what that printed; ```console is not run."""

import difflib
import json
import math
import os
import re
import statistics
import subprocess

from harness import SLOW, SOURCE, WAYFARE, Report, Sim, Wayfare

PAGE = SOURCE / "docs" / "ab-testing.md"
report = Report()


def blocks():
    """[(commands, expected output or None)]"""
    found = []
    for kind, text in re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(), re.M | re.S):
        if kind == "sh":
            found.append([text, None])
        elif kind == "text":
            assert found and found[-1][1] is None, "a ```text without commands: " + text
            found[-1][1] = text
        else:
            assert kind == "console", "a block of an unknown kind: " + kind
    return found


def demo():
    """What ./quickstart leaves: a server with the demo providers, and run/ with its addresses and key."""
    sim = Sim(["thrift", "steady", "vault"])
    catalog = (SOURCE / "demo" / "catalog.json").read_text()
    for port, name in ((9191, "thrift"), (9192, "steady"), (9193, "vault")):
        catalog = catalog.replace("http://127.0.0.1:%d" % port, sim.url[name])
    way = Wayfare(json.loads(catalog))
    run = os.path.join(way.dir, "run")
    os.mkdir(run)
    os.symlink(WAYFARE, os.path.join(way.dir, "wayfare"))
    for suffix in ("", ".sock", "-wal", "-shm", ".lock"):
        os.symlink(way.db + suffix, os.path.join(run, "demo.db" + suffix))
    for name, text in (("wayfare.out", "listening on http://%s\nadmin on http://%s\n" % (way.address, way.admin)),
                       ("demo.key", way.key + "\n")):
        with open(os.path.join(run, name), "w") as f:
            f.write(text)
    return way


def run_all(way, found):
    """What each block printed."""
    script = "set -eu\n" + "".join("%s\nprintf '\\n@@@@\\n'\n" % commands for commands, _ in found)
    env = {k: v for k, v in way.env.items() if k != "WAYFARE_DB"}
    done = subprocess.run(["sh", "-c", script], cwd=way.dir, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=120 * SLOW)
    outputs = done.stdout.split("\n@@@@\n")
    assert done.returncode == 0, "block %d failed: %s\n%s" % (len(outputs), found[len(outputs) - 1][0], outputs[-1])
    return outputs


def shape(text):
    """Lines without what differs from run to run."""
    text = re.sub(r"\b(gen|key)_[0-9a-f]+", r"\1_ID", text)
    text = re.sub(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?Z?", "TIME", text)
    text = re.sub(r"[-+]?\d+([.,]\d+)*(e[-+]?\d+)?", "N", text)
    text = re.sub(r", (latency|solved) up to N( %)?(?=[,.])", "", text)  # once in a while that is certain
    text = re.sub(r"cheaper/\w+", "cheaper/ARM", text)  # of the one user who is looked at
    return [" ".join(line.split()) for line in text.strip().splitlines()]


# ---- the table of how many users: from the formulas of router/stats.h, which the server's forecast
# ---- shows to be the program's

ALPHA = 0.05 / 5  # two arms: cost, errors, canceled, latency and one more


def detectable(variation, units, alpha=ALPHA):
    a = -2 * math.log(alpha)
    t = units * (a + math.log(a + 1)) / 2000
    radius = math.sqrt(2 * (t + 1) / t * math.log(math.sqrt(t + 1) / alpha))
    return math.exp(variation * math.sqrt(4 / units) * (radius + statistics.NormalDist().inv_cdf(0.8))) - 1


def check_table():
    rows = re.findall(r"^\| (\d+) % \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|$", PAGE.read_text(), re.M)
    assert len(rows) == 5, rows
    for percent, *cells in rows:
        for variation, cell in zip((0.5, 1, 2), cells):
            units, wanted = int(cell.replace(",", "")), int(percent) / 100
            # 200 is the least there is: 100 in each arm.
            assert units == 200 or detectable(variation, units - 1) > wanted * 0.9999, (percent, cell)
            assert detectable(variation, units) <= wanted * 1.0001, (percent, cell)


def check_forecast(way):
    f = way.cli_json("experiment", "create", "other", "--model", "sonnet", "--arm", "a=none:1", "--arm", "b=none:1",
                     "--metric", "solved:higher", "--dry-run")["forecast"]
    month = next(row for row in f["detectable"] if row["days"] == 30)
    ours = detectable(f["variation"], f["requests_per_day"] * 30)
    assert math.isclose(month["cost_difference"], ours, rel_tol=1e-3), (f, ours)


# ---- the walk ----


def walk(found):
    """A server of its own, and {commands: how what they printed differs from the page}."""
    way = demo()
    wrong = {}
    for (commands, expected), output in zip(found, run_all(way, found)):
        diff = list(difflib.unified_diff(shape(expected or ""), shape(output), "the page", "the output of: " + commands.strip(),
                                         lineterm=""))
        if diff:
            wrong[commands] = diff
    return way, wrong


def test_the_page_is_true():
    found = blocks()
    way, wrong = walk(found)
    if wrong and all("experiment show" in commands for commands in wrong):
        # Who is in which arm is chance, and once in ten thousand times one arm's users are surely happier, or its
        # answers faster: another draw must be as the page says.
        print("# another verdict: %s" % "\n".join(line for diff in wrong.values() for line in diff))
        assert way.stop() == 0
        way, wrong = walk(found)
    assert not wrong, "\n".join(line for diff in wrong.values() for line in diff)
    assert len([e for _, e in found if e]) >= 6, "the page shows nothing"
    check_table()
    check_forecast(way)
    way.verify()


report.case("the_page_is_true", test_the_page_is_true)
report.end()
