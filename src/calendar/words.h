// A cron expression in words: `At 08:00, Monday to Friday`. Every word is true of every slot on a clock that is not changed;
// what happens when it is changed stands in slots.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "calendar/cron.h"

namespace pawl::calendar {

enum class Language : std::uint8_t { english, korean };
// Of `en` or `ko`, also in front of more, as in ko_KR.UTF-8.
std::optional<Language> language_of(std::string_view name);

// One sentence without the full stop; a second one if it never fires. It grows with the text of the expression.
std::string describe(const Cron& cron, Language language);

}  // namespace pawl::calendar
