#!/usr/bin/env python3
"""No overshoot: crowds of requests against caps of keys and teams, with the simulator's log as
the witness.  A cap is right when, at every line of that log, what was billed so far and the
worst case of everything that runs fit under it together, and when nothing is left over that
the next request could have used.

The judge (crowd.py) prices in decimals and knows nothing of the router's code."""

import base64
import datetime
import json
import random
import threading
import time
from decimal import Decimal

from crowd import (LONG, NANO, Poller, Shot, Witness, check_finals, count, ledger, limits_of, message, nano,
                   nothing_held, oracle_pusd, charge_nusd, storm)
from harness import SLOW, Report, Sim, Wayfare, clear_of_midnight, endpoint, price, provider, wait_for

CENTS_10 = NANO // 10
FEE = price("0", "0", request="0.10")  # held and billed: exactly $0.10
DEAR = price("0", "100")  # 1,000 tokens at most are held as $0.10 and bill what they are
SEEDS = count(10, 200, least=4)
CROWD = count(1000, 1000, least=150)
WINDOWS = ("day", "week", "month", "total")
LIMITS = {"connect_ms": 5000, "first_byte_ms": 120000, "idle_ms": 120000, "total_ms": 600000}

report = Report()
sim = Sim(["one", "two"], extra=["--log-bodies"])
witness = Witness(sim)
PRICES = {"fee": FEE, "dear": DEAR, "refuses-cheap": price("0", "40"), "refuses-dear": price("0", "300")}


def model(name, *endpoints):
    return {"id": "caps/" + name, "aliases": [name], "endpoints": list(endpoints)}


def at(listener, upstream):
    return endpoint(listener, upstream, PRICES[upstream.split("?")[0]])


CATALOG = {
    "providers": [provider(n, sim.url[n], timeouts=LIMITS) for n in ("one", "two")],
    "models": [model("fee", at("one", "fee")), model("dear", at("one", "dear")),
               model("second", at("one", "refuses-cheap?status=529"), at("two", "dear")),
               model("third", at("two", "refuses-dear?status=529"), at("one", "dear"))],
}
ways = {}


def way_of(threads):
    if threads not in ways:
        ways[threads] = Wayfare(CATALOG, threads=threads)
    return ways[threads]


serial = iter(range(1, 10 ** 9))


def owners(way, team_caps, *key_caps):
    """A team and its keys, none of which the server has seen; caps are [(window, nano-USD)]."""

    def options(caps):
        return [x for w, n in caps for x in ("--budget", str(Decimal(n) / NANO), "--window", w)]

    team = "t%d" % next(serial)
    way.cli("team", "create", team, *options(team_caps))
    return team, [way.cli("key", "create", "--team", team, "--name", "%s-k%d" % (team, i), *options(caps)).strip()
                  for i, caps in enumerate(key_caps)]


# ---- the judge of one storm ----


def worst_nusd(line):
    """The most that this call can cost, from the request that the provider received."""
    body = json.loads(base64.b64decode(line["body_base64"]))
    prices = PRICES[body["model"].split("?")[0]]
    return charge_nusd(oracle_pusd({"output_tokens": body["max_tokens"]}, prices))


def billed_nusd(line):
    return charge_nusd(oracle_pusd(line, PRICES[line["model"]])) if line["status"] == 200 else 0


def replay(lines, cap):
    """Walks through the log; returns (calls begun before the first that ended, billed in the end).
    What runs is held in full and what ended is billed: never above the cap together."""
    running, spent, early, ended = {}, 0, 0, False
    for line in lines:
        if line["event"] == "begin":
            # Between a call's end here and its settlement there the hold is the larger figure.
            running[line["x_request_id"]] = worst_nusd(line)
            early += not ended
        else:
            ended = True
            running.pop(line["x_request_id"])
            spent += billed_nusd(line)
        used = spent + sum(running.values())
        assert used <= cap, "overshoot of %d nano-dollars" % (used - cap)
    assert not running, running
    return early, spent


def reset_of(window, now):
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if window == "day":
        return day + datetime.timedelta(days=1)
    if window == "week":
        return day + datetime.timedelta(days=7 - day.weekday())
    return (day.replace(day=1) + datetime.timedelta(days=32)).replace(day=1)


