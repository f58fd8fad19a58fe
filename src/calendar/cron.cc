#include "calendar/cron.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <span>

#include "base/check.h"
#include "base/utf8.h"
#include "calendar/civil.h"

namespace pawl::calendar {
namespace {

constexpr auto month_names = std::to_array<std::string_view>(
    {"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"});
constexpr auto weekday_names = std::to_array<std::string_view>({"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"});

struct Bounds {
  Field field;
  int low, high;  // as written
  int size;       // different values; a step is smaller
  std::span<const std::string_view> names = {};
  int first_name = 0;         // value of the first of them
  std::string_view one = {};  // `60` is no …
};
constexpr Bounds second_bounds{.field = Field::seconds, .low = 0, .high = 59, .size = 60, .one = "second"};
constexpr Bounds minute_bounds{.field = Field::minutes, .low = 0, .high = 59, .size = 60, .one = "minute"};
constexpr Bounds hour_bounds{.field = Field::hours, .low = 0, .high = 23, .size = 24, .one = "hour"};
constexpr Bounds day_bounds{.field = Field::day_of_month, .low = 1, .high = 31, .size = 31, .one = "day of a month"};
constexpr Bounds month_bounds{
    .field = Field::month, .low = 1, .high = 12, .size = 12, .names = month_names, .first_name = 1, .one = "month"};
constexpr Bounds unix_weekday_bounds{
    .field = Field::day_of_week, .low = 0, .high = 7, .size = 7, .names = weekday_names, .one = "weekday"};
constexpr Bounds quartz_weekday_bounds{.field = Field::day_of_week,
                                       .low = 1,
                                       .high = 7,
                                       .size = 7,
                                       .names = weekday_names,
                                       .first_name = 1,
                                       .one = "weekday"};
constexpr Bounds year_bounds{
    .field = Field::year, .low = first_year, .high = last_year, .size = last_year - first_year + 1, .one = "year"};

struct Nickname {
  std::string_view name, fields;
};
constexpr auto nicknames = std::to_array<Nickname>({
    {"@hourly", "0 * * * *"},
    {"@daily", "0 0 * * *"},
    {"@weekly", "0 0 * * 0"},
    {"@monthly", "0 0 1 * *"},
    {"@yearly", "0 0 1 1 *"},
});

constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
constexpr char upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; }
std::string in_upper_case(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), upper);
  return out;
}
std::string in_lower_case(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return out;
}

// A bit for each value; weekdays come with Sunday = 0, whatever was written.
template <class Bits>
void set_bits(const Parts& parts, int low, int size, Bits& bits) {
  for (const Part& part : parts) {
    const int end = part.to < part.from ? part.to + size : part.to;
    for (int value = part.from; value <= end; value += part.step) bits |= Bits{1} << (low + (value - low) % size);
  }
}

}  // namespace

std::string_view to_string(Field field) {
  switch (field) {
    case Field::expression: return "expression";
    case Field::seconds: return "seconds";
    case Field::minutes: return "minutes";
    case Field::hours: return "hours";
    case Field::day_of_month: return "day_of_month";
    case Field::month: return "month";
    case Field::day_of_week: return "day_of_week";
    case Field::year: return "year";
    case Field::interval: return "interval";
  }
  unreachable();
}

std::string_view words(Field field) {
  if (field == Field::day_of_month) return "day of month";
  if (field == Field::day_of_week) return "day of week";
  return to_string(field);
}

std::string to_text(const Problem& problem) {
  if (problem.field == Field::expression) return problem.message;
  return fmt::format("{} (position {}): {}", words(problem.field), problem.position, problem.message);
}

