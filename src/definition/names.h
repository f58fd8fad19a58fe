// Expressions at their places: do they parse, and do the names in them exist there? Inside of the room.
#pragma once

#include "definition/reader.h"

namespace pawl::definition {

// Reports everything that is wrong with the expressions at reader.sites. The graph of the jobs is whole.
void check_expressions(Reader& reader, const Workflow& workflow);

// The expression in a text of Form::expression, without `${{ }}`; the text itself where it is none.
std::string bare_expression(std::string_view text);

}  // namespace pawl::definition
