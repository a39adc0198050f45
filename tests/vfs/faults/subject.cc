#include "tests/vfs/faults/subject.h"

#include <spdlog/spdlog.h>

#include <functional>
#include <sstream>

namespace strata::vfs::testing {

void IndexCopy::Take(const FaultySubject& subject) {
  files_.clear();
  for (const char* suffix : {"", "-wal"}) {
    std::ifstream in(subject.index() + suffix, std::ios::binary);
    if (in) files_[suffix] = {std::istreambuf_iterator<char>(in), {}};
  }
}

void IndexCopy::Restore(const FaultySubject& subject) const {
  for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(subject.index() + suffix);
  for (const auto& [suffix, content] : files_) {
    std::ofstream(subject.index() + suffix, std::ios::binary) << content;
  }
}

void SilenceLog() { spdlog::set_level(spdlog::level::off); }

std::string TreeImage(FileSystemHolder& holder, bool exact) {
  Client client(holder);
  std::map<std::uint64_t, std::string> first_name;  // of what has several links
  std::ostringstream image;
  std::function<void(const std::string&, const Entry&)> visit = [&](const std::string& path, const Entry& entry) {
    const Attributes& a = entry.attributes;
    image << (path.empty() ? "/" : path) << " type " << static_cast<int>(a.type) << " mode " << std::oct << a.mode
          << std::dec << " of " << a.uid << ':' << a.gid << " links " << a.nlink;
    if (a.type == FileType::kRegular) image << " size " << a.size;
    if (exact) {
      image << " ino " << a.ino.value << " generation " << entry.id.generation.value << " atime " << a.atime.ns
            << " mtime " << a.mtime.ns << " ctime " << a.ctime.ns;
    }
    if (a.type != FileType::kDirectory && a.nlink > 1) {
      const auto [at, first] = first_name.try_emplace(a.ino.value, path);
      if (!first) image << " same as " << at->second;
    }
    if (a.type == FileType::kRegular) {
      auto data = client.ReadAll(entry.id);
      EXPECT_OK(data) << path;
      if (data) {
        EXPECT_EQ(data->size(), a.size) << path;
        image << " data " << std::hash<std::string>()(*data);
      }
    }
    if (a.type == FileType::kSymlink) image << " to " << client.ReadLink(entry.id).value_or("?");
    image << '\n';
    if (a.type != FileType::kDirectory) return;
    auto listed = client.ListAll(entry.id);
    EXPECT_OK(listed) << path;
    if (!listed) return;
    std::map<std::string, Listed> names;
    for (const Listed& one : *listed) names[one.name] = one;
    std::uint32_t directories = 0;
    for (const auto& [name, one] : names) {
      if (name == "." || name == "..") continue;
      auto found = client.Lookup(entry.id, name);
      EXPECT_OK(found) << path << '/' << name << " is listed";
      if (!found) continue;
      EXPECT_TRUE(found->id == one.id) << path << '/' << name;
      EXPECT_EQ(found->attributes.nlink, one.attributes->nlink) << path << '/' << name;
      directories += found->attributes.type == FileType::kDirectory;
      visit(path + "/" + name, *found);
    }
    EXPECT_EQ(a.nlink, directories + 2) << path << ": a directory's links are its sub-directories and two";
  };
  auto root = client.Walk("");
  EXPECT_OK(root);
  if (root) visit("", *root);
  return image.str();
}

}  // namespace strata::vfs::testing
