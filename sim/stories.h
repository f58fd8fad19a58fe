// What the exhaustive mode plays: small workflows and what persons do about them.
#pragma once

#include <string>
#include <vector>

#include "model/status.h"

namespace pawl::sim {

// What a person does, one after the other, each when its time has come. Whoever gets no answer because the server died
// looks whether it was heard, and asks again if it was not.
struct Act {
  enum class Kind : std::uint8_t { submit, start, cancel, resume, resume_current, rerun, answer };
  enum class When : std::uint8_t { at_once, begun, asked, final };  // `place` has begun, asks; the run is final
  Kind kind = Kind::start;
  std::string text;  // submit: the definition; start: the workflow; rerun: from where
  When when = When::at_once;
  int run = 0;  // the how-manyeth that was started
  std::string place = {};  // job/task
  Answered said = Answered::approved;
};

// How an end after a crash is like the one without.
enum class Same : std::uint8_t {
  all,  // every task has the same verdict
  run,  // the run has; which of two tasks was first may be another
  none,  // it depends on where the crash was, as `on-crash: fail` does
};

// Tasks do what their names say: `fail…` fails, `once…` fails the first time, `hang…` ends only when it is told to stop,
// `list…` gives a list, all others succeed.
struct Story {
  std::string name;
  std::vector<Act> acts;
  Same same = Same::all;
};

std::vector<Story> stories();

}  // namespace pawl::sim