def check_refusal(shot, caps):
    """caps: {(scope, window): nano-USD}."""
    error = shot.error()
    b = error["budget"]
    needs, cap, spent, held, has = (nano(b[k + "_usd"]) for k in ("needs", "cap", "spent", "held", "remaining"))
    assert caps.get((b["scope"], b["window"])) == cap, (b, caps)
    assert has == max(0, cap - spent - held) and needs > has, b
    assert spent + held <= cap, b
    if shot.status == 402:
        assert needs > cap - spent, ("it would have fitted with nothing held", b)
        assert error["type"] == "billing_error" and shot.header("x-should-retry") == "false", error
        assert shot.header("retry-after") is None
    else:
        assert needs <= cap - spent, ("it would not have fitted with nothing held", b)
        assert error["type"] == "rate_limit_error" and 1 <= int(shot.header("retry-after")) <= 60, error
    if b["window"] == "total":
        assert b["resets_at"] is None, b
    else:
        told = datetime.datetime.fromisoformat(b["resets_at"].replace("Z", "+00:00"))
        now = datetime.datetime.now(datetime.timezone.utc)
        before = now - datetime.timedelta(minutes=2)
        assert told in (reset_of(b["window"], now), reset_of(b["window"], before)), b


def check_all(shots, caps):
    for s in shots:
        if s.status in (402, 429):
            check_refusal(s, caps)
        else:
            assert s.status in (200, 529), (s.status, s.ended, bytes(s.data[:300]))


def judge_books(way, keys, lines, spent):
    """The ledger equals the witness to the nano-dollar, and nothing stays held."""
    wait_for("every hold to be released", lambda: nothing_held(way, keys), 5)
    rows = ledger(way)
    ends = [x for x in lines if x["event"] == "end"]
    mine = [rows[x["x_request_id"]] for x in ends]
    assert len({x["x_request_id"] for x in ends}) == len(ends)
    assert check_finals(rows, ends, PRICES) == spent
    assert sum(r["charge_nusd"] for r in mine) == spent, (sum(r["charge_nusd"] for r in mine), spent)
    told = {nano(x["spent_usd"]) for x in limits_of(way, keys[0]) if x["scope"] == "team"}
    assert told <= {spent}, (told, spent)
    way.verify()


# ---- exactly fifty ----


def shapes(rng, cap):
    """(team caps, key caps) of which the tightest leaves room for exactly `cap`."""
    more = [cap + rng.choice((1, CENTS_10 - 1, CENTS_10, 7 * CENTS_10)) for _ in WINDOWS]
    several = list(zip(rng.sample(WINDOWS, 4), [cap] + more))
    one = [(rng.choice(WINDOWS), cap)]
    wider = [(w, n) for w, n in zip(WINDOWS, more)]
    return rng.choice(((one, []), ([], one), (one, one), (wider, one), (one, wider), (several, []), ([], several),
                       (several, wider), (wider, several), (rng.sample(several, 2) + [], several)))


def exactly_fifty(seed):
    rng = random.Random(seed)
    way = way_of(1 + seed % 4)
    team_caps, key_caps = shapes(rng, 50 * CENTS_10)
    # The odd nano-dollars that are missing for one more make no difference.
    team, keys = owners(way, team_caps, key_caps)
    fixed = seed % 2 == 0
    name = "fee" if fixed else "dear"
    text = "[[sim:delay_ms=%d,output_tokens=%d]]" % (400 * SLOW, rng.choice((0, 1, 999, 1000)))
    stream = rng.random() < 0.5
    shots = [Shot(keys[0], message(name, text=text, stream=stream)) for _ in range(CROWD)]
    tight = min([n for _, n in team_caps + key_caps])
    witness.whole_calls()
    with Poller(way, keys):
        storm(way, shots)
    lines = witness.whole_calls()
    early, spent = replay(lines, tight)
    caps = {("team", w): n for w, n in team_caps}
    caps.update({("key", w): n for w, n in key_caps})
    check_all(shots, caps)
    sent = sum(x["event"] == "end" for x in lines)
    assert sum(s.status == 200 for s in shots) == sent
    assert early <= 50, "%d reached the provider before one had ended" % early
    if fixed:
        assert sent == 50 and spent == 50 * CENTS_10, (sent, spent)
    judge_books(way, keys, lines, spent)


