// cron: what an expression means, and when it fires next. Needs no server and no data folder.
#include <fmt/format.h>

#include "calendar/explain.h"
#include "cli/commands.h"
#include "cli/text.h"
#include "cli/zone_time.h"
#include "zones/zones.h"

namespace pawl::cli {
namespace {

using calendar::Language;
using calendar::Slots;

Language language(const CronOptions& options) {
  if (!options.language.empty()) return calendar::language_of(options.language).value_or(Language::english);
  for (const char* const name : {"LC_ALL", "LC_MESSAGES", "LANG"})
    if (const std::string value = environment(name); !value.empty())
      return calendar::language_of(value).value_or(Language::english);
  return Language::english;
}

// What the table says in one language.
struct Labels {
  std::string_view offset, note, moved, first, second, forward, back, none;
};
constexpr Labels english{.offset = "offset",
                         .note = "clock",
                         .moved = "moved: the time asked for does not exist",
                         .first = "first of two",
                         .second = "second of two",
                         .forward = "forward by",
                         .back = "back by",
                         .none = "no further fire time up to the end of 2199"};
constexpr Labels korean{.offset = "시차",
                        .note = "시계",
                        .moved = "옮김: 없는 시각",
                        .first = "두 번 중 첫 번째",
                        .second = "두 번 중 두 번째",
                        .forward = "앞으로",
                        .back = "뒤로",
                        .none = "2199년 말까지 더 이상 실행 시각이 없음"};

std::string offset_text(std::chrono::seconds offset) {
  const auto size = std::chrono::abs(offset).count();
  std::string text = fmt::format("{}{:02}:{:02}", offset.count() < 0 ? '-' : '+', size / 3600, size / 60 % 60);
  if (size % 60 != 0) text += fmt::format(":{:02}", size % 60);
  return text;
}

std::string table_of(const Console& console, const Slots& slots, const std::vector<Instant>& times, Instant after,
                     Language in) {
  const Labels& say = in == Language::korean ? korean : english;
  const auto stretch = [&](Instant at) { return slots.zone().at(std::chrono::floor<std::chrono::seconds>(at)); };
  std::vector<std::vector<Cell>> rows{
      {{slots.zone().name()}, {std::string(say.offset)}, {"UTC"}, {std::string(say.note)}}};
  std::chrono::seconds before = stretch(after).offset;
  bool noted = false;
  for (const Instant time : times) {
    const auto at = std::chrono::floor<std::chrono::seconds>(time);
    const calendar::Stretch here = stretch(time);
    const auto wall = here.local(at);
    std::string note;
    if (here.offset != before)
      note = fmt::format("{} {}", here.offset > before ? say.forward : say.back,
                         pawl::to_text(Duration(std::chrono::abs(here.offset - before))));
    before = here.offset;
    const auto shift = slots.shift(time);
    if (shift != Slots::Shift::none)
      note += fmt::format("{}{}", note.empty() ? "" : "; ",
                          shift == Slots::Shift::moved          ? say.moved
                          : shift == Slots::Shift::first_of_two ? say.first
                                                                : say.second);
    noted = noted || !note.empty();
    rows.push_back({{weekday_text(std::chrono::floor<std::chrono::days>(wall), in) + " " + wall_text(wall)},
                    {offset_text(here.offset)},
                    {wall_text(calendar::local_seconds{at.time_since_epoch()})},
                    {std::move(note), Colour::yellow}});
  }
  // Without a note the last column would be a head alone, or end lines with blanks.
  for (auto& row : rows)
    if (!noted || row.back().text.empty()) row.pop_back();
  return table(console, rows);
}

}  // namespace

Outcome<int> cron(Console& console, const Common& common, const CronOptions& options) {
  if (options.expression.size() != 1)
    return give_up(Exit::wrong_usage, "usage",
                   "the expression must be one argument: put it in quotes, as pawl cron \"0 8 * * *\"");
  const auto after = options.after.empty() ? std::optional(wall_clock()) : parse_instant(options.after);
  if (!after)
    return give_up(Exit::wrong_usage, "usage",
                   fmt::format("--after: '{}' is no time: write Unix seconds, or 2026-11-23T08:00:00Z", options.after));

  auto parsed = calendar::Cron::parse(options.expression.front());
  if (!parsed) {
    json::object more = calendar::to_json(parsed.error());
    more.erase("message");
    return give_up(Exit::failed, "cron_invalid", calendar::to_text(parsed.error()), std::move(more));
  }
  std::string name = options.timezone;
  if (name.empty()) {
    auto local = zones::local_name();
    if (!local) return std::unexpected(to_trouble(local.error()));
    name = std::move(*local);
  }
  const auto zone = zones::load(name);
  if (!zone) {
    Trouble trouble = to_trouble(zone.error());
    if (!options.timezone.empty() && zone.error().code == Code::not_found) trouble.exit = Exit::wrong_usage;
    return std::unexpected(std::move(trouble));
  }

  const Slots slots(std::move(*parsed), *zone, *after);
  const std::vector<Instant> times = calendar::next_slots(slots, *after, options.count);
  const Language in = language(options);
  if (common.json) {
    console.line(pawl::to_text(calendar::explain(slots, times, in)));
    return Exit::fine;
  }
  for (const calendar::Problem& warning : slots.cron().warnings())
    console.complain("pawl: warning: " + calendar::to_text(warning));
  console.line(calendar::describe(slots.cron(), in));
  const Labels& say = in == Language::korean ? korean : english;
  if (!times.empty())
    console.print("\n" + table_of(console, slots, times, *after, in));
  else if (!slots.cron().never())  // of which the explanation tells
    console.line(fmt::format("\n{}", say.none));
  return Exit::fine;
}

}  // namespace pawl::cli
