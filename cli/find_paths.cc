#include "cli/find_paths.h"

#include <deque>
#include <utility>
#include <vector>

#include "cli/command.h"

namespace strata::cli {
namespace {

using Clock = std::chrono::steady_clock;

struct FoundEntry {
  std::string name;
  vfs::ObjectId id;
  bool directory = false;
};

class PathSink final : public vfs::DirectorySink {
 public:
  explicit PathSink(Clock::time_point deadline) : deadline_(deadline) {}
  bool Add(const vfs::DirectoryEntry& entry) override {
    if (entry.name == "." || entry.name == "..") return true;
    found.push_back({std::string(entry.name), entry.id,
                     entry.attributes != nullptr && entry.attributes->type == FileType::kDirectory});
    return Clock::now() < deadline_;
  }
  std::size_t Mark() override { return found.size(); }
  void Rewind(std::size_t mark) override { found.resize(mark); }

  std::vector<FoundEntry> found;

 private:
  const Clock::time_point deadline_;
};

}  // namespace

std::map<InodeNumber, std::string> FindPaths(vfs::FileSystem& volume, std::set<InodeNumber> wanted,
                                             std::chrono::milliseconds limit) {
  const Clock::time_point deadline = Clock::now() + limit;
  std::map<InodeNumber, std::string> paths;
  if (wanted.erase(volume.Root().ino) != 0) paths[volume.Root().ino] = "/";
  std::deque<std::pair<std::string, vfs::ObjectId>> directories{{"", volume.Root()}};
  for (; !directories.empty() && !wanted.empty() && Clock::now() < deadline; directories.pop_front()) {
    const auto& [path, id] = directories.front();
    PathSink sink(deadline);
    // One that cannot be read hides what lies in it; the others are looked at all the same.
    if (!volume.ReadDirectory(LocalContext(), id, Cookie(0), true, sink)) continue;
    for (const FoundEntry& entry : sink.found) {
      std::string entry_path = path + "/" + entry.name;
      if (wanted.erase(entry.id.ino) != 0) paths[entry.id.ino] = entry_path;
      if (entry.directory) directories.emplace_back(std::move(entry_path), entry.id);
    }
  }
  return paths;
}

}  // namespace strata::cli
