// libcurl, loaded when it is first needed: linked at start it would cost most of the start-up time and memory of a
// server that makes no HTTP call. Only the functions below are used.
#pragma once

#include <curl/curl.h>

#include "base/result.h"

namespace pawl {

struct Curl {
  decltype(&curl_global_init) global_init;
  decltype(&curl_easy_init) easy_init;
  decltype(&curl_easy_cleanup) easy_cleanup;
  decltype(&curl_easy_setopt) easy_setopt;
  decltype(&curl_easy_getinfo) easy_getinfo;
  decltype(&curl_easy_perform) easy_perform;
  decltype(&curl_easy_reset) easy_reset;
  decltype(&curl_easy_strerror) easy_strerror;
  decltype(&curl_slist_append) slist_append;
  decltype(&curl_slist_free_all) slist_free_all;
  decltype(&curl_multi_init) multi_init;
  decltype(&curl_multi_cleanup) multi_cleanup;
  decltype(&curl_multi_add_handle) multi_add_handle;
  decltype(&curl_multi_remove_handle) multi_remove_handle;
  decltype(&curl_multi_perform) multi_perform;
  decltype(&curl_multi_poll) multi_poll;
  decltype(&curl_multi_wakeup) multi_wakeup;
  decltype(&curl_multi_info_read) multi_info_read;
  decltype(&curl_multi_setopt) multi_setopt;
  decltype(&curl_multi_strerror) multi_strerror;
};

// The library, loaded and initialised once for the process. Error: unavailable, with what to install.
// Threads: any.
Result<const Curl*> load_curl();

}  // namespace pawl
