#include "api/test_world.h"

namespace pawl::api {
namespace {

TEST_F(Api, AWorkflowIsCreatedOnceAndChangedByPut) {
  const auto created = post_yaml("/api/v1/workflows", blog);
  ASSERT_EQ(created.status, 201) << created.text;
  EXPECT_EQ(created.header("Location"), "/api/v1/workflows/blog");
  EXPECT_EQ(find_int(created.body, "version"), 1);
  EXPECT_THAT(find(created.body, "warnings")->get_array(), IsEmpty());
  EXPECT_EQ(post_yaml("/api/v1/workflows", blog).status, 409);
  EXPECT_EQ(post_yaml("/api/v1/workflows", blog).code(), "workflow_exists");

  const auto same = ask("PUT", "/api/v1/workflows/blog", blog, {}, "text/yaml");
  EXPECT_EQ(same.status, 200);
  EXPECT_TRUE(find(same.body, "unchanged")->get_bool());
  const auto changed =
      ask("PUT", "/api/v1/workflows/blog", blog + "description: x\n", {}, "application/x-yaml; charset=utf-8");
  EXPECT_EQ(changed.status, 200);
  EXPECT_EQ(find_int(changed.body, "version"), 2);
  EXPECT_EQ(ask("PUT", "/api/v1/workflows/other", blog, {}, "text/yaml").code(), "name_mismatch");
  EXPECT_EQ(ask("PUT", "/api/v1/workflows/j%20son", R"({"name":"j son","jobs":{"a":{"tasks":[{"run":"x"}]}}})").status,
            201);
  EXPECT_EQ(ask("POST", "/api/v1/workflows", blog, {}, "text/plain").status, 415);
  EXPECT_EQ(ask("POST", "/api/v1/workflows", std::string(definition::max_text + 1, ' '), {}, "text/yaml").status, 413);
}

TEST_F(Api, AnInvalidDefinitionIsToldWithItsLines) {
  for (const auto* target : {"/api/v1/workflows", "/api/v1/workflows/validate"}) {
    const auto answer = post_yaml(target, "name: x\njobz: {}\n");
    EXPECT_EQ(answer.status, 422);
    EXPECT_EQ(answer.code(), "definition_invalid");
    const auto& errors = find(answer.body, "errors")->get_array();
    ASSERT_THAT(errors, Not(IsEmpty()));
    EXPECT_TRUE(find_int(errors[0], "line"));
    EXPECT_TRUE(find_int(errors[0], "column"));
    EXPECT_FALSE(find_string(errors[0], "message").empty());
  }
  EXPECT_EQ(post_yaml("/api/v1/workflows", "").status, 415);
  const auto fine = post_yaml("/api/v1/workflows/validate", blog);
  EXPECT_EQ(fine.status, 200);
  EXPECT_TRUE(find(fine.body, "valid")->get_bool());
  EXPECT_EQ(get("/api/v1/workflows/blog").status, 404);
}

TEST_F(Api, WhatIsNotServedYetIsSaidWhenAWorkflowIsAccepted) {
  const auto answer =
      post_yaml("/api/v1/workflows", blog + "on: {webhook: {scheme: pawl, secret: '${{ secrets.HOOK }}'}}\n");
  ASSERT_EQ(answer.status, 201) << answer.text;
  const auto& warnings = find(answer.body, "warnings")->get_array();
  ASSERT_THAT(warnings, SizeIs(1));
  EXPECT_THAT(std::string(find_string(warnings[0], "message")), HasSubstr("not served yet"));
}

TEST_F(Api, WorkflowsAreListedByNameInPages) {
  for (const auto* name : {"c", "a", "b"})
    ASSERT_EQ(
        post_yaml("/api/v1/workflows", fmt::format("name: {}\njobs: {{j: {{tasks: [{{run: x}}]}}}}\n", name)).status,
        201);
  const auto first = get("/api/v1/workflows?limit=2");
  EXPECT_EQ(to_text(find(first.body, "items")->get_array().at(1).at("name")), "\"b\"");
  const auto second = get("/api/v1/workflows?limit=2&cursor=" + std::string(find_string(first.body, "next_cursor")));
  ASSERT_THAT(find(second.body, "items")->get_array(), SizeIs(1));
  EXPECT_TRUE(find(second.body, "next_cursor")->is_null());
  for (const auto* query : {"limit=0", "limit=201", "limit=x", "limit=-1", "cursor=%21", "limit=99999999999999999999"})
    EXPECT_EQ(get(fmt::format("/api/v1/workflows?{}", query)).status, 400) << query;
}

TEST_F(Api, AWorkflowIsShownWithItsDefinitionAndVersions) {
  with_workflow();
  ask("PUT", "/api/v1/workflows/blog", blog + "description: x\n", {}, "text/yaml");
  const auto shown = get("/api/v1/workflows/blog");
  EXPECT_EQ(find_string(shown.body, "text"), blog + "description: x\n");
  EXPECT_EQ(find_string(*find(shown.body, "definition"), "description"), "x");
  EXPECT_EQ(find_string(shown.body, "created_at"), "2026-11-23T12:00:00.000Z");
  const auto versions = get("/api/v1/workflows/blog/versions?limit=1");
  EXPECT_EQ(find_int(find(versions.body, "items")->get_array().at(0), "version"), 2);
  const auto older =
      get("/api/v1/workflows/blog/versions?cursor=" + std::string(find_string(versions.body, "next_cursor")));
  EXPECT_EQ(find_int(find(older.body, "items")->get_array().at(0), "version"), 1);
  EXPECT_EQ(find_string(get("/api/v1/workflows/blog/versions/1").body, "text"), blog);
  for (const auto* path : {"/api/v1/workflows/x", "/api/v1/workflows/x/versions", "/api/v1/workflows/blog/versions/3",
                           "/api/v1/workflows/blog/versions/0", "/api/v1/workflows/blog/versions/x",
                           "/api/v1/workflows/a%2Fb", "/api/v1/workflows/validate"})
    EXPECT_EQ(get(path).status, 404) << path;
}

}  // namespace
}  // namespace pawl::api
