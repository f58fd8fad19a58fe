// Expressions inside of shell scripts. Their values are never pasted: each `${{ x }}` becomes the expansion of a generated
// environment variable, so that no value can become shell syntax.
// Quoting: POSIX.1-2017, XCU chapter 2; `$'…'`, `((…))`, `[[…]]` and `<<<` as bash has them.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "expression/expression.h"

namespace pawl::expression {

constexpr std::size_t max_script_expressions = 1000;

struct ShellScript {
  std::string text;
  std::vector<Expression> variables;  // the value of PAWL_E1, PAWL_E2, …
};

// bash or sh, also as a path: the shells whose quoting is known here.
bool expands_variables(std::string_view shell);

// `${{ x }}` becomes "${PAWL_E1}" outside of quotes, ${PAWL_E1} in double quotes and unquoted here-documents, and stays as
// it is in comments. The same expression twice is one variable. Problems, all at once: an
// expression stands in single quotes, in a quoted here-document, in arithmetic (where bash evaluates values), in
// `${…}`, after a backslash, or in the script of another shell. Their hints show the `env:` line to write instead.
// There are more than max_script_expressions. Linear in the script's length.
std::expected<ShellScript, std::vector<Problem>> shell_script(const Template& script, std::string_view shell);

// That hint: how to pass the value of an expression to a script of that shell by an environment variable.
std::string env_hint(std::string_view expression, std::string_view shell);

}  // namespace pawl::expression
