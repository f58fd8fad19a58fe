"""A second opinion on when cron expressions fire, written from docs/schedules.md alone and by another method than
src/calendar: every day of twenty years is asked whether it matches, every value of a field whether it fits, and the zone's
rules are found by asking Python's zoneinfo for the offset again and again.

    oracle.py make [FILE]      computes all answers and writes them as hashes (tests/cron/oracle.json). Takes some minutes;
                               what is done is kept in FILE.part, and a second call goes on from there
    oracle.py show ZONE EXPR   prints the fire times from 2005 to 2024, for a look by hand

An answer is the SHA-256 of the fire times as 64-bit little-endian Unix seconds, cut to 10 hex digits. They belong to one
version of the zone files, which is written beside them, as is a hash of each zone's changes of offset from 2005 to 2024.
Where a machine's files have other rules for a zone in those years, its hashes mean nothing: oracle_test.py then computes that
zone's answers anew, on the spot.
"""

import array
import bisect
import calendar
import datetime
import functools
import hashlib
import json
import pathlib
import random
import re
import sys
import zoneinfo

FILE = pathlib.Path(__file__).with_name("oracle.json")
FIRST_YEAR, LAST_YEAR = 2005, 2024
MOST_TIMES = 200_000  # in the years of one expression; what fires more often is looked at for fewer years
DIGITS = 10
UTC = datetime.timezone.utc

ZONES = """
Africa/Abidjan Africa/Cairo Africa/Casablanca Africa/Johannesburg Africa/Juba Africa/Lagos Africa/Tripoli Africa/Windhoek
America/Anchorage America/Argentina/Buenos_Aires America/Asuncion America/Bogota America/Caracas America/Chicago
America/Denver America/Halifax America/Havana America/Los_Angeles America/Mexico_City America/Montevideo America/New_York
America/Nuuk America/Phoenix America/Port-au-Prince America/Santiago America/Sao_Paulo America/St_Johns America/Toronto
Antarctica/Casey Antarctica/Troll Asia/Almaty Asia/Amman Asia/Baku Asia/Dhaka Asia/Gaza Asia/Hong_Kong Asia/Jerusalem
Asia/Kathmandu Asia/Kolkata Asia/Pyongyang Asia/Seoul Asia/Shanghai Asia/Tehran Asia/Tokyo Asia/Ulaanbaatar
Atlantic/Azores Australia/Adelaide Australia/Lord_Howe Australia/Sydney Europe/Berlin Europe/Dublin Europe/Istanbul
Europe/London Europe/Moscow Europe/Volgograd Pacific/Apia Pacific/Auckland Pacific/Chatham Pacific/Fiji Pacific/Norfolk
""".split()


# ---- reading an expression ------------------------------------------------------------------------------------------

MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
WEEKDAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]


def in_numbers(text, names, first):
    for number, name in enumerate(names, first):
        text = re.sub(name, str(number), text, flags=re.IGNORECASE)
    return text


def fits(text, value, low, high):
    """Whether one value of a field is meant by its text; a range may run past the end."""
    size = high - low + 1
    for part in text.split(","):
        span, _, step = part.partition("/")
        if span == "*":
            begin, end = low, high
        elif "-" in span:
            begin, end = map(int, span.split("-"))
        else:
            begin = int(span)
            end = high if step else begin
        distance = (value - begin) % size
        if distance <= (end - begin) % size and distance % int(step or 1) == 0:
            return True
    return False


class Expression:
    def __init__(self, text):
        fields = text.split()
        self.unix = len(fields) == 5
        if self.unix:
            fields = ["0", *fields]
        if len(fields) == 6:
            fields.append("*")
        self.seconds, self.minutes, self.hours, self.days, self.months, self.weekdays, self.years = fields
        self.months = in_numbers(self.months, MONTHS, 1)
        self.weekdays = in_numbers(self.weekdays, WEEKDAYS, 0 if self.unix else 1)
        self.interval = "*" in self.hours or "/" in self.hours

    def day_of_month(self, date):
        text, length = self.days.upper(), calendar.monthrange(date.year, date.month)[1]
        if text == "?":
            return True
        wanted = None
        if text.startswith("L"):
            wanted = length - int((re.search(r"\d+", text) or ["0"])[0])
        elif text.endswith("W"):
            wanted = int(text[:-1])
        if wanted is None:
            return fits(self.days, date.day, 1, 31)
        if not 1 <= wanted <= length:
            return False
        if text.endswith("W"):
            working = [day for day in range(1, length + 1) if date.replace(day=day).weekday() < 5]
            wanted = min(working, key=lambda day: abs(day - wanted))
        return date.day == wanted

    def day_of_week(self, date):
        text, length = self.weekdays.upper(), calendar.monthrange(date.year, date.month)[1]
        if text == "?":
            return True
        sunday_first = date.isoweekday() % 7
        number = sunday_first if self.unix else sunday_first + 1
        if text == "L":
            return number == 7
        if text.endswith("L"):
            return number == int(text[:-1]) and date.day + 7 > length
        if "#" in text:
            weekday, count = map(int, text.split("#"))
            return number == weekday and (date.day + 6) // 7 == count
        if self.unix:
            return fits(text, number, 0, 6) if "7" not in text else fits_up_to_seven(text, number)
        return fits(text, number, 1, 7)

    def day(self, date):
        if not fits(self.months, date.month, 1, 12) or not fits(self.years, date.year, 1970, 2199):
            return False
        if self.unix and not self.days.startswith("*") and not self.weekdays.startswith("*"):
            return self.day_of_month(date) or self.day_of_week(date)
        return self.day_of_month(date) and self.day_of_week(date)

    def times_of_day(self):
        return [hour * 3600 + minute * 60 + second
                for hour in range(24) if fits(self.hours, hour, 0, 23)
                for minute in range(60) if fits(self.minutes, minute, 0, 59)
                for second in range(60) if fits(self.seconds, second, 0, 59)]


