// What the tests of layers share: a folder that goes away, trees written into it, and walks.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "vfs/layer.h"
#include "vfs/layer/host_layer.h"
#include "vfs/layer/memory_layer.h"
#include "vfs/string_sink.h"

namespace strata::vfs {

class TempFolder {
 public:
  // In the folder for tests, or in `base`, which exists.
  explicit TempFolder(const std::string& base = {});
  ~TempFolder();
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  const std::string& path() const { return path_; }
  std::string operator/(std::string_view name) const { return path_ + '/' + std::string(name); }

 private:
  std::string path_;
};

// Writes what `entries` say into the host folder, whiteouts and opaque directories as marker files. Devices are left
// out, and extended attributes.
void WriteTree(const std::string& folder, const std::vector<MemoryEntry>& entries);
void WriteFile(const std::string& path, std::string_view content);

std::unique_ptr<Layer> OpenFolder(const std::string& folder, const HostLayerOptions& options = {});

// Each node by its path, root "" included, whiteouts not; fails the test where a listing and a lookup disagree.
std::map<std::string, LayerStat> WalkLayer(Layer& layer);
Result<LayerStat> FindInLayer(Layer& layer, std::string_view path);
Result<std::string> ReadFromLayer(Layer& layer, const LayerNode& node, std::uint64_t offset, std::size_t size);
// What Layer::Read returns; fails the test where the sink got something else.
Result<std::size_t> SizeOfRead(Layer& layer, const LayerNode& node, std::uint64_t offset, std::size_t size,
                               bool may_block, const LayerVersion* expected);

}  // namespace strata::vfs
