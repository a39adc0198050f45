#include "tests/store/import/import_testing.h"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iterator>

namespace strata::store {
namespace {

class TestReader final : public BlobReader {
 public:
  explicit TestReader(std::shared_ptr<const std::string> content) : content_(std::move(content)) {}
  std::uint64_t size() const override { return content_->size(); }
  Result<std::size_t> ReadAt(const Waiting&, std::uint64_t offset, MutableByteSpan out) override {
    if (offset >= content_->size()) return 0;
    const std::size_t size = std::min<std::size_t>(out.size(), content_->size() - offset);
    std::copy_n(AsBytes(*content_).begin() + static_cast<std::ptrdiff_t>(offset), size, out.begin());
    return size;
  }

 private:
  const std::shared_ptr<const std::string> content_;
};

class TestWriter final : public BlobWriter {
 public:
  explicit TestWriter(TestBlobs& blobs) : blobs_(blobs) {}
  Result<void> Write(ByteSpan bytes) override {
    content_ += AsText(bytes);
    return {};
  }
  Result<Digest> Close() override { return blobs_.Keep(std::move(content_)); }

 private:
  TestBlobs& blobs_;
  std::string content_;
};

std::string OctalField(std::uint64_t value, int digits) {
  char text[32];
  std::snprintf(text, sizeof text, "%0*llo", digits, static_cast<unsigned long long>(value));
  return text;
}

}  // namespace

Result<std::shared_ptr<BlobReader>> TestBlobs::Open(const Waiting&, const Digest& digest) {
  const MutexLock lock(mutex_);
  const auto found = blobs_.find(digest);
  if (found == blobs_.end()) return nullptr;
  return std::make_shared<TestReader>(found->second);
}

Result<std::unique_ptr<BlobWriter>> TestBlobs::Create() { return std::make_unique<TestWriter>(*this); }

Result<Digest> TestBlobs::Keep(std::string content) {
  if (fail_after == 0) return Fail(Errc::kNoSpace, "the test store is full");
  if (fail_after > 0) --fail_after;
  ++written;
  const Digest digest = Digest::Of(AsBytes(content));
  const MutexLock lock(mutex_);
  blobs_.try_emplace(digest, std::make_shared<const std::string>(std::move(content)));
  return digest;
}

std::string TestBlobs::Content(const Digest& digest) {
  const MutexLock lock(mutex_);
  const auto found = blobs_.find(digest);
  return found == blobs_.end() ? "" : *found->second;
}

void TestBlobs::Forget(const Digest& digest) {
  const MutexLock lock(mutex_);
  blobs_.erase(digest);
}

Result<ImportReport> TestStore::Import(const std::string& path, const ImportOptions& options) {
  return ImportPath(Env::System(), store(), path, options);
}

Result<ImportReport> TestStore::ImportBytes(std::string_view tar, const ImportOptions& options) {
  MemorySource source(AsBytes(tar));
  return ImportTar(Env::System(), store(), source, "test.tar", options);
}

std::vector<std::string> TestStore::List(const Node& root) {
  std::vector<std::string> lines;
  const std::function<void(const Node&, const std::string&)> walk = [&](const Node& node, const std::string& path) {
    if (node.kind == NodeKind::kFile) {
      lines.push_back("file " + Escaped(path) + " " + std::to_string(node.size) + (node.executable ? " x " : " ") +
                      node.digest.Hex());
    } else if (node.kind == NodeKind::kSymlink) {
      lines.push_back("link " + Escaped(path) + " -> " + Escaped(node.target));
    } else {
      if (!path.empty()) lines.push_back("dir " + Escaped(path) + "/");
      const auto directory = directories.Get(Waiting(), node.digest);
      if (!directory || !*directory) {
        lines.push_back("MISSING " + node.digest.Hex());
        return;
      }
      for (std::size_t i = 0; i < (*directory)->count(); ++i) {
        const Directory::Entry entry = (*directory)->At(i);
        walk(entry.node(), (path.empty() ? "" : path + "/") + std::string(entry.name));
      }
    }
  };
  walk(root, "");
  return lines;
}

std::string Escaped(std::string_view name) {
  std::string shown;
  for (const char c : name) {
    char text[5] = {c, 0};
    if (c <= ' ' || c > '~') std::snprintf(text, sizeof text, "\\x%02x", static_cast<unsigned char>(c));
    shown += text;
  }
  return shown;
}

std::string PaxRecord(std::string_view key, std::string_view value) {
  const std::string body = " " + std::string(key) + "=" + std::string(value) + "\n";
  std::size_t length = body.size() + 1;
  while (std::to_string(length).size() + body.size() != length) ++length;
  return std::to_string(length) + body;
}

std::string TarHeaderOf(const TarItem& item) {
  std::string block(512, '\0');
  const auto set = [&](std::size_t at, std::string_view text) { block.replace(at, text.size(), text); };
  set(0, std::string_view(item.path).substr(0, 100));
  set(100, OctalField(item.mode, 7));
  set(108, OctalField(item.uid, 7));
  set(116, OctalField(item.gid, 7));
  set(124, OctalField(item.size >= 0 ? static_cast<std::uint64_t>(item.size) : item.content.size(), 11));
  set(136, OctalField(item.mtime, 11));
  set(148, "        ");
  block[156] = item.type;
  set(157, std::string_view(item.link).substr(0, 100));
  set(257, item.magic);
  std::uint64_t sum = 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  set(148, OctalField(sum, 6) + std::string("\0 ", 2));
  return block;
}

std::string TarOf(const std::vector<TarItem>& items, bool end) {
  std::string tar;
  const auto add = [&](std::string_view content) {
    tar += content;
    tar.resize((tar.size() + 511) / 512 * 512);
  };
  for (const TarItem& item : items) {
    if (!item.pax.empty()) {
      std::string records;
      for (const auto& [key, value] : item.pax) records += PaxRecord(key, value);
      TarItem header;
      header.path = "PaxHeaders/x";
      header.type = 'x';
      header.content = records;
      add(TarHeaderOf(header));
      add(records);
    }
    add(TarHeaderOf(item));
    add(item.content);
  }
  if (end) tar.resize(tar.size() + 1024);
  return tar;
}

void WriteTestFile(const std::string& path, std::string_view content) {
  std::ofstream(path, std::ios::binary).write(content.data(), static_cast<std::streamsize>(content.size()));
}

std::string ReadTestFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace strata::store