// Reads one expression. Members that begin with try_ answer whether they took the text for theirs; the first problem stops
// everything.
class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) { cron_.text_ = std::string(text); }

  std::expected<Cron, Problem> parse() {
    read();
    if (problem_) return std::unexpected(std::move(*problem_));
    return std::move(cron_);
  }

 private:
  struct Word {
    std::size_t begin = 0, end = 0;  // in text_
  };

  std::string_view of(Word word) const { return text_.substr(word.begin, word.end - word.begin); }

  // --- problems ---

  Problem at(Field field, std::size_t offset, std::string message) const {
    const auto continues = [](char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; };
    const auto before = text_.substr(0, offset);
    const auto characters =
        static_cast<int>(before.size()) - static_cast<int>(std::ranges::count_if(before, continues));
    return {field, characters + 1, std::move(message)};
  }

  bool fail(Field field, std::size_t offset, std::string message) {
    if (!problem_) problem_ = at(field, offset, std::move(message));
    return false;
  }

  // The character at an offset, for a message.
  std::string shown(std::size_t offset) const {
    const auto rest = text_.substr(offset);
    if (static_cast<unsigned char>(rest[0]) < 0x20 || rest[0] == 0x7F) return "a control character";
    const auto valid = rest.substr(0, valid_utf8_prefix(rest));
    if (valid.empty()) return "a byte that is no UTF-8";
    std::size_t length = 1;
    while (length < valid.size() && (static_cast<unsigned char>(valid[length]) & 0xC0) == 0x80) ++length;
    return fmt::format("`{}`", valid.substr(0, length));
  }

  // --- the whole ---

  void read() {
    if (text_.size() > max_text) {
      fail(Field::expression, 0, fmt::format("the expression is longer than {} bytes", max_text));
      return;
    }
    split();
    if (words_.empty()) {
      fail(Field::expression, 0,
           "the expression is empty: write 5 fields as `0 8 * * *`, 6 as `0 0 8 * * ?`, or @daily");
      return;
    }
    if (text_[words_[0].begin] == '@')
      read_nickname();
    else
      read_fields();
    if (problem_ || cron_.every_) return;
    cron_.never_ = true;
    for (int year = first_year; year <= last_year && cron_.never_; ++year)
      for (int month = 1; month <= 12 && cron_.never_; ++month) cron_.never_ = cron_.matching_days(year, month) == 0;
  }

  void split() {
    for (std::size_t at = 0; at < text_.size();) {
      const std::size_t begin = std::min(text_.find_first_not_of(" \t", at), text_.size());
      const std::size_t end = std::min(text_.find_first_of(" \t", begin), text_.size());
      if (begin < end) words_.push_back({begin, end});
      at = end;
    }
  }

  void read_nickname() {
    const std::string_view name = of(words_[0]);
    if (name == "@every") return read_interval();
    const auto known = std::ranges::find(nicknames, name, &Nickname::name);
    if (known == nicknames.end()) {
      std::string message = fmt::format("`{}` is not known", cut_utf8(to_utf8_lossy(name), 40));
      const std::string lower = in_lower_case(name);
      const std::string_view meant = lower == "@annually"   ? "@yearly"
                                     : lower == "@midnight" ? "@daily"
                                     : lower == "@every"    ? "@every 90s"
                                     : std::ranges::find(nicknames, lower, &Nickname::name) != nicknames.end()
                                         ? std::string_view(lower)
                                         : "";
      message += meant.empty() ? std::string(": there are @hourly, @daily, @weekly, @monthly, @yearly and @every 90s")
                               : fmt::format(": write {}", meant);
      fail(Field::expression, words_[0].begin, std::move(message));
      return;
    }
    if (words_.size() > 1) {
      fail(Field::expression, words_[1].begin, fmt::format("nothing may follow `{}`", name));
      return;
    }
    Parser fields(known->fields);
    fields.split();
    fields.read_fields();
    check(!fields.problem_);
    std::string text = std::move(cron_.text_);
    cron_ = std::move(fields.cron_);
    cron_.text_ = std::move(text);
  }

  void read_interval() {
    if (words_.size() == 1) {
      fail(Field::interval, text_.size(), "after `@every` a duration is missing: write @every 90s");
      return;
    }
    const std::size_t begin = words_[1].begin;
    if (words_.size() > 2) {
      fail(Field::interval, words_[2].begin, "one duration without blanks follows `@every`: write @every 1h30m");
      return;
    }
    const auto duration = parse_duration(of(words_[1]));
    if (!duration)
      fail(Field::interval, begin, to_utf8_lossy(duration.error().message));
    else if (*duration < std::chrono::seconds(1) || *duration % std::chrono::seconds(1) != Duration::zero())
      fail(Field::interval, begin, "it must be one second or more, in whole seconds");
    else
      cron_.every_ = std::chrono::floor<std::chrono::seconds>(*duration);
  }

  void read_fields() {
    const std::size_t count = words_.size();
    if (count < 5) {
      fail(Field::expression, text_.size(),
           fmt::format(
               "{} field{} where 5 are needed (minutes, hours, day of month, month, day of week), or 6 or 7 with "
               "seconds first",
               count, count == 1 ? "" : "s"));
      return;
    }
    if (count > 7) {
      fail(Field::expression, words_[7].begin, "more than 7 fields: after the year nothing follows");
      return;
    }
    quartz_ = count > 5;
    cron_.has_seconds_ = quartz_;
    std::size_t next = 0;
    if (quartz_)
      read_list(words_[next++], second_bounds);
    else
      cron_.parts_[static_cast<std::size_t>(Field::seconds)] = {{0, 0, 1, false}};
    read_list(words_[next++], minute_bounds);
    const Word hours = words_[next++];
    read_list(hours, hour_bounds);
    const Word days = words_[next++];
    read_days(days);
    read_list(words_[next++], month_bounds);
    const Word weekdays = words_[next++];
    read_weekdays(weekdays);
    if (next < count)
      read_list(words_[next], year_bounds);
    else
      cron_.parts_[static_cast<std::size_t>(Field::year)] = {{first_year, last_year, 1, true}};
    if (problem_ || !check_question_marks(days, weekdays)) return;

    const auto restricts = [&](Word word) { return of(word) != "*" && of(word) != "?"; };
    cron_.restricts_days_ = restricts(days);
    cron_.restricts_weekdays_ = restricts(weekdays);
    cron_.either_day_ = !quartz_ && !of(days).starts_with('*') && !of(weekdays).starts_with('*');
    cron_.elapsed_ = of(hours).find_first_of("*/") != std::string_view::npos;
    set_bits(cron_.parts(Field::seconds), 0, 60, cron_.seconds_);
    set_bits(cron_.parts(Field::minutes), 0, 60, cron_.minutes_);
    set_bits(cron_.parts(Field::hours), 0, 24, cron_.hours_);
    set_bits(cron_.parts(Field::day_of_month), 1, 31, cron_.days_);
    set_bits(cron_.parts(Field::month), 1, 12, cron_.months_);
    set_bits(cron_.parts(Field::day_of_week), 0, 7, cron_.weekdays_);
    for (const Part& part : cron_.parts(Field::year))
      for (int year = part.from; year <= part.to; year += part.step) {
        const auto bit = static_cast<unsigned>(year - first_year);
        cron_.years_[bit / 64] |= std::uint64_t{1} << bit % 64;
      }
    add_warnings();
  }

  // --- fields ---

  void read_days(Word word) {
    if (quartz_ && (of(word) == "?" || try_day_form(word))) {
      if (of(word) == "?") cron_.parts_[static_cast<std::size_t>(Field::day_of_month)] = {{1, 31, 1, true}};
      return;
    }
    read_list(word, day_bounds);
  }

  void read_weekdays(Word word) {
    const auto field = static_cast<std::size_t>(Field::day_of_week);
    if (quartz_ && (of(word) == "?" || try_weekday_form(word))) {
      if (of(word) == "?") cron_.parts_[field] = {{0, 6, 1, true}};
      return;
    }
    const Bounds& bounds = quartz_ ? quartz_weekday_bounds : unix_weekday_bounds;
    read_list(word, bounds);
    for (Part& part : cron_.parts_[field]) {
      if (part.star)
        part.from = 0, part.to = 6;
      else if (quartz_)
        part.from -= 1, part.to -= 1;
      else if (part.from == 0 && part.to == 7)
        part.to = 6;
      else
        part.from %= 7, part.to %= 7;
    }
  }

  // L, L-3, LW, L-3W, 15W. True if the field begins like one of them; what is wrong then is told.
  bool try_day_form(Word word) {
    const std::string text = in_upper_case(of(word));
    const bool last = text[0] == 'L';
    const std::size_t digits = text.find_first_not_of("0123456789");
    const bool nearest = digits != std::string::npos && digits > 0 && text[digits] == 'W';
    if (!last && !nearest) return false;
    at_ = word.begin;
    end_ = word.end;
    DayForm form;
    if (nearest) {
      form.kind = DayForm::Kind::nearest_weekday;
      if (!number(day_bounds, form.day)) return true;
      ++at_;
    } else {
      form.kind = DayForm::Kind::from_end;
      ++at_;
      if (at_ < end_ && text_[at_] == '-') {
        const std::size_t begin = ++at_;
        if (!digits_follow(Field::day_of_month, "how many days before the last")) return true;
        form.day = digits_value();
        if (form.day > 30) return fail(Field::day_of_month, begin, "no month has so many days: L-30 at most"), true;
      }
      if (at_ < end_ && upper(text_[at_]) == 'W') {
        form.weekday = true;
        ++at_;
      }
    }
    if (!ends_form(Field::day_of_month)) return true;
    cron_.day_form_ = form;
    return true;
  }

  // L, 6L, FRIL, 6#3, FRI#3.
  bool try_weekday_form(Word word) {
    const std::string text = in_upper_case(of(word));
    const std::size_t mark = text.find('#');
    const std::size_t first_end = std::min(text.find(','), text.size());
    const bool last = text[first_end - 1 < text.size() ? first_end - 1 : 0] == 'L';
    const bool nth = mark < first_end;
    if (!last && !nth) return false;
    at_ = word.begin;
    end_ = word.end;
    if (last && first_end == 1) {  // the last day of the week
      ++at_;
      if (ends_form(Field::day_of_week))
        cron_.parts_[static_cast<std::size_t>(Field::day_of_week)] = {{6, 6, 1, false}};
      return true;
    }
    WeekdayForm form;
    int weekday = 0;
    if (!value(quartz_weekday_bounds, weekday)) return true;
    form.weekday = weekday - 1;
    if (at_ < end_ && text_[at_] == '#') {
      form.kind = WeekdayForm::Kind::nth;
      const std::size_t begin = ++at_;
      if (!digits_follow(Field::day_of_week, "which one of the month, 1 to 5,")) return true;
      form.nth = digits_value();
      if (form.nth < 1 || form.nth > 5)
        return fail(Field::day_of_week, begin, "a month has the 1st to the 5th of a weekday: write 1 to 5"), true;
    } else if (at_ < end_ && upper(text_[at_]) == 'L') {
      form.kind = WeekdayForm::Kind::last;
      ++at_;
    } else {
      return unexpected(Field::day_of_week), true;
    }
    if (!ends_form(Field::day_of_week)) return true;
    cron_.weekday_form_ = form;
    return true;
  }

  bool ends_form(Field field) {
    if (at_ == end_) return true;
    if (text_[at_] == ',') return fail(field, at_, "forms with L, W or # stand alone in their field, in no list");
    return unexpected(field);
  }

  void read_list(Word word, const Bounds& bounds) {
    if (problem_) return;
    Parts parts;
    for (std::size_t begin = word.begin;;) {
      const std::size_t comma = std::min(text_.find(',', begin), word.end);
      at_ = begin;
      end_ = std::min(comma, word.end);
      Part part;
      if (at_ == end_) {
        fail(bounds.field, begin, "a value is missing beside the comma");
        return;
      }
      if (!read_part(bounds, part)) return;
      parts.push_back(part);
      if (comma >= word.end) break;
      begin = comma + 1;
    }
    cron_.parts_[static_cast<std::size_t>(bounds.field)] = std::move(parts);
  }

  bool read_part(const Bounds& bounds, Part& part) {
    const std::size_t begin = at_;
    bool range = false;
    if (text_[at_] == '*') {
      ++at_;
      part = {bounds.low, bounds.high, 1, true};
    } else {
      if (!value(bounds, part.from)) return false;
      part.to = part.from;
      if (at_ < end_ && text_[at_] == '-') {
        ++at_;
        range = true;
        if (!value(bounds, part.to)) return false;
        // A week may end with its Sunday.
        if (!quartz_ && bounds.field == Field::day_of_week && part.to == 0 && part.from > 0) part.to = 7;
        if (part.to < part.from && (!quartz_ || bounds.field == Field::year))
          return fail(bounds.field, begin,
                      bounds.field == Field::year
                          ? fmt::format("`{}` runs backwards", text_.substr(begin, at_ - begin))
                          : fmt::format("`{}` runs backwards: write {}-{},{}-{}", text_.substr(begin, at_ - begin),
                                        part.from, bounds.high - (bounds.size == 7 ? 1 : 0), bounds.low, part.to));
      }
    }
    if (at_ < end_ && text_[at_] == '/') {
      const std::size_t slash = at_++;
      if (!digits_follow(bounds.field, "a step")) return false;
      part.step = digits_value();
      if (part.step < 1 || part.step >= bounds.size)
        return fail(bounds.field, slash + 1, fmt::format("a step here is 1 to {}", bounds.size - 1));
      if (!part.star && !range) part.to = bounds.size == 7 && !quartz_ ? std::max(6, part.from) : bounds.high;
    }
    return at_ == end_ || unexpected(bounds.field);
  }

  // --- values ---

  bool digits_follow(Field field, std::string_view what) {
    if (at_ < end_ && is_digit(text_[at_])) return true;
    if (at_ == end_) return fail(field, at_, fmt::format("{} is missing", what));
    return fail(field, at_, fmt::format("{} where {} is needed", shown(at_), what));
  }

  int digits_value() {
    int number = 0;
    for (; at_ < end_ && is_digit(text_[at_]); ++at_) number = std::min(number * 10 + (text_[at_] - '0'), 1'000'000);
    return number;
  }

  bool number(const Bounds& bounds, int& value) {
    const std::size_t begin = at_;
    value = digits_value();
    if (value >= bounds.low && value <= bounds.high) return true;
    std::string message = fmt::format("{} is no {}: {} to {}", cut_utf8(text_.substr(begin, at_ - begin), 20),
                                      bounds.one, bounds.low, bounds.high);
    if (bounds.field == Field::hours && value == 24) message += "; midnight is 0";
    if (bounds.field == Field::day_of_week && quartz_ && value == 0) message += "; with 6 or 7 fields Sunday is 1";
    return fail(bounds.field, begin, std::move(message));
  }

  // A number or a name.
  bool value(const Bounds& bounds, int& value) {
    if (at_ == end_) return fail(bounds.field, at_, fmt::format("a {} is missing", bounds.one));
    if (is_digit(text_[at_])) return number(bounds, value);
    const std::size_t begin = at_;
    while (at_ < end_ && is_letter(text_[at_])) ++at_;
    if (begin == at_) return unexpected(bounds.field);
    const std::string word = in_upper_case(text_.substr(begin, at_ - begin));
    for (std::size_t i = 0; i < bounds.names.size(); ++i) {
      if (!word.starts_with(bounds.names[i])) continue;
      // FRIL is FRI and L.
      if (word.size() == 3 || (quartz_ && bounds.field == Field::day_of_week && word.size() == 4 && word[3] == 'L')) {
        at_ = begin + 3;
        value = bounds.first_name + static_cast<int>(i);
        return true;
      }
      return fail(bounds.field, begin, fmt::format("names have three letters: write {}", bounds.names[i]));
    }
    at_ = begin;
    return unexpected(bounds.field);
  }

  // What stands at at_ cannot stand there.
  bool unexpected(Field field) {
    const char c = upper(text_[at_]);
    const bool day = field == Field::day_of_month || field == Field::day_of_week;
    if (c == '?') {
      if (!day) return fail(field, at_, "`?` stands in a day field alone: write *");
      return fail(field, at_, quartz_ ? "`?` stands alone in its field" : "`?` belongs to 6 or 7 fields: write *");
    }
    const bool form = c == '#' || ((c == 'L' || c == 'W') && word_length() <= 2);
    if (day && form)
      return fail(field, at_,
                  quartz_ ? fmt::format("{} cannot stand here: {}", shown(at_),
                                        field == Field::day_of_month ? "write L, L-3, LW, L-3W or 15W, without a list"
                                                                     : "write L, 6L, FRIL or FRI#3, without a list")
                          : fmt::format("{} belongs to 6 or 7 fields, with seconds first and ? in the other day field",
                                        shown(at_)));
    if (is_letter(text_[at_])) {
      std::size_t end = at_;
      while (end < text_.size() && is_letter(text_[end])) ++end;
      const std::string_view word = text_.substr(at_, std::min<std::size_t>(end - at_, 20));
      if (field == Field::month) return fail(field, at_, fmt::format("`{}` is no month: 1 to 12, or JAN to DEC", word));
      if (field == Field::day_of_week)
        return fail(field, at_,
                    fmt::format("`{}` is no weekday: {}, or SUN to SAT", word, quartz_ ? "1 to 7" : "0 to 7"));
      return fail(field, at_,
                  fmt::format("`{}` means nothing here: write a number, *, a range, a list or a step", word));
    }
    if (text_[at_] == '/') return fail(field, at_, "before a step a value is missing: write */5, 10/5 or 10-40/5");
    if (text_[at_] == '*') return fail(field, at_, "`*` stands alone, or before a step as */5");
    return fail(field, at_, fmt::format("{} is not expected here", shown(at_)));
  }

  std::size_t word_length() const {
    std::size_t end = at_;
    while (end < end_ && is_letter(text_[end])) ++end;
    return end - at_;
  }

  // --- what concerns several fields ---

  // The expression with another word in one place.
  std::string with(Word place, std::string_view instead) const {
    std::string text;
    for (const Word word : words_) {
      if (!text.empty()) text += ' ';
      text += word.begin == place.begin ? instead : of(word);
    }
    return text;
  }

  bool check_question_marks(Word days, Word weekdays) {
    if (!quartz_) return true;
    const bool in_days = of(days) == "?", in_weekdays = of(weekdays) == "?";
    if (in_days != in_weekdays) return true;
    if (in_days)
      return fail(Field::day_of_week, weekdays.begin,
                  fmt::format("only one of the day fields may be `?`: write `{}`", with(days, "*")));
    std::string write;
    if (of(weekdays) == "*" || of(days) != "*") write = with(weekdays, "?");
    if (of(weekdays) != "*") write += (write.empty() ? "" : "` or `") + with(days, "?");
    return fail(Field::day_of_week, weekdays.begin,
                fmt::format("with 6 or 7 fields one of the day fields must be `?`: write `{}`", write));
  }

  void add_warnings() {
    const std::size_t minutes = quartz_ ? 1 : 0;
    if (quartz_) check_steps(words_[0], second_bounds, "minute");
    check_steps(words_[minutes], minute_bounds, "hour");
    check_steps(words_[minutes + 1], hour_bounds, "day");
    check_steps(words_[minutes + 2], day_bounds, "month");
    check_steps(words_[minutes + 3], month_bounds, "year");
    if (!quartz_) return;
    const Word weekdays = words_[5];
    // Numbers that are weekdays, and not a count behind # or /.
    std::string named;
    bool digits = false;
    for (at_ = weekdays.begin, end_ = weekdays.end; at_ < end_;) {
      const bool counts = !named.empty() && (named.back() == '#' || named.back() == '/');
      if (!is_digit(text_[at_])) {
        named += upper(text_[at_++]);
      } else if (const int number = digits_value(); counts) {
        named += std::to_string(number);
      } else {
        named += weekday_names[static_cast<std::size_t>(number - 1)];
        digits = true;
      }
    }
    if (digits)
      cron_.warnings_.push_back(at(Field::day_of_week, weekdays.begin,
                                   fmt::format("with 6 or 7 fields the weekday 1 is Sunday, so `{}` is {}: write {}",
                                               of(weekdays), named, named)));
  }

  void check_steps(Word word, const Bounds& bounds, std::string_view period) {
    for (const Part& part : cron_.parts(bounds.field)) {
      const bool open = part.star || (part.step > 1 && part.to == bounds.high);
      if (!open || part.step * 2 <= bounds.size) continue;
      cron_.warnings_.push_back(
          at(bounds.field, word.begin,
             fmt::format("steps of {} fire unevenly: they begin anew with every {}{}", part.step, period,
                         bounds.field == Field::month || bounds.field == Field::day_of_month
                             ? std::string()
                             : fmt::format("; `@every {}{}` is even", part.step, bounds.one[0]))));
    }
  }

  std::string_view text_;
  std::vector<Word> words_;
  std::size_t at_ = 0, end_ = 0;  // what is read of text_
  bool quartz_ = false;
  Cron cron_;
  std::optional<Problem> problem_;
};