def two_keys_of_a_team(seed):
    """Keys with caps of their own under a tighter one of the team: refused by one scope, a
    request leaves nothing in the other."""
    rng = random.Random(seed)
    way = way_of(1 + seed % 4)
    team, keys = owners(way, [("total", 50 * CENTS_10)], [("day", 20 * CENTS_10)], [("month", 45 * CENTS_10)])
    shots = [Shot(keys[i % 2], message("fee", text="[[sim:delay_ms=%d]]" % rng.randrange(200)), tag=i % 2)
             for i in range(CROWD)]
    rng.shuffle(shots)
    witness.whole_calls()
    with Poller(way, keys):
        storm(way, shots)
    lines = witness.whole_calls()
    _, spent = replay(lines, 50 * CENTS_10)
    assert spent == 50 * CENTS_10, spent
    won = [sum(s.status == 200 and s.tag == i for s in shots) for i in (0, 1)]
    assert sum(won) == 50 and won[0] <= 20 and won[1] <= 45, won
    for i, key in enumerate(keys):
        mine = [x for x in limits_of(way, key) if x["scope"] == "key" and x["cap_usd"] is not None]
        assert [nano(x["spent_usd"]) for x in mine] == [won[i] * CENTS_10], (mine, won)
    check_all(shots, {("team", "total"): 50 * CENTS_10, ("key", "day"): 20 * CENTS_10, ("key", "month"): 45 * CENTS_10})
    judge_books(way, keys, lines, spent)


