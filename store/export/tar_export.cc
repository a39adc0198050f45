// ExportToTar.
#include <chrono>

#include "store/castore/names.h"
#include "store/export/export.h"
#include "store/export/export_progress.h"
#include "store/export/tar_writer.h"
#include "store/export/tree_walk.h"

namespace strata::store {
namespace {

// CA-51
constexpr std::uint32_t kPlainMode = 0444, kExecutableMode = 0555;

class TarExport final : public TreeVisitor {
 public:
  TarExport(const ExportSource& source, const std::string& name, const std::function<Result<void>(ByteSpan)>& write,
            const ExportOptions& options)
      : source_(source), name_(name), options_(options), writer_(write), progress_(options, source.root) {}

  Result<void> Enter(const WalkedEntry& directory) override {
    ++report_.directories;
    progress_.Node();
    return writer_.Begin(TarFlag::kDirectory, PathOf(directory.path) + "/", {}, 0, AttributesOf(directory));
  }
  Result<void> Leave(const WalkedEntry&) override { return {}; }

  Result<void> Visit(const WalkedEntry& entry) override {
    const std::string path = PathOf(entry.path);
    const NodeAttributes attributes = AttributesOf(entry);
    if (entry.special != nullptr) return Special(entry, path, attributes);
    progress_.Node();
    if (!entry.link_to.empty()) {
      ++report_.hard_links;
      return writer_.Begin(TarFlag::kHardLink, path, PathOf(entry.link_to), 0, attributes);
    }
    if (entry.node.kind == NodeKind::kSymlink) {
      ++report_.symlinks;
      return writer_.Begin(TarFlag::kSymlink, path, entry.node.target, 0, attributes);
    }
    ++report_.files;
    report_.bytes += entry.node.size;
    STRATA_TRY(writer_.Begin(TarFlag::kFile, path, {}, entry.node.size, attributes));
    return ReadFile(source_, entry, [&](ByteSpan piece) {
      progress_.Bytes(piece.size());
      return writer_.Data(piece);
    });
  }

  Result<ExportReport> Run() {
    STRATA_TRY(WalkTree(source_, *this));
    STRATA_TRY(writer_.Finish());
    return std::move(report_);
  }

 private:
  std::string PathOf(std::string_view path) const { return path.empty() ? name_ : name_ + '/' + std::string(path); }

  static NodeAttributes AttributesOf(const WalkedEntry& entry) {
    if (entry.attributes) return *entry.attributes;
    NodeAttributes attributes;
    attributes.mode = entry.node.kind == NodeKind::kDirectory || entry.node.executable ? kExecutableMode : kPlainMode;
    return attributes;
  }

  Result<void> Special(const WalkedEntry& entry, const std::string& path, const NodeAttributes& attributes) {
    switch (entry.special->type) {
      case FileType::kCharacterDevice:
        ++report_.specials;
        return writer_.Begin(TarFlag::kCharacterDevice, path, {}, 0, attributes, entry.special->device);
      case FileType::kBlockDevice:
        ++report_.specials;
        return writer_.Begin(TarFlag::kBlockDevice, path, {}, 0, attributes, entry.special->device);
      case FileType::kFifo:
        ++report_.specials;
        return writer_.Begin(TarFlag::kFifo, path, {}, 0, attributes);
      default:
        break;
    }
    if (!options_.skip_unsupported) {
      return Fail(Errc::kNotSupported, "a tar archive cannot hold the socket " + QuoteName(entry.path) +
                                           "; to leave it out: --skip-unsupported");
    }
    ++report_.skipped;
    if (report_.skipped_names.size() < ExportReport::kMostNames) report_.skipped_names.emplace_back(entry.path);
    return {};
  }

  const ExportSource& source_;
  const std::string name_;
  const ExportOptions& options_;
  TarWriter writer_;
  ExportReport report_;
  ProgressOfExport progress_;
};

}  // namespace

Result<ExportReport> ExportToTar(const ExportSource& source, const std::string& name,
                                 const std::function<Result<void>(ByteSpan)>& write, const ExportOptions& options) {
  return TarExport(source, name, write, options).Run();
}

}  // namespace strata::store
