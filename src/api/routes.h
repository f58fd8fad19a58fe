// The functions of the table in routes.cc.
#pragma once

#include "api/service.h"

namespace pawl::api {

using Answered = Outcome<net::Response>;

// workflows.cc
void create_workflow(Service& service, store::Reader& reader, Call call);
void put_workflow(Service& service, store::Reader& reader, Call call);
Answered validate_workflow(Service& service, store::Reader& reader, const Call& call);
Answered list_workflows(Service& service, store::Reader& reader, const Call& call);
Answered show_workflow(Service& service, store::Reader& reader, const Call& call);
Answered list_versions(Service& service, store::Reader& reader, const Call& call);
Answered show_version(Service& service, store::Reader& reader, const Call& call);

// runs.cc
void start_run(Service& service, store::Reader& reader, Call call);
void cancel_run(Service& service, store::Reader& reader, Call call);
void resume_run(Service& service, store::Reader& reader, Call call);
Answered list_runs(Service& service, store::Reader& reader, const Call& call);
Answered show_run(Service& service, store::Reader& reader, const Call& call);
Answered show_run_by_number(Service& service, store::Reader& reader, const Call& call);
Answered list_tasks(Service& service, store::Reader& reader, const Call& call);
Answered show_io(Service& service, store::Reader& reader, const Call& call);

// logs.cc
Answered show_task_logs(Service& service, store::Reader& reader, const Call& call);
Answered show_run_logs(Service& service, store::Reader& reader, const Call& call);
Answered show_run_log(Service& service, store::Reader& reader, const Call& call);

}  // namespace pawl::api
