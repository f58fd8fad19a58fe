#include "sim/cluster.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>

#include "base/check.h"
#include "sim/keeper.h"
#include "sim/machine.h"
#include "sim/person.h"
#include "sim/rest.h"
#include "sim/results.h"
#include "sim/shapes.h"
#include "sim/swarm.h"
#include "sim/telling.h"

namespace pawl::sim {
namespace {

using namespace std::chrono_literals;
using Key = Machine::Key;

constexpr Duration lease_length = 10s;
constexpr Duration margin = 2s;
constexpr Duration renew_every = 3s;
constexpr Duration ask_every = 500ms;
constexpr Duration most_vacant = 2s;  // a lease that is over, while a node could take it

enum Stream : std::uint64_t { swarm_stream, engine_stream, clock_stream, rest_stream };

struct Node {
  enum class Link : std::uint8_t { good, one_way, none };

  std::string name;
  // Its clocks: this much before the store's, and this much too fast. The wall clock is wrong by more, and unused.
  Duration offset{}, skew{};
  double drift = 0;
  std::uint64_t seed = 0;

  std::optional<Instant> dead_until, paused_until, cut_off_until;
  Link link = Link::good;

  // While it has the lease, as far as it knows.
  std::unique_ptr<Machine> machine;
  std::unique_ptr<Person> person;
  SplitMix details{0};
  std::int64_t epoch = 0;
  Duration trusts_until{}, renews_at{}, heard_at{};  // on its monotonic clock
  Instant heard{};  // the store's clock, when it was last told
  Instant last_now{};
  // While it stands by.
  Duration asks_at{};
  std::uint64_t lives = 0;
};

class Cluster : public Watch {
 public:
  explicit Cluster(const Options& options)
      : options_(options), events_(options.seed, options.kept), swarm_(events_.stream(swarm_stream)) {
    swarm_.missing.insert("poison");  // one server is enough to show what that does
    SplitMix clocks = events_.stream(clock_stream);
    SplitMix seeds = events_.stream(engine_stream);
    for (int i = 0; i < options.nodes; ++i) {
      Node& node = nodes_.emplace_back();
      node.name = fmt::format("n{}", i + 1);
      node.offset = std::chrono::seconds(clocks.below(100'000));
      node.skew = std::chrono::milliseconds(clocks.below(40'000)) - 20s;
      node.drift = (clocks.fraction() - 0.5) * 4e-4;
      node.seed = seeds.next();
    }
    checks_->watch(this);
    disk_->set_clock(now_);
  }

  Outcome play() {
    const Instant start = now_;
    for (int i = 1; i <= options_.steps && is_well(); ++i) {
      events_.begin_step(static_cast<std::uint32_t>(i));
      step();
    }
    if (is_well()) come_to_rest();
    result_.seed = options_.seed;
    result_.nodes = options_.nodes;
    result_.violations = checks_->violations();
    result_.step_of_violation = result_.violations.empty() ? 0 : events_.step();
    result_.runs = checks_->ledger().pages().size();
    result_.simulated = now_ - start;
    result_.slots = checks_->slots().counts();
    result_.happened.happenings = {events_.happened().begin(), events_.happened().end()};
    for (Node& node : nodes_)
      if (node.machine) result_.hash = result_.hash * 31 + node.machine->hash();
    for (const std::string& what : result_.violations) tell("BROKEN: " + what);
    for (std::string& line : result_.story) line = with_names(std::move(line), checks_->ledger());
    for (std::string& line : result_.violations) line = with_names(std::move(line), checks_->ledger());
    return std::move(result_);
  }

 private:
  bool is_well() const { return checks_->violations().empty(); }
  std::optional<SplitMix> happens(What what) { return events_.happens(what, swarm_.rate(what)); }
  void broken(std::string_view promise, const Node& node, std::string_view what) {
    checks_->broken(fmt::format("{} {}: {}", promise, node.name, what));
  }

  void tell(const std::string& line) {
    if (options_.story) result_.story.push_back(fmt::format("{:5} {} {}", events_.step(), to_rfc3339(now_), line));
  }
  void changes(const engine::RunState& before, const Change& change) override {
    result_.rows.changes(before, change);
    if (options_.story) tell("  committed: " + sim::tell(before, change));
  }
  void record(RunStatus before, const engine::RunState& after) override { result_.rows.record(before, after); }

  // --- clocks and leases ---------------------------------------------------------------------------------------------

  Duration monotonic(const Node& node) const {
    const Duration since = now_.time_since_epoch() - begin_.time_since_epoch();
    return node.offset + since + Duration{static_cast<std::int64_t>(static_cast<double>(since.count()) * node.drift)};
  }
  bool is_trusted(const Node& node) const { return monotonic(node) < node.trusts_until; }
  // What its guard and its own look at the clock go by.
  bool may_work(const Node& node) const { return is_trusted(node) || planted(Planted::deaf_guard); }
  bool is_awake(const Node& node) const { return !node.dead_until && !node.paused_until; }

  void granted(Node& node) {
    node.trusts_until = monotonic(node) + lease_length - margin;
    node.renews_at = monotonic(node) + renew_every;
    node.heard = now_;
    node.heard_at = monotonic(node);
  }

  // Whether what a node asks of the store arrives, and whether the answer does. In a one-way partition the first answer is
  // lost on a connection that stood; after that there is none to ask by.
  struct Way {
    bool arrives = true, answers = true;
  };
  Way way(Node& node) {
    const Way result{node.link != Node::Link::none, node.link == Node::Link::good};
    if (node.link == Node::Link::one_way) node.link = Node::Link::none;
    return result;
  }

  void ask_for_lease(Node& node) {
    node.asks_at = monotonic(node) + ask_every;
    const Way to_store = way(node);
    if (!to_store.arrives) return;
    const auto lease = disk_->take_lease(node.name, lease_length, now_ + node.skew);
    if (!lease) return;
    vacant_since_.reset();
    for (const Node& other : nodes_)
      if (&other != &node && other.machine && !other.machine->runner().running().empty())
        broken("I16", node, fmt::format("takes over while tries of {} are alive", other.name));
    if (!to_store.answers) return tell(node.name + " is granted the lease and never hears of it");
    tell(fmt::format("{} takes over with epoch {}", node.name, lease->epoch));
    ++result_.incidents.take_overs;
    node.epoch = lease->epoch;
    granted(node);
    checks_->crashed();  // whoever had the lease: its tries are dead
    begin(node);
  }

  void begin(Node& node) {
    Machine::Options options;
    options.seed = node.seed + ++node.lives;
    options.process_seats = swarm_.process_seats;
    options.http_seats = swarm_.http_seats;
    options.disk = disk_;
    options.checks = checks_;
    options.epoch = node.epoch;
    node.machine = std::make_unique<Machine>(options);
    Machine& machine = *node.machine;
    node.person = std::make_unique<Person>(machine, node.details);
    machine.tell = [this, &node](const std::string& line) { tell(node.name + ": " + line); };
    machine.fault = [this, &node] { return fault(node); };
    machine.failing_read = [this, &node]() -> std::optional<int> {
      if (node.link != Node::Link::good) return 0;
      if (auto how = happens(What::failing_read)) return static_cast<int>(how->below(4));
      return std::nullopt;
    };
    machine.halts = [this, &node] {
      auto how = happens(What::pause);
      if (how) pause(node, *how, ", with a commit in hand");
      return how.has_value();
    };
    // The guard has its own look at the clock: whatever its node thinks, nothing starts too late.
    machine.may_start = [this, &node] { return may_work(node); };
    machine.began = [this, &node](const Key&, const StartTask& command) {
      const std::string work = fmt::format("{}/{} of {}", command.job, command.task, to_string(command.run));
      if (!is_trusted(node)) broken("lease", node, work + " starts outside of its trust window");
      if (disk_->lease().epoch != node.epoch) broken("lease", node, work + " starts while another node has the lease");
    };
    look_at_clock(node);
  }

  // What it takes for the store's clock: never ahead of it by more than its own clock runs too fast between two answers.
  void look_at_clock(Node& node) {
    node.last_now = std::max(node.last_now, node.heard + (monotonic(node) - node.heard_at));
    node.machine->now = node.last_now;
  }

  void step_down(Node& node, std::string_view why) {
    tell(fmt::format("{} stands by: {}", node.name, why));
    result_.hash = result_.hash * 31 + node.machine->hash();
    node.person.reset();
    node.machine.reset();
    if (node.epoch == disk_->lease().epoch) checks_->crashed();
  }

  void renew(Node& node) {
    const Way to_store = way(node);
    node.renews_at = monotonic(node) + ask_every;
    if (!to_store.arrives) return;
    const bool is_renewed = disk_->renew_lease(node.epoch, lease_length);
    if (!to_store.answers) return;
    if (!is_renewed) return step_down(node, "another one has the lease");
    granted(node);
  }

  // --- commits -------------------------------------------------------------------------------------------------------

  struct Late {
    Instant at;
    const Node* from;
    std::int64_t epoch;
    std::vector<Changeset> changes;
  };

  store::CommitFault fault(Node& node) {
    const Way to_store = way(node);
    if (!to_store.arrives) return store::CommitFault::unavailable_not_applied;
    if (!to_store.answers || happens(What::lost_ack)) {
      ++result_.incidents.lost_acks;
      return store::CommitFault::unavailable_applied;
    }
    if (auto how = happens(What::delay)) {
      late_.push_back(
          {now_ + std::chrono::milliseconds(how->below(30'000)), &node, node.epoch, node.machine->changes_under_way()});
      tell(fmt::format("a commit of {} is delayed", node.name));
      return store::CommitFault::unavailable_not_applied;
    }
    if (happens(What::lost_commit)) return store::CommitFault::unavailable_not_applied;
    if (happens(What::full)) return store::CommitFault::overloaded;
    return happens(What::conflict) ? store::CommitFault::conflict : store::CommitFault::none;
  }

  // I3, found out from outside: what was applied, and who had the lease then.
  void look_at_commit(const Node& node, std::int64_t epoch, std::uint64_t before) {
    if (disk_->commits() != before && epoch != disk_->lease().epoch)
      broken("I3", node,
             fmt::format("a commit of epoch {} is applied while epoch {} has begun", epoch, disk_->lease().epoch));
  }

  void deliver_late() {
    std::vector<Late> arrived;
    std::erase_if(late_, [&](Late& one) {
      if (one.at > now_) return false;
      arrived.push_back(std::move(one));
      return true;
    });
    for (const Late& one : arrived) {
      const std::uint64_t before = disk_->commits();
      const std::int64_t epoch = planted(Planted::accepted_late_commit) ? disk_->lease().epoch : one.epoch;
      const auto done = store::open_memory(disk_, epoch)->commit(one.changes);
      ++result_.incidents.late_commits;
      tell(fmt::format("the delayed commit of {} arrives: {}", one.from->name,
                       done ? "it is applied" : done.error().message));
      if (!done && done.error().name == "fenced") ++result_.incidents.refused_commits;
      look_at_commit(*one.from, one.epoch, before);
      if (!done) continue;
      checks_->committed(one.changes);
      checks_->take_owed();  // there is nobody any more who would tell them
    }
  }

  // --- what happens to nodes -----------------------------------------------------------------------------------------

  void pause(Node& node, SplitMix& how, std::string_view with) {
    node.paused_until = now_ + std::chrono::milliseconds(how.below(40'000));
    ++result_.incidents.pauses;
    tell(fmt::format("{} is stopped{}, until {}", node.name, with, to_rfc3339(*node.paused_until)));
  }

  void strike() {
    const auto some = [this](SplitMix& how) -> Node& {
      // As a rule the one that works.
      if (how.chance(0.7))
        for (Node& node : nodes_)
          if (node.machine && node.epoch == disk_->lease().epoch) return node;
      return nodes_[how.below(nodes_.size())];
    };
    if (auto how = happens(What::crash)) {
      Node& node = some(*how);
      ++result_.crashes;
      tell(node.name + " dies");
      if (node.machine) step_down(node, "it is dead, and so are its tries");
      node.paused_until.reset();
      node.dead_until = now_ + std::chrono::milliseconds(how->below(30'000));
    }
    if (auto how = happens(What::pause))
      if (Node& node = some(*how); is_awake(node)) pause(node, *how, "");
    for (const What what : {What::partition, What::one_way})
      if (auto how = happens(what)) {
        Node& node = some(*how);
        node.link = what == What::one_way ? Node::Link::one_way : Node::Link::none;
        node.cut_off_until = now_ + std::chrono::milliseconds(how->below(40'000));
        ++result_.incidents.partitions;
        tell(fmt::format("{} {} the store until {}", node.name,
                         what == What::one_way ? "hears no more from" : "is cut off from",
                         to_rfc3339(*node.cut_off_until)));
      }
  }

  static bool ends(std::optional<Instant>& until, Instant now) {
    if (!until || *until > now) return false;
    until.reset();
    return true;
  }

  void move(Duration by) {
    now_ += by;
    disk_->set_clock(now_);
    for (Node& node : nodes_) {
      // The guard is a process of its own: it does its work while its node is stopped.
      if (node.machine && !may_work(node)) node.machine->kill_tries();
      if (ends(node.dead_until, now_)) tell(node.name + " is there again");
      if (ends(node.paused_until, now_)) tell(node.name + " goes on");
      if (ends(node.cut_off_until, now_)) {
        node.link = Node::Link::good;
        tell(node.name + " reaches the store again");
      }
    }
    deliver_late();
  }

  void look_at_vacancy() {
    const bool is_over = disk_->lease().holder.empty() || disk_->lease().until <= now_;
    const bool somebody_can = std::ranges::any_of(
        nodes_, [this](const Node& node) { return is_awake(node) && !node.machine && node.link == Node::Link::good; });
    if (!is_over || !somebody_can)
      vacant_since_.reset();
    else if (!vacant_since_)
      vacant_since_ = now_;
    else if (now_ - *vacant_since_ > most_vacant)
      checks_->broken(fmt::format("P5: the lease is over since {}, and no node takes it", to_rfc3339(*vacant_since_)));
  }

  // --- what goes on --------------------------------------------------------------------------------------------------

  // One node does what it is about to do.
  void go_on(Node& node, SplitMix& how, bool is_last) {
    if (!is_awake(node)) return;
    if (!node.machine) {
      if (monotonic(node) >= node.asks_at) ask_for_lease(node);
      return;
    }
    look_at_clock(node);
    // What it had in hand when it was stopped comes before it looks at any clock.
    if (node.machine->has_in_hand()) node.machine->turn(1, false);
    if (!may_work(node)) return step_down(node, "its trust window is over");
    if (monotonic(node) >= node.renews_at) renew(node);
    if (!node.machine) return;
    if (is_last || how.chance(0.5)) finish_one(node, how, is_last);
    if (is_last) node.machine->clear_one();
    turn(node, is_last ? 64 : 1 + how.below(8), how.chance(0.5));
  }

  void turn(Node& node, std::size_t most, bool overlap) {
    const std::uint64_t before = disk_->commits();
    node.machine->turn(most, overlap);
    look_at_commit(node, node.epoch, before);
    if (!node.machine->has_lost_its_store()) return;
    if (node.epoch != disk_->lease().epoch) ++result_.incidents.refused_commits;
    step_down(node, "it does not know what became of a commit");
  }

  void finish_one(Node& node, SplitMix& how, bool well) {
    const auto& running = node.machine->runner().running();
    if (running.empty()) return;
    auto at = running.begin();
    std::advance(at, static_cast<std::ptrdiff_t>(how.below(running.size())));
    const Key key = at->first;
    const auto command = node.machine->take(key);
    const bool fails = happens(What::failure).has_value();
    const bool stopped = node.machine->was_stopped(key);
    TaskFinished finished = result_of(*command, how, stopped ? End::stopped : fails ? End::bad : End::good);
    tell(fmt::format("{}: {}/{}, try {}, of {} ends{}", node.name, command->job, command->task, command->try_number,
                     to_string(command->run), word_of(finished.outcome)));
    if (!well && happens(What::twice)) node.machine->hand_in(finished);
    node.machine->hand_in(std::move(finished));
  }

  // A client speaks to one of those that think that they work.
  Node* some_active(SplitMix& how) {
    std::vector<Node*> active;
    for (Node& node : nodes_)
      if (node.machine && is_awake(node)) active.push_back(&node);
    return active.empty() ? nullptr : active[how.below(active.size())];
  }

  void submit(SplitMix& how) {
    Node* const node = some_active(how);
    if (!node) return;
    ShapeOptions options;
    options.name = fmt::format("w{}", how.below(3));
    options.mark = fmt::format("{}@{}", options.name, events_.step());
    options.missing = &swarm_.missing;
    options.may_have = [this](const std::string& part) { return events_.may_have(part); };
    const Shape shape = draw_shape(how.next(), options);
    result_.happened.parts.insert(shape.parts.begin(), shape.parts.end());
    node->machine->submit(shape.text);
  }

  void request(SplitMix& how) {
    Node* const node = some_active(how);
    if (!node) return;
    RunRequested event;
    event.workflow = fmt::format("w{}", how.below(3));
    event.inputs = json::object{{"n", static_cast<std::int64_t>(how.below(4))}};
    tell(fmt::format("somebody asks {} to start {}", node->name, event.workflow));
    node->machine->core().push(std::move(event), [this](Result<Answer> answer) {
      if (answer) checks_->run_answered(std::get<RunAccepted>(*answer).run);
    });
  }

  void step() {
    ++result_.steps;
    auto passes = events_.happens(What::time, 1);
    if (passes) move(std::chrono::milliseconds(20 + passes->below(600)));
    strike();
    if (auto how = events_.happens(What::submit, std::max(swarm_.rate(What::submit), events_.step() < 40 ? 0.2 : 0.0)))
      submit(*how);
    if (auto how = events_.happens(What::request, 0.1)) request(*how);
    if (auto how = happens(What::person))
      if (Node* const node = some_active(*how)) {
        node->details = *how;
        node->person->act();
      }
    if (auto how = events_.happens(What::turn, 1))
      for (Node& node : nodes_) go_on(node, *how, false);
    look_at_vacancy();
  }

  // Nothing is wrong with anybody any more; then a bounded number of steps until nothing is left to do.
  void come_to_rest() {
    SplitMix how = events_.stream(rest_stream);
    tell("from here on nothing goes wrong any more");
    swarm_.no_more_faults();
    for (Node& node : nodes_) {
      node.dead_until = node.paused_until = node.cut_off_until = std::nullopt;
      node.link = Node::Link::good;
    }
    // All that is still on its way arrives, and somebody takes over.
    constexpr std::uint64_t settling = 500;
    std::optional<Bound> bound;
    std::uint64_t limit = settling;
    for (std::uint64_t i = 0; is_well(); ++i) {
      events_.begin_step(events_.step() + 1);
      ++result_.steps;
      if (i > limit) {
        Node* const node = some_active(how);
        checks_->broken(fmt::format("P5: faults are over, and it has not come to rest after {} steps ({}){}", limit,
                                    bound ? bound->because : "to settle", node ? open_runs(*node->machine) : ""));
        return;
      }
      move(100ms);
      for (Node& node : nodes_) go_on(node, how, true);
      look_at_vacancy();
      if (i < settling / 2) continue;
      Node* const node = some_active(how);
      if (!node) continue;
      if (!bound) {
        if (node->machine->has_work() || stop_schedules(*node->machine)) continue;
        bound = bound_of(*node->machine, left_to_fill(*node->machine));
        limit = i + bound->steps;
      }
      if (node->machine->is_busy()) continue;
      node->details = how;
      if (node->person->answer_one()) continue;
      const auto due = node->machine->core().next_due();
      if (!due) break;
      if (*due > node->machine->now) sleep_until(*node, *due);
    }
    Node* const node = some_active(how);
    if (is_well() && !node) checks_->broken("P5: faults are over, and no node works");
    if (is_well()) checks_->at_rest();
  }

  // Nothing happens but renewals.
  void sleep_until(Node& node, Instant due) {
    now_ += due - node.machine->now;
    disk_->set_clock(now_);
    check(disk_->renew_lease(node.epoch, lease_length));
    granted(node);
  }

  const Options options_;
  Events events_;
  Swarm swarm_;
  const Instant begin_{std::chrono::sys_days(std::chrono::year(2026) / 11 / 23)};
  Instant now_ = begin_;  // by the store's clock
  std::shared_ptr<store::MemoryDisk> disk_ = store::make_memory_disk();
  std::shared_ptr<Checks> checks_ = std::make_shared<Checks>(disk_);
  std::deque<Node> nodes_;
  std::vector<Late> late_;
  std::optional<Instant> vacant_since_;
  Outcome result_;
};

}  // namespace

Outcome simulate_cluster(const Options& options) {
  Cluster cluster(options);
  return cluster.play();
}

}  // namespace pawl::sim
