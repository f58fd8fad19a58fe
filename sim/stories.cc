#include "sim/stories.h"

namespace pawl::sim {
namespace {

using enum Act::Kind;
using enum Act::When;

// A workflow `w` that is submitted and started once, and what follows.
Story story(std::string name, const std::string& body, std::vector<Act> more = {}, Same same = Same::all) {
  Story made{std::move(name), {{submit, "name: w\n" + body}, {start, "w"}}, same};
  for (Act& act : more) made.acts.push_back(std::move(act));
  return made;
}

Act answers(std::string place, Answered said, int run = 0) { return {answer, {}, asked, run, std::move(place), said}; }

const std::string two_tasks = "jobs: {j: {tasks: [{id: a, run: x}, {id: b, run: x}]}}\n";

std::vector<Story> of_jobs() {
  return {
      story("a chain", two_tasks),
      story("jobs beside each other",
            "jobs: {j: {tasks: [{id: a, run: x}]}, k: {tasks: [{id: b, run: x}]}, l: {needs: [j, k], tasks: [{id: c, "
            "run: x}]}}\n"),
      story("retry with backoff",
            "jobs: {j: {tasks: [{id: once, run: x, retry: {max: 2, delay: 5s, backoff: 3}}, {id: fail, run: x, retry: "
            "{max: 2, delay: 5s, backoff: 3, max-delay: 10s}}]}}\n"),
      story("resume: job", "jobs: {j: {resume: job, tasks: [{id: a, run: x}, {id: b, run: x}, {wait: 5s}]}}\n"),
      story("a matrix with two at once",
            "jobs: {j: {matrix: {a: [1, 2, 3]}, max-parallel: 2, tasks: [{id: a, run: x}, {id: b, run: x}]}, k: "
            "{needs: j, tasks: [{id: c, http: {url: 'http://x/', json: {all: '${{ "
            "jobs.j.instances.*.tasks.a.outputs.exit_code }}'}}}]}}\n"),
      story("a matrix from a list",
            "jobs: {p: {tasks: [{id: list, http: {url: 'http://x/'}, outputs: {list: '${{ response.json.list }}'}}]}, "
            "j: {needs: p, matrix: '${{ jobs.p.tasks.list.outputs.list }}', tasks: [{id: a, run: x}, {wait: 5s}]}}\n"),
      story("fail-fast",
            "jobs: {j: {matrix: {a: [1, 2, 3]}, max-parallel: 2, tasks: [{id: fail, run: x, if: matrix.a == 1}, {id: "
            "hang, run: x}, {id: tidy, run: x, if: always()}]}}\n",
            {}, Same::run),
      story("a matrix that fails slowly",
            "jobs: {j: {matrix: {a: [1, 2, 3]}, fail-fast: false, tasks: [{id: fail, run: x, if: matrix.a == 1}, {id: "
            "a, run: x}]}}\n"),
      story("keep-going",
            "keep-going: true\njobs: {j: {tasks: [{id: fail, run: x}, {id: a, run: x}]}, k: {needs: j, tasks: [{id: b, "
            "run: x}]}}\n"),
      story("continue-on-error",
            "jobs: {j: {tasks: [{id: fail, run: x, continue-on-error: true}, {id: a, run: x}]}, k: {needs: j, tasks: "
            "[{id: b, run: x}]}}\n"),
      story("env", "vars: {v: 1}\nenv: {A: '${{ vars.v }}'}\njobs: {j: {env: {B: b}, tasks: [{id: a, run: x}]}}\n"),
  };
}

const std::string ending =
    "on-failure: [{id: tell, run: x}]\nalways: [{id: sweep, run: x}, {wait: 5s}, {id: once, "
    "run: x, retry: {max: 1, delay: 5s}}]\n";

std::vector<Story> of_ends() {
  return {
      story("what follows a success", ending + "jobs: {j: {tasks: [{id: a, run: x}]}}\n"),
      story("what follows a failure", ending + "jobs: {j: {tasks: [{id: fail, run: x}]}}\n"),
      story("what follows a cancel", ending + "jobs: {j: {tasks: [{id: hang, run: x}]}}\n",
            {{cancel, {}, begun, 0, "j/hang"}}),
      story("clean-up after a cancel",
            "jobs: {j: {tasks: [{id: hang, run: x}, {id: tidy, run: x, if: always()}, {wait: 5s, if: cancelled()}]}, "
            "k: {needs: j, if: always(), tasks: [{id: sweep, run: x, if: always()}]}}\n",
            {{cancel, {}, begun, 0, "j/hang"}}),
      story("cancelled twice",
            "always: [{id: hang, run: x}]\njobs: {j: {matrix: {a: [1, 2]}, tasks: [{id: hang, run: x}, {id: hang2, "
            "run: x, if: always()}]}}\n",
            {{cancel, {}, begun, 0, "j[a=1]/hang"}, {cancel, {}, begun, 0, "j[a=1]/hang2"}}, Same::run),
      story("the time of a run",
            "timeout: 30s\ncleanup-timeout: 20s\njobs: {j: {tasks: [{id: hang, run: x}, {id: hang2, run: x, if: "
            "failure()}]}}\n"),
      story("on-crash: fail", "jobs: {j: {tasks: [{id: a, run: x, on-crash: fail}, {id: b, run: x}]}}\n", {},
            Same::none),
      story("on-crash: hold, done by hand",
            "jobs: {j: {tasks: [{id: a, run: x, on-crash: hold, outputs: {o: stdout}}, {id: b, run: x}]}}\n"),
      story("held past the limit of recoveries", "recover: {max: 0, then: hold}\n" + two_tasks),
      story("poison", ending + "jobs: {j: {tasks: [{id: a, run: x}, {id: poison, run: x}]}}\n", {}, Same::run),
      story(
          "poison is held for a person",
          "recover: {max: 1, then: hold}\njobs: {j: {resume: job, tasks: [{id: a, run: x}, {id: poison, run: x}, {id: "
          "b, run: x}]}}\n",
          {}, Same::run),
      story("fails past the limit of recoveries", "recover: {max: 0}\n" + ending + two_tasks, {}, Same::none),
  };
}

const std::string asking =
    "jobs: {j: {tasks: [{id: go, approval: {message: 'Go?', expires: 2h}}, {id: a, run: x}]}, "
    "k: {tasks: [{id: b, run: x}]}}\n";

std::vector<Story> of_waits() {
  return {
      story("a wait", "jobs: {j: {tasks: [{wait: 3h}, {id: a, run: x}]}, k: {tasks: [{id: b, run: x}]}}\n"),
      story("a wait until", "jobs: {j: {tasks: [{wait: {until: '2026-11-23T02:00:00Z'}}, {id: a, run: x}]}}\n"),
      story("an approval", asking, {answers("j/go", Answered::approved)}),
      story("a rejection", asking, {answers("j/go", Answered::rejected)}),
      story("an approval that expires", asking),
  };
}

const std::string grouped = "concurrency: {group: g}\n";
const std::string cancelling = "name: v\nconcurrency: {group: g, on-conflict: cancel-running}\n";

std::vector<Story> of_groups() {
  return {
      story("a group", grouped + two_tasks, {{start, "w"}, {start, "w"}}),
      story("a group of two", "concurrency: {group: g, limit: 2}\n" + two_tasks, {{start, "w"}, {start, "w"}}),
      story("a group that cancels", grouped + "jobs: {j: {tasks: [{id: hang, run: x}]}}\n",
            {{submit, cancelling + two_tasks}, {start, "v", begun, 0, "j/hang"}}),
      story("a run that is cancelled in its queue",
            grouped + "always: [{id: a, run: x}]\njobs: {j: {tasks: [{id: "
                      "hang, run: x}]}}\n",
            {{start, "w", begun, 0, "j/hang"}, {cancel, {}, at_once, 1}, {cancel, {}, begun, 0, "j/hang"}}),
  };
}

const std::string failing =
    "jobs: {j: {tasks: [{id: a, run: x}]}, m: {needs: j, matrix: {a: [1, 2]}, fail-fast: false, tasks: [{id: b, run: "
    "x}, {id: fail, run: x, if: matrix.a == 2}]}, k: {needs: m, tasks: [{id: c, run: x}]}}\n";

std::vector<Story> of_second_thoughts() {
  return {
      story("resume", failing, {{resume, {}, final}, {resume, {}, final}}),
      story("resume with the current version", failing,
            {{submit,
              "name: w\njobs: {i: {tasks: [{id: z, run: x}]}, j: {tasks: [{id: y, run: x}, {id: a, run: x}]}, "
              "m: {needs: j, matrix: {a: [2, 3]}, tasks: [{id: b, run: x}, {id: e, run: x}]}}\n",
              final},
             {resume_current, {}, final}}),
      story("rerun from a job", failing, {{rerun, "j", final}}),
      story("rerun from an instance", failing, {{rerun, "m[a=1]", final}}),
      story("rerun from a task", failing, {{rerun, "m[a=2]/b", final}}),
      story("rerun of a success", two_tasks, {{rerun, "j/b", final}}),
      story("resume after a cancel", "jobs: {j: {tasks: [{id: a, run: x}, {id: hang, run: x}]}}\n",
            {{cancel, {}, begun, 0, "j/hang"}, {resume, {}, final}, {cancel, {}, begun, 0, "j/hang"}}),
      story("resume in a group", grouped + "jobs: {j: {tasks: [{id: a, run: x}, {id: fail, run: x}]}}\n",
            {{resume, {}, final}, {start, "w"}}),
  };
}

}  // namespace

std::vector<Story> stories() {
  std::vector<Story> all;
  for (auto* part : {of_jobs, of_ends, of_waits, of_groups, of_second_thoughts})
    for (Story& one : part()) all.push_back(std::move(one));
  return all;
}

}  // namespace pawl::sim