def sizes_of_all_kinds(seed):
    """Holds of many sizes, endpoints that refuse first (their hold goes, the next one's comes, dearer or
    cheaper), streams and plain answers, settlements that free room: never a nano-dollar above,
    and what is left at the end was too little for the smallest that was refused for good."""
    rng = random.Random(seed)
    way = way_of(1 + seed % 4)
    cap = rng.randrange(2 * NANO, 6 * NANO)
    team_caps, key_caps = shapes(rng, cap)
    team, keys = owners(way, team_caps, key_caps)
    shots = []
    for _ in range(CROWD if LONG else CROWD // 2):
        most = rng.randrange(50, 3000)
        text = "[[sim:delay_ms=%d,output_tokens=%d]]" % (rng.randrange(150), rng.randrange(most + 1))
        shots.append(Shot(keys[0], message(rng.choice(("dear", "second", "third")), most, text, rng.random() < 0.5)))
    witness.whole_calls()
    with Poller(way, keys):
        storm(way, shots, width=rng.choice((60, 300, 1000)))
    lines = witness.whole_calls()
    _, spent = replay(lines, cap)
    caps = {("team", w): n for w, n in team_caps}
    caps.update({("key", w): n for w, n in key_caps})
    check_all(shots, caps)
    judge_books(way, keys, lines, spent)
    left = cap - spent
    fits = left // 100000  # $100 per million tokens: 100,000 nano-dollars each
    if 1 <= fits <= 64000:  # the remainder is usable to the last token
        last = storm(way, [Shot(keys[0], message("dear", fits, "[[sim:output_tokens=%d]]" % fits))])[0]
        assert last.status == 200, (bytes(last.data), left)
    over = storm(way, [Shot(keys[0], message("dear", 1 if fits >= 1 else fits + 1))])[0]
    assert over.status == 402, bytes(over.data)
    check_refusal(over, caps)


def to_the_nano_dollar():
    """One nano-dollar short is short; exact is enough; for every window, key and team."""
    way = way_of(3)
    for scope in ("team", "key"):
        for window in WINDOWS:
            short, exact = [(window, 7 * CENTS_10 - 1)], [(window, 7 * CENTS_10)]
            for caps, fit in ((short, 6), (exact, 7)):
                team, keys = owners(way, *((caps, []) if scope == "team" else ([], caps)))
                shots = storm(way, [Shot(keys[0], message("fee")) for _ in range(12)])
                assert sum(s.status == 200 for s in shots) == fit, (scope, window, [s.status for s in shots])
                check_all(shots, {(scope, window): caps[0][1]})
    wait_for("the books to be closed", lambda: nothing_held(way, keys))
    way.verify()
    witness.whole_calls()


def room_is_freed():
    """Who is told 429 and comes back when told to gets in: nobody is refused for ever."""
    way = way_of(2)
    cap = 50 * CENTS_10
    team, keys = owners(way, [("total", cap)], [("day", cap)])
    witness.whole_calls()
    # So long that more come than there is room for before the first ends.
    waiting = [Shot(keys[0], message("dear", text="[[sim:delay_ms=%d,output_tokens=10]]" % (1000 * SLOW))) for _ in
               range(count(120, 400, least=70))]
    done, rounds = [], 0
    end = time.monotonic() + 60 * SLOW
    with Poller(way, keys):
        while waiting:
            assert time.monotonic() < end, "%d are refused still" % len(waiting)
            storm(way, waiting)
            check_all(waiting, {("team", "total"): cap, ("key", "day"): cap})
            assert not any(s.status == 402 for s in waiting), "402 although it fits when others settle"
            again = [s for s in waiting if s.status == 429]
            done += [s for s in waiting if s.status == 200]
            if again:
                time.sleep(max(int(s.header("retry-after")) for s in again))
            waiting = [Shot(keys[0], s.payload) for s in again]
            rounds += 1
    assert rounds > 1, "nobody had to wait"
    lines = witness.whole_calls()
    _, spent = replay(lines, cap)
    assert spent == len(done) * 10 * 100000, spent  # 10 tokens each
    judge_books(way, keys, lines, spent)


def cap_changes():
    """Lowered below what is used already: nobody new; raised: exactly as many more."""
    way = way_of(4)
    team, keys = owners(way, [("total", 50 * CENTS_10)], [])
    witness.whole_calls()
    feed = {"stop": False, "won": [], "bad": []}

    def many():
        while not feed["stop"]:
            shots = storm(way, [Shot(keys[0], message("fee", text="[[sim:delay_ms=20]]")) for _ in range(40)])
            feed["won"].append(sum(s.status == 200 for s in shots))  # of two threads += would lose one
            feed["bad"] += [s for s in shots if s.status not in (200, 402, 429)]

    def used():
        return max(nano(x["spent_usd"]) + nano(x["held_usd"]) for x in limits_of(way, keys[0]) if x["scope"] == "team")

    threads = [threading.Thread(target=many) for _ in range(2)]
    for t in threads:
        t.start()
    with Poller(way, keys, capped=False) as poller:
        wait_for("twenty", lambda: used() >= 20 * CENTS_10)
        way.cli("team", "set", team, "--budget", "3", "--window", "total")
        top = max(used(), 30 * CENTS_10)
        time.sleep(0.3 * SLOW)
        low = used()
        assert low <= top, ("admitted above the lowered cap", low, top)
        way.cli("team", "set", team, "--budget", "8", "--window", "total")
        wait_for("the new room to be used", lambda: used() == 80 * CENTS_10)
        way.cli("team", "set", team, "--budget", "7.95", "--window", "total")
        way.cli("key", "set", json.loads(way.request("GET", "/v1/key", headers={"x-api-key": keys[0]}, key=False)[2])["id"],
                "--budget", "4", "--window", "month")
        time.sleep(0.1 * SLOW)
        assert poller.most <= 80 * CENTS_10, poller.most
    feed["stop"] = True
    for t in threads:
        t.join()
    assert not feed["bad"], [bytes(s.data[:300]) for s in feed["bad"][:3]]
    lines = witness.whole_calls()
    _, spent = replay(lines, 80 * CENTS_10)
    assert spent == 80 * CENTS_10 == sum(feed["won"]) * CENTS_10, (spent, feed["won"])
    judge_books(way, keys, lines, spent)


def case(name, function, *args):
    clear_of_midnight(20)  # no window may end within it
    report.case(name, function, *args)


for s in range(SEEDS):
    case("exactly fifty, seed %d, %d threads" % (s, 1 + s % 4), exactly_fifty, s)
for s in range(count(3, 40, least=2)):
    case("two keys of a team, seed %d" % s, two_keys_of_a_team, s)
for s in range(count(5, 60, least=3)):
    case("sizes of all kinds, seed %d" % s, sizes_of_all_kinds, s)
case("to the nano-dollar", to_the_nano_dollar)
case("room that is freed", room_is_freed)
case("caps that change", cap_changes)
for w in ways.values():
    report.case("clean exit", lambda: (w.stop() == 0) or 1 / 0)
report.end()
