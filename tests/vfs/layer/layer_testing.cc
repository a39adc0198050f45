#include "tests/vfs/layer/layer_testing.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <span>

namespace strata::vfs {

TempFolder::TempFolder(const std::string& base) {
  std::string pattern = (base.empty() ? ::testing::TempDir() : base + '/') + "strata-layer-XXXXXX";
  path_ = mkdtemp(pattern.data()) != nullptr ? pattern : "";
  EXPECT_NE(path_, "") << strerror(errno);
}

TempFolder::~TempFolder() {
  std::error_code error;
  if (!path_.empty()) std::filesystem::remove_all(path_, error);
}

void WriteFile(const std::string& path, std::string_view content) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  ASSERT_GE(fd, 0) << path << ": " << strerror(errno);
  ASSERT_EQ(write(fd, content.data(), content.size()), static_cast<ssize_t>(content.size()));
  close(fd);
}

void WriteTree(const std::string& folder, const std::vector<MemoryEntry>& entries) {
  for (const MemoryEntry& entry : entries) {
    const std::string path = entry.path.empty() ? folder : folder + '/' + entry.path;
    const std::size_t slash = path.rfind('/');
    std::filesystem::create_directories(path.substr(0, slash));
    if (entry.whiteout) {
      WriteFile(path.substr(0, slash) + "/.wh." + path.substr(slash + 1), "");
    } else if (!entry.link_to.empty()) {
      ASSERT_EQ(link((folder + '/' + entry.link_to).c_str(), path.c_str()), 0) << strerror(errno);
    } else if (entry.type == FileType::kRegular) {
      WriteFile(path, entry.content);
    } else if (entry.type == FileType::kDirectory) {
      std::filesystem::create_directories(path);
      if (entry.opaque) WriteFile(path + "/.wh..wh..opq", "");
    } else if (entry.type == FileType::kSymlink) {
      ASSERT_EQ(symlink(entry.content.c_str(), path.c_str()), 0) << strerror(errno);
    } else if (entry.type == FileType::kFifo) {
      ASSERT_EQ(mkfifo(path.c_str(), 0600), 0) << strerror(errno);
    }
    if (!entry.whiteout && entry.link_to.empty() && entry.type != FileType::kSymlink) {
      ASSERT_EQ(chmod(path.c_str(), entry.mode), 0) << strerror(errno);
    }
  }
}

std::unique_ptr<Layer> OpenFolder(const std::string& folder, const HostLayerOptions& options) {
  auto layer = OpenHostLayer(folder, options);
  EXPECT_TRUE(layer) << (layer ? "" : layer.error().ToString());
  return layer ? std::move(*layer) : nullptr;
}

std::map<std::string, LayerStat> WalkLayer(Layer& layer) {
  std::map<std::string, LayerStat> nodes;
  auto root = layer.Stat(kBackground, layer.Root());
  EXPECT_TRUE(root);
  if (!root) return nodes;
  nodes.emplace("", *root);
  std::vector<std::pair<std::string, LayerNode>> pending{{"", root->node}};
  while (!pending.empty()) {
    const auto [path, directory] = pending.back();
    pending.pop_back();
    struct Seen {
      std::string name;
      LayerEntry entry;
    };
    std::vector<Seen> seen;
    auto read = layer.ReadDirectory(kBackground, directory, [&](const LayerEntry& entry) {
      seen.push_back({std::string(entry.name), entry});
      return true;
    });
    EXPECT_TRUE(read) << path << ": " << (read ? "" : read.error().ToString());
    for (const auto& [name, entry] : seen) {
      auto found = layer.Lookup(kBackground, directory, name);
      EXPECT_TRUE(found) << path << '/' << name;
      if (!found || (entry.whiteout && !found->whiteout)) continue;
      EXPECT_EQ(found->node.id, entry.node.id) << path << '/' << name;
      EXPECT_EQ(found->whiteout, entry.whiteout);
      if (entry.whiteout) continue;
      EXPECT_EQ(found->attributes.type, entry.type) << path << '/' << name;
      const std::string whole = path.empty() ? name : path + '/' + name;
      EXPECT_TRUE(nodes.emplace(whole, *found).second) << "listed twice: " << whole;
      if (entry.type == FileType::kDirectory) pending.emplace_back(whole, found->node);
    }
  }
  return nodes;
}

Result<LayerStat> FindInLayer(Layer& layer, std::string_view path) {
  auto found = layer.Stat(kBackground, layer.Root());
  while (found && !path.empty()) {
    const std::string_view name = path.substr(0, path.find('/'));
    path.remove_prefix(std::min(path.size(), name.size() + 1));
    found = layer.Lookup(kBackground, found->node, name);
  }
  return found;
}

Result<std::string> ReadFromLayer(Layer& layer, const LayerNode& node, std::uint64_t offset, std::size_t size) {
  StringSink sink;
  STRATA_TRY(layer.Read(kBackground, node, offset, size, nullptr, sink));
  return sink.data;
}

Result<std::size_t> SizeOfRead(Layer& layer, const LayerNode& node, std::uint64_t offset, std::size_t size,
                               bool may_block, const LayerVersion* expected) {
  StringSink sink;
  auto got = layer.Read({.credentials = {}, .may_block = may_block}, node, offset, size, expected, sink);
  EXPECT_EQ(sink.data.size(), got.value_or(0)) << "what the sink got is what it says";
  return got;
}

}  // namespace strata::vfs
