#include "base/curl.h"

#include <dlfcn.h>

#include <optional>
#include <string>

namespace pawl {
namespace {

Result<Curl> load() {
  // RTLD_LOCAL keeps its OpenSSL apart from any other in the process.
  void* const library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    const char* const why = dlerror();
    return fail(Code::unavailable, std::string("libcurl cannot be loaded; install Debian's package libcurl4 (") +
                                       (why ? why : "no reason") + ")");
  }
  Curl curl{};
  std::string missing;
  const auto take = [&](auto& function, const char* name) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, name));
    if (!function) missing += std::string(missing.empty() ? "" : ", ") + name;
  };
  take(curl.global_init, "curl_global_init");
  take(curl.easy_init, "curl_easy_init");
  take(curl.easy_cleanup, "curl_easy_cleanup");
  take(curl.easy_setopt, "curl_easy_setopt");
  take(curl.easy_getinfo, "curl_easy_getinfo");
  take(curl.easy_perform, "curl_easy_perform");
  take(curl.easy_reset, "curl_easy_reset");
  take(curl.easy_strerror, "curl_easy_strerror");
  take(curl.slist_append, "curl_slist_append");
  take(curl.slist_free_all, "curl_slist_free_all");
  take(curl.multi_init, "curl_multi_init");
  take(curl.multi_cleanup, "curl_multi_cleanup");
  take(curl.multi_add_handle, "curl_multi_add_handle");
  take(curl.multi_remove_handle, "curl_multi_remove_handle");
  take(curl.multi_perform, "curl_multi_perform");
  take(curl.multi_poll, "curl_multi_poll");
  take(curl.multi_wakeup, "curl_multi_wakeup");
  take(curl.multi_info_read, "curl_multi_info_read");
  take(curl.multi_setopt, "curl_multi_setopt");
  take(curl.multi_strerror, "curl_multi_strerror");
  if (!missing.empty()) return fail(Code::unavailable, "libcurl is too old: it lacks " + missing);
  if (curl.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
    return fail(Code::unavailable, "libcurl cannot be initialised");
  return curl;
}

}  // namespace

Result<const Curl*> load_curl() {
  static const Result<Curl> curl = load();
  if (!curl) return std::unexpected(curl.error());
  return &*curl;
}

}  // namespace pawl
