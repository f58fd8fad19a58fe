// The functions of the table in routes.cc.
#pragma once

#include "api/service.h"

namespace pawl::api {

using Looked = Outcome<net::Response>;

// workflows.cc
void create_workflow(Service& service, store::Reader& reader, Call call);
void put_workflow(Service& service, store::Reader& reader, Call call);
Looked validate_workflow(Service& service, store::Reader& reader, const Call& call);
Looked list_workflows(Service& service, store::Reader& reader, const Call& call);
Looked show_workflow(Service& service, store::Reader& reader, const Call& call);
Looked list_versions(Service& service, store::Reader& reader, const Call& call);
Looked show_version(Service& service, store::Reader& reader, const Call& call);
void switch_workflow(Service& service, store::Reader& reader, Call call);
void delete_workflow(Service& service, store::Reader& reader, Call call);
// 404 workflow_unknown for one that is deleted, too.
Outcome<WorkflowRow> find_workflow(store::Reader& reader, const std::string& name);
// The newest version; nothing, if its text is no definition any more.
Outcome<std::optional<Workflow>> newest_definition(store::Reader& reader, const WorkflowRow& workflow);

// runs.cc
void start_run(Service& service, store::Reader& reader, Call call);
Looked list_runs(Service& service, store::Reader& reader, const Call& call);
Looked show_run(Service& service, store::Reader& reader, const Call& call);
Looked show_run_by_number(Service& service, store::Reader& reader, const Call& call);
Looked list_tasks(Service& service, store::Reader& reader, const Call& call);
Looked show_io(Service& service, store::Reader& reader, const Call& call);
// Answers with the run as it is now, after what was asked has been committed.
void answer_with_run(Service& service, const Call& call, RunId id, int status);

// acts.cc
void cancel_run(Service& service, store::Reader& reader, Call call);
void resume_run(Service& service, store::Reader& reader, Call call);
void rerun_run(Service& service, store::Reader& reader, Call call);
void approve_task(Service& service, store::Reader& reader, Call call);
void reject_task(Service& service, store::Reader& reader, Call call);
void release_task(Service& service, store::Reader& reader, Call call);
void bulk(Service& service, store::Reader& reader, Call call);

// schedules.cc
Looked list_schedules(Service& service, store::Reader& reader, const Call& call);
Looked list_workflow_schedules(Service& service, store::Reader& reader, const Call& call);
Looked show_schedule(Service& service, store::Reader& reader, const Call& call);
Looked show_next(Service& service, store::Reader& reader, const Call& call);
Looked show_ledger(Service& service, store::Reader& reader, const Call& call);
void add_schedule(Service& service, store::Reader& reader, Call call);
void change_schedule(Service& service, store::Reader& reader, Call call);
void delete_schedule(Service& service, store::Reader& reader, Call call);
// By id or as workflow/name. 404 schedule_unknown, also for one that is deleted unless `deleted_too`.
Outcome<ScheduleRow> find_schedule(store::Reader& reader, const std::string& name, bool deleted_too = false);

// backfills.cc
void begin_backfill(Service& service, store::Reader& reader, Call call);
Looked list_backfills(Service& service, store::Reader& reader, const Call& call);
void cancel_backfill(Service& service, store::Reader& reader, Call call);

// cron.cc
Looked explain_cron(Service& service, store::Reader& reader, const Call& call);

// logs.cc
Looked show_task_logs(Service& service, store::Reader& reader, const Call& call);
Looked show_run_logs(Service& service, store::Reader& reader, const Call& call);
Looked show_run_log(Service& service, store::Reader& reader, const Call& call);

}  // namespace pawl::api