def fits_up_to_seven(text, number):
    """Weekdays of five fields where the list names Sunday as 7: both of its numbers are tried in each part."""
    for part in text.split(","):
        span, _, step = part.partition("/")
        begin, _, end = span.partition("-")
        end = end or begin
        for value in {number, 7 if number == 0 else number}:
            if int(begin) <= value <= int(end) and (value - int(begin)) % int(step or 1) == 0:
                return True
    return False


# ---- the zone's rules -----------------------------------------------------------------------------------------------


def offset(zone, instant):
    moment = datetime.datetime.fromtimestamp(instant, UTC).astimezone(zone)
    return int(moment.utcoffset().total_seconds())


def instant_of(year):
    return calendar.timegm((year, 1, 1, 0, 0, 0))


@functools.lru_cache(maxsize=None)
def stretches(name):
    """[(begin, end, offset)…] of a zone, from some days before the first year to some days after the last."""
    zone = zoneinfo.ZoneInfo(name)
    at, last = instant_of(FIRST_YEAR) - 10 * 86400, instant_of(LAST_YEAR + 1) + 10 * 86400
    found, begin, here = [], at, offset(zone, at)
    while at < last:
        later = at + 3 * 3600
        there = offset(zone, later)
        if there != here:
            low, high = at, later
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if offset(zone, middle) == here else (low, middle)
            found.append((begin, high, here))
            begin, here = high, there
        at = later
    found.append((begin, last, here))
    return found


def rules(name):
    """A hash of all that this oracle knows of a zone."""
    return hashlib.sha256(repr(stretches(name)).encode()).hexdigest()[:DIGITS]


def tzdata_version():
    for folder in zoneinfo.TZPATH:
        file = pathlib.Path(folder) / "tzdata.zi"
        if file.exists():
            return file.open().readline().split()[-1]
    return "unknown"


# ---- fire times -----------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=1)
def wall_clock(text, first, last):
    """All matching times of the wall clock, as seconds since 1970 as if they were UTC, with some days more at both ends."""
    expression = Expression(text)
    times = expression.times_of_day()
    found = []
    day, end = datetime.date(first, 1, 1) - datetime.timedelta(3), datetime.date(last + 1, 1, 4)
    while day < end:
        if expression.day(day):
            midnight = calendar.timegm(day.timetuple())
            found += [midnight + time for time in times]
        day += datetime.timedelta(1)
    return found


def fire_times(name, text, first=FIRST_YEAR, last=LAST_YEAR):
    wall, interval = wall_clock(text, first, last), Expression(text).interval
    from_instant, to_instant = instant_of(first), instant_of(last + 1)

    def between(low, high):
        return wall[bisect.bisect_left(wall, low):bisect.bisect_left(wall, high)]

    found, before = [], None
    for begin, end, here in stretches(name):
        if end > from_instant - 2 * 86400 and begin < to_instant + 2 * 86400:
            low = begin + here
            if before is not None and not interval:
                if here > before and (skipped := between(begin + before, begin + here)):
                    moved = {begin + time % 60 for time in skipped}
                    found += sorted(moved - {time - here for time in between(low, low + 60)})
                low = begin + max(here, before)  # what was shown before has had its turn
            found += [time - here for time in between(low, end + here)]
        before = here
    found.sort()
    return found[bisect.bisect_left(found, from_instant):bisect.bisect_left(found, to_instant)]


def answer(name, text, first, last):
    times = array.array("q", fire_times(name, text, first, last))
    if sys.byteorder == "big":
        times.byteswap()
    return hashlib.sha256(times.tobytes()).hexdigest()[:DIGITS]


