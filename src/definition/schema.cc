#include "definition/definition.h"
namespace pawl::definition {
std::string_view schema() { return "{}"; }
}  // namespace pawl::definition
