// How often something that changes is asked about.
#pragma once

#include <algorithm>
#include <chrono>
#include <thread>

namespace pawl::cli {

// Asks often while something happens, and less and less while nothing does.
class Pace {
 public:
  void rest(bool something_happened) {
    pause_ = something_happened ? first_pause : std::min(pause_ * 3 / 2, longest_pause);
    std::this_thread::sleep_for(pause_);
  }

 private:
  static constexpr std::chrono::milliseconds first_pause{50}, longest_pause{500};
  std::chrono::milliseconds pause_ = first_pause;
};

}  // namespace pawl::cli
