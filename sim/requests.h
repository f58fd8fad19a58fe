// What clients and persons have asked for, each request under a name of its own, and what became of it: one that was
// refused has changed nothing, none is carried out twice, and a key starts one run.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "base/json.h"
#include "base/result.h"
#include "model/record.h"

namespace pawl::sim {

class Requests {
 public:
  using Report = std::function<void(std::string_view, RunId, const std::string&)>;
  // `is_gone`: whether retention has taken a run, and its key with it.
  Requests(Report report, std::function<bool(RunId)> is_gone)
      : report_(std::move(report)), is_gone_(std::move(is_gone)) {}

  // A name that no other request has; to be sent as the user who asks.
  std::string name(std::string_view what);
  // Whoever asked was told no. Where the outcome of the commit is unknown, it may have been carried out all the same.
  void refused(const std::string& name, const Error& why);
  // A start with a key was answered with this run.
  void started(const std::string& workflow, const std::string& key, const Json& inputs, RunId run);
  // A committed change of a run.
  void read(RunId run, const Change& change);

 private:
  void stands(const std::string& name, RunId run);

  Report report_;
  std::function<bool(RunId)> is_gone_;
  int count_ = 0;
  std::set<std::string> refused_;
  std::map<std::string, RunId> stored_;
  std::map<std::pair<std::string, std::string>, std::pair<RunId, std::string>> keys_;  // the first run and its inputs
};

}  // namespace pawl::sim