std::expected<Cron, Problem> Cron::parse(std::string_view text) { return Parser(text).parse(); }

bool Cron::has_year(int year) const {
  if (year < first_year || year > last_year) return false;
  const auto bit = static_cast<unsigned>(year - first_year);
  return (years_[bit / 64] >> bit % 64 & 1) != 0;
}

std::optional<int> Cron::year_from(int year) const {
  const int first = std::max(year - first_year, 0);
  for (int word = first / 64; word < static_cast<int>(years_.size()); ++word) {
    std::uint64_t bits = years_[static_cast<std::size_t>(word)];
    if (word == first / 64) bits &= ~std::uint64_t{0} << first % 64;
    if (bits != 0) return first_year + word * 64 + std::countr_zero(bits);
  }
  return std::nullopt;
}

std::optional<int> Cron::year_to(int year) const {
  const int last = std::min(year, last_year) - first_year;
  if (last < 0) return std::nullopt;
  for (int word = last / 64; word >= 0; --word) {
    std::uint64_t bits = years_[static_cast<std::size_t>(word)];
    if (word == last / 64) bits &= ~std::uint64_t{0} >> (63 - last % 64);
    if (bits != 0) return first_year + word * 64 + std::bit_width(bits) - 1;
  }
  return std::nullopt;
}

