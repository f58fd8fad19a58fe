"""Short words for what tests ask of schedules. Slots are whole Unix seconds here."""

import datetime
from urllib.parse import urlencode

from support.clock import ClockedServer
from support.pawl import Server, wait_until

EVERY_SECOND = "* * * * * ?"
DONE_AT_ONCE = {"id": "t", "wait": "0s"}
UNTIL_APPROVED = {"id": "ask", "approval": True}


def seconds(text):
    """Unix seconds of a time of the API; None for none."""
    return None if text is None else datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def stamp(at):
    """The time as the API writes it."""
    whole = datetime.datetime.fromtimestamp(at, datetime.timezone.utc)
    return whole.strftime("%Y-%m-%dT%H:%M:%S.") + f"{whole.microsecond // 1000:03}Z"


def once_at(at):
    """The expression that fires at this second and never again."""
    return datetime.datetime.fromtimestamp(at, datetime.timezone.utc).strftime("%-S %-M %-H %-d %-m ? %Y")


def what(entry):
    """`fired`, or `skipped/overlap` where there is a reason of its own."""
    reason = entry["reason"]
    return entry["outcome"] + (f"/{reason}" if reason and reason != entry["outcome"] else "")


class AskedForSchedules:
    """For a class of servers. A schedule is named by its id, or as workflow/name."""

    def add_schedule(self, workflow, cron=EVERY_SECOND, **more):
        return self.post(f"workflows/{workflow}/schedules", {"cron": cron} | more)

    def schedule(self, which):
        return self.get(f"schedules/{which}")

    def change_schedule(self, which, **members):
        return self.call("PATCH", f"schedules/{which}", members)

    def delete_schedule(self, which):
        return self.call("DELETE", f"schedules/{which}")

    def switch_workflow(self, workflow, enabled):
        return self.call("PATCH", f"workflows/{workflow}", {"enabled": enabled})

    def schedule_names(self, workflow=""):
        return [one["name"] for one in self.pages("schedules", workflow=workflow)]

    def pages(self, path, **query):
        """All items of a list."""
        items, cursor = [], None
        while True:
            ask = query | {"limit": 200} | ({"cursor": cursor} if cursor else {})
            page = self.get(f"{path}?{urlencode({name: value for name, value in ask.items() if value != ''})}")
            items += page["items"]
            cursor = page["next_cursor"]
            if not cursor:
                return items

    def ledger(self, which, **query):
        """Its entries, the oldest first, those that are decided."""
        return [one for one in reversed(self.pages(f"schedules/{which}/ledger", **query)) if one["decided_at"]]

    def told(self, which):
        """[(what, from, to, count)] of its ledger."""
        return [(what(one), int(seconds(one["from"])), int(seconds(one["to"])), one["count"]) for one in self.ledger(which)]

    def fired(self, which):
        """Its slots that have a run."""
        return [int(seconds(one["slot"])) for one in self.ledger(which) if one["outcome"] == "fired"]

    def wait_ledger(self, which, condition, limit=20):
        """Its ledger once condition(ledger) is true."""
        found = {}

        def reached():
            found["ledger"] = self.ledger(which)
            return condition(found["ledger"])

        wait_until(reached, limit, lambda: f"a ledger, last seen {found['ledger']}", interval=0.05)
        return found["ledger"]

    def wait_fired(self, which, count=1, limit=20):
        """Its ledger once so many slots have a run."""
        return self.wait_ledger(which, lambda entries: sum(one["outcome"] == "fired" for one in entries) >= count, limit)

    def wait_past(self, which, slot, limit=20):
        """Its ledger once what becomes of this slot, or a later one, is decided."""
        return self.wait_ledger(which, lambda entries: entries and seconds(entries[-1]["to"]) >= slot, limit)

    def runs_of(self, workflow, **query):
        """Its runs by number, the oldest first."""
        return sorted(self.pages("runs", workflow=workflow, **query), key=lambda run: run["number"])

    def slots_of_runs(self, workflow, **query):
        return [int(seconds(run["schedule"]["slot"])) for run in self.runs_of(workflow, **query) if run["schedule"]]


class ScheduleServer(AskedForSchedules, Server):
    pass


class ClockedScheduleServer(AskedForSchedules, ClockedServer):
    pass
