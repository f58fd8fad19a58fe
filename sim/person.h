// Simulated persons: they approve, reject, release, resume, run again and cancel, what there is to ask and what there is
// not, and sometimes two of them ask about the same thing at once.
#pragma once

#include <functional>
#include <string>

#include "base/random.h"
#include "sim/machine.h"

namespace pawl::sim {

class Person {
 public:
  Person(Machine& machine, SplitMix& random) : machine_(machine), random_(random) {}

  // Asks for something about some run; a second one may ask for something at the same time.
  void act();
  // Answers one task that waits for a person, so that its run can go on. False: none does.
  bool answer_one();

  using Told = std::function<void(const Result<Answer>&)>;
  void cancel(RunId run, Told told = {});
  void resume(RunId run, bool with_current, bool force, Told told = {});
  void rerun(RunId run, std::string from, Told told = {});
  // `work`: as work_name() has it.
  void answer(RunId run, const std::string& work, Answered said, Json outputs = nullptr, Told told = {});

 private:
  // Each request is asked by somebody else, so that what became of it can be told.
  Who somebody(std::string_view what);
  void hear(const Who& who, const Result<Answer>& answer);
  void act_on(const Ledger::Page& page);
  std::string some_place(const engine::RunState& state);
  void say(RunId run, const std::string& work, WaitsFor asked);

  Machine& machine_;
  SplitMix& random_;
};

}  // namespace pawl::sim
