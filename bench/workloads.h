// The workloads of docs/performance.md. Each prints its lines and ends the program if its work was not done as it
// should have been.
#pragma once

#include <string>
#include <vector>

namespace pawl::bench {

void many_at_once();   // W1
void one_at_a_time();  // W2
void restart();        // W3
void idle();           // W4
void http_steps();     // W5
void fire();           // fire
void growth();         // grow

// What restart() and fire() run in processes of their own. Return the exit code.
int restart_child(const std::vector<std::string>& arguments);
int fire_child(const std::vector<std::string>& arguments);

}  // namespace pawl::bench
