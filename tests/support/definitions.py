"""Workflows for tests, as plain values: JSON is a definition too."""

import json

DONE = "${{ response.status == 200 && response.json.success }}"


def http(task_id, url, **more):
    """A POST whose reply has to say success; more: members of the task, `http_*`: of its request."""
    request = {"method": "POST", "url": url, "json": {"task": task_id}, "success-when": DONE}
    request |= {name[5:].replace("_", "-"): more.pop(name) for name in list(more) if name.startswith("http_")}
    return {"id": task_id, "http": request} | {name.replace("_", "-"): value for name, value in more.items()}


def script(task_id, text, **more):
    return {"id": task_id, "run": text} | {name.replace("_", "-"): value for name, value in more.items()}


def workflow(name, *tasks, jobs=None, **more):
    """The definition's text. Tasks given here are those of one job, `main`."""
    value = {"name": name} | {key.replace("_", "-"): more[key] for key in more}
    value["jobs"] = jobs or {"main": {"tasks": list(tasks)}}
    return json.dumps(value, ensure_ascii=False, indent=1)


# For tests that kill many times: no recovery is counted, so none waits and none is the last.
NEVER_POISON = {"recover": {"max": 1000, "window": "1ms"}}
