#include "power/image.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

namespace pawl::power {
namespace {

constexpr std::uint64_t sector = 512;

std::string parent(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

// How a cut treats what is pending of a file.
enum class Fate : std::uint8_t { none, all, first, some, all_but_one, torn };

Fate draw_fate(SplitMix& random) {
  constexpr Fate fates[] = {Fate::none, Fate::all, Fate::first, Fate::some, Fate::all_but_one, Fate::torn, Fate::torn};
  return fates[random.below(std::size(fates))];
}

}  // namespace

void Disk::apply(std::string& content, std::uint64_t offset, std::string_view bytes) {
  if (content.size() < offset + bytes.size()) content.resize(offset + bytes.size(), '\0');
  std::ranges::copy(bytes, content.begin() + static_cast<std::ptrdiff_t>(offset));
}

void Disk::apply(std::map<std::string, int>& entries, const Op& op) {
  if (op.kind == Op::Kind::make) entries[op.path] = op.file;
  if (op.kind == Op::Kind::make_folder) entries[op.path] = -1;
  if (op.kind == Op::Kind::remove) entries.erase(op.path);
  if (op.kind == Op::Kind::rename) {
    entries[op.to] = entries.at(op.path);
    entries.erase(op.path);
  }
}

void Disk::go_to(std::size_t length) {
  for (; length_ < length; ++length_) {
    const Op& op = tape_.ops[length_];
    switch (op.kind) {
      case Op::Kind::make:
      case Op::Kind::make_folder:
      case Op::Kind::rename:
      case Op::Kind::remove: folders_[parent(op.path)].pending.push_back(&op); break;
      case Op::Kind::sync_folder: {
        Folder& folder = folders_[op.path];
        for (const Op* entry : folder.pending) apply(folder.durable, *entry);
        folder.pending.clear();
        break;
      }
      case Op::Kind::write:
      case Op::Kind::cut: files_[op.file].pending.push_back(&op); break;
      case Op::Kind::sync: {
        File& file = files_[op.file];
        for (const Op* done : file.pending) {
          if (done->kind == Op::Kind::cut)
            file.durable.resize(done->offset, '\0');
          else
            apply(file.durable, done->offset, done->bytes);
        }
        file.pending.clear();
        break;
      }
      case Op::Kind::lose: files_[op.file].pending.clear(); break;
    }
  }
}

std::string Disk::draw(const File& file, bool is_wal, Image& image, SplitMix& random) const {
  std::string content = file.durable;
  if (file.pending.empty()) return content;
  const Fate fate = draw_fate(random);
  const std::size_t count = file.pending.size(), chosen = random.below(count);
  for (std::size_t i = 0; i < count; ++i) {
    const Op& op = *file.pending[i];
    bool kept = true;
    switch (fate) {
      case Fate::none: kept = false; break;
      case Fate::all: break;
      case Fate::first: kept = i <= chosen; break;
      case Fate::some: kept = random.chance(0.5); break;
      case Fate::all_but_one: kept = i != chosen; break;
      case Fate::torn: kept = i != chosen; break;
    }
    if (op.kind == Op::Kind::cut) {
      if (kept) content.resize(op.offset, '\0');
      continue;
    }
    if (kept) {
      apply(content, op.offset, op.bytes);
      continue;
    }
    bool any = false;
    if (fate == Fate::torn) {
      const std::string_view bytes = op.bytes;
      for (std::uint64_t at = 0; at < bytes.size();) {
        const std::uint64_t size = std::min<std::uint64_t>(sector - (op.offset + at) % sector, bytes.size() - at);
        if (random.chance(0.5)) {
          apply(content, op.offset + at, bytes.substr(at, size));
          any = true;
        }
        at += size;
      }
    }
    if (is_wal) (any ? image.wal_torn : image.wal_missing) = true;
  }
  return content;
}

// Never synced: what was in it last, or some time before, or nothing.
std::string Disk::draw_index(const std::vector<std::pair<std::size_t, std::string>>& contents, SplitMix& random) const {
  const auto behind = std::ranges::upper_bound(contents, length_, {}, [](const auto& one) { return one.first; });
  if (behind == contents.begin()) return "";
  const std::string& newest = std::prev(behind)->second;
  switch (random.below(4)) {
    case 0: return "";
    case 1: return std::string(newest.size(), '\0');
    case 2: return contents[random.below(static_cast<std::uint64_t>(behind - contents.begin()))].second;
    default: return newest;
  }
}

Image Disk::draw(SplitMix& random) const {
  Image image;
  // Folders before what is in them: their paths are in order.
  std::set<std::string> there{""};
  for (const auto& [path, folder] : folders_) {
    if (!there.contains(path)) continue;
    auto entries = folder.durable;
    const std::size_t kept = random.below(folder.pending.size() + 1);
    for (std::size_t i = 0; i < kept; ++i) apply(entries, *folder.pending[i]);
    for (const auto& [name, file] : entries) {
      if (file < 0) {
        there.insert(name);
        image.folders.insert(name);
        continue;
      }
      if (const auto index = tape_.index.find(file); index != tape_.index.end()) {
        image.files[name] = draw_index(index->second, random);
        continue;
      }
      const auto found = files_.find(file);
      const bool is_wal = name.ends_with("-wal");
      image.files[name] = found == files_.end() ? "" : draw(found->second, is_wal, image, random);
    }
  }
  return image;
}

void write_image(const Image& image, const std::string& folder) {
  for (const std::string& path : image.folders) std::filesystem::create_directory(folder + '/' + path);
  for (const auto& [path, content] : image.files)
    std::ofstream(folder + '/' + path, std::ios::binary)
        .write(content.data(), static_cast<std::streamsize>(content.size()));
}

}  // namespace pawl::power