# ---- the expressions ------------------------------------------------------------------------------------------------


def some_list(dice, low, high, most=3):
    parts = []
    for _ in range(dice.randint(1, most)):
        begin = dice.randint(low, high)
        part = str(begin)
        if dice.random() < 0.4:
            part += f"-{dice.randint(begin, high)}"
        if dice.random() < 0.3:
            part += f"/{dice.randint(1, (high - low) // 2)}"
        parts.append(part)
    return ",".join(parts)


def some_expression(dice, fields):
    def pick(*texts):
        return dice.choice(texts)

    minutes = pick("0", "0", "30", "59", "*/15", "*/20", "5,35", "0/30", str(dice.randint(0, 59)), some_list(dice, 0, 59))
    hours = pick("*", "*/2", "0/3", "*/6", "0-4/2", "0", "1", "2", "3", "23", "2,3", "0-3", "1-4", "0,12", "22,23",
                 some_list(dice, 0, 23))
    months = pick("*", "*", "*", "3,4,10,11", "MAR", "oct", "1-6", "*/3", some_list(dice, 1, 12, 2))
    if fields == 5:
        days = pick("*", "*", "*", "1", "13", "*/2", "28-31", "1-7", some_list(dice, 1, 31, 2))
        weekdays = pick("*", "*", "*", "0", "7", "SUN", "1-5", "*/2", "sat,sun", "5-7", some_list(dice, 0, 6, 2))
        return " ".join([minutes, hours, days, months, weekdays])
    seconds = pick("0", "0", "0", "0", "30", "0,20,40", "59", str(dice.randint(0, 59)))
    days, weekdays = "?", "?"
    if dice.random() < 0.5:
        days = pick("*", "*", "*", "L", "L-1", "LW", "L-3W", "1W", "15W", "31W", "L-30", "29", "31", "30-2",
                    some_list(dice, 1, 31, 2))
    else:
        weekdays = pick("*", "*", "1", "SUN", "MON-FRI", "FRI-MON", "SUNL", "1L", "L", "1#1", "SUN#2", "1#4", "SAT#5", "2-6",
                        some_list(dice, 1, 7, 2))
    if fields == 6 and dice.random() < 0.1:
        hours = "22-2"
    words = [seconds, minutes, hours, days, months, weekdays]
    if fields == 7:
        words.append(pick("*", "2005-2024", "2011", "2016-2020", "2005/3", "2008,2012,2016", "2024-2030"))
    return " ".join(words)


def all_expressions():
    """[(text, first year, last year)…]: 300 of them, drawn once and for all from one seed."""
    dice = random.Random(20050101)
    drawn = []
    while len(drawn) < 300:
        text = some_expression(dice, dice.choice((5, 5, 6, 6, 6, 7)))
        if any(text == other for other, _, _ in drawn):
            continue
        a_year = len(Expression(text).times_of_day()) * 366
        years = max(1, min(LAST_YEAR - FIRST_YEAR + 1, MOST_TIMES // a_year))
        first = dice.randint(FIRST_YEAR, LAST_YEAR + 1 - years)
        drawn.append((text, first, first + years - 1))
    return drawn


# ---- the file of answers --------------------------------------------------------------------------------------------


def make(file):
    part = pathlib.Path(f"{file}.part")
    version = tzdata_version()
    done = {}
    if part.exists():
        for line in part.read_text().splitlines():
            kept = json.loads(line)
            if kept["tzdata"] == version:
                done[kept["expression"]] = kept["answers"]
    expressions = all_expressions()
    with part.open("a") as out:
        for number, (text, first, last) in enumerate(expressions, 1):
            if text in done:
                continue
            done[text] = [answer(name, text, first, last) for name in ZONES]
            print(json.dumps({"tzdata": version, "expression": text, "answers": done[text]}), file=out, flush=True)
            print(f"{number} of {len(expressions)}: {text}", flush=True)
    result = {
        "made_by": "python3 tests/cron/oracle.py make",
        "tzdata": version,
        "expressions": [list(one) for one in expressions],
        "zones": {name: {"rules": rules(name), "answers": "".join(done[text][i] for text, _, _ in expressions)}
                  for i, name in enumerate(ZONES)},
    }
    file.write_text(json.dumps(result, indent=0, separators=(",", ":")) + "\n")
    part.unlink()


def main():
    words = sys.argv[1:]
    if words[:1] == ["make"] and len(words) <= 2:
        make(pathlib.Path(words[1]) if len(words) == 2 else FILE)
    elif words[:1] == ["show"] and len(words) == 3:
        zone = zoneinfo.ZoneInfo(words[1])
        for time in fire_times(words[1], words[2]):
            print(time, datetime.datetime.fromtimestamp(time, zone).isoformat())
    else:
        print(__doc__, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
