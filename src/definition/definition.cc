#include "definition/definition.h"

#include <fmt/format.h>

#include <algorithm>

#include "definition/document.h"
#include "definition/names.h"
#include "definition/parts.h"

namespace pawl::definition {
namespace {

// One spelling each, so that whoever runs the workflow need not know both.
void settle_spelling(Workflow& workflow) {
  for (Job& job : workflow.jobs) {
    job.condition = bare_expression(job.condition);
    if (job.matrix) job.matrix->expression = bare_expression(job.matrix->expression);
    for (Task& task : job.tasks) {
      task.condition = bare_expression(task.condition);
      if (auto* http = std::get_if<HttpAction>(&task.action); http && !http->success_when.empty())
        http->success_when = fmt::format("${{{{ {} }}}}", bare_expression(http->success_when));
    }
  }
}

}  // namespace

std::expected<Parsed, std::vector<Problem>> parse(std::string_view text, const ParseOptions& options) {
  auto document = Document::read(text);
  if (!document) return std::unexpected(std::move(document.error()));
  Reader reader(*document, options);
  reader.take_over(document->traps());
  Workflow workflow = read_workflow(reader, document->root());
  check_expressions(reader, workflow);
  if (reader.failed()) return std::unexpected(reader.take_problems());
  settle_spelling(workflow);
  sort_by_place(reader.warnings);
  return Parsed{std::move(workflow), std::move(reader.warnings)};
}

}  // namespace pawl::definition
