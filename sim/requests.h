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
#include "model/record.h"

namespace pawl::sim {

class Requests {
 public:
  using Report = std::function<void(std::string_view, RunId, const std::string&)>;
  explicit Requests(Report report) : report_(std::move(report)) {}

  // A name that no other request has; to be sent as the user who asks.
  std::string name(std::string_view what);
  // Whoever asked was told no.
  void refused(const std::string& name);
  // A start with a key was answered with this run.
  void started(const std::string& workflow, const std::string& key, const Json& inputs, RunId run);
  // A committed change of a run.
  void read(RunId run, const Change& change);

 private:
  void stands(const std::string& name, RunId run);

  Report report_;
  int count_ = 0;
  std::set<std::string> refused_;
  std::map<std::string, RunId> stored_;
  std::map<std::pair<std::string, std::string>, std::pair<RunId, std::string>> keys_;  // the first run and its inputs
};

}  // namespace pawl::sim
