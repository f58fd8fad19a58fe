// What a power cut after so many ops may leave on the disk.
//
// Durable is what was synced. Of what was written to a file since its last sync any part may be there, down to single
// sectors of 512 bytes, in any combination; of the entries of a folder since its last sync the first so many (a file
// system keeps their order). A folder's entry is durable by the sync of the folder alone, which is stricter than most
// file systems are. Of SQLite's index anything may be left: none, an old one, zeros.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "base/random.h"
#include "power/tape.h"

namespace pawl::power {

struct Image {
  std::set<std::string> folders;
  std::map<std::string, std::string> files;  // content by path
  bool wal_missing = false;  // a frame of the log is not there at all, though it was written
  bool wal_torn = false;     // … or only a part of it
};

// Goes along the tape and keeps what is durable, so that each image costs what is not.
class Disk {
 public:
  explicit Disk(const Tape& tape) : tape_(tape) {}
  // Not backwards.
  void go_to(std::size_t length);
  Image draw(SplitMix& random) const;

 private:
  struct File {
    std::string durable;
    std::vector<const Op*> pending;
  };
  struct Folder {
    std::map<std::string, int> durable;  // file by path; -1: a folder
    std::vector<const Op*> pending;
  };
  static void apply(std::string& content, std::uint64_t offset, std::string_view bytes);
  static void apply(std::map<std::string, int>& entries, const Op& op);
  std::string draw(const File& file, bool is_wal, Image& image, SplitMix& random) const;
  std::string draw_index(const std::vector<std::pair<std::size_t, std::string>>& contents, SplitMix& random) const;

  const Tape& tape_;
  std::size_t length_ = 0;
  std::map<int, File> files_;
  std::map<std::string, Folder> folders_{{"", {}}};
};

void write_image(const Image& image, const std::string& folder);  // which is empty

}  // namespace pawl::power