std::uint32_t Cron::matching_days(int year, int month) const {
  if (!has_year(year) || (months_ >> month & 1) == 0) return 0;
  const Month in = month_of(year, month);
  const std::uint32_t all = in.all_days();
  const auto one = [](int day) { return std::uint32_t{1} << day; };

  std::uint32_t days = all;
  switch (day_form_.kind) {
    case DayForm::Kind::list: days = days_ & all; break;
    case DayForm::Kind::from_end: {
      const int day = in.length - day_form_.day;
      days = day < 1 ? 0 : one(day_form_.weekday ? in.nearest_weekday(day) : day);
      break;
    }
    case DayForm::Kind::nearest_weekday:
      days = day_form_.day > in.length ? 0 : one(in.nearest_weekday(day_form_.day));
      break;
  }

  std::uint32_t weekdays = all;
  switch (weekday_form_.kind) {
    case WeekdayForm::Kind::list: weekdays = in.days_on(weekdays_); break;
    case WeekdayForm::Kind::last:
      weekdays = std::bit_floor(in.days_on(std::uint32_t{1} << weekday_form_.weekday));
      break;
    case WeekdayForm::Kind::nth: {
      // The nth of a weekday lies in the nth seven days of the month.
      const std::uint32_t week = std::uint32_t{0xFE} << (weekday_form_.nth - 1) * 7;
      weekdays = in.days_on(std::uint32_t{1} << weekday_form_.weekday) & week;
      break;
    }
  }
  return either_day_ ? days | weekdays : days & weekdays;
}

}  // namespace pawl::calendar
