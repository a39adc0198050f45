// Arbitrary bytes as directory messages, a blob of attributes and questions. The store gives whatever the bytes say for
// whatever digest: nothing may be believed but what the layer checks itself.
//
//     flags 1: bit 0 attributes, bit 1 the doubled size for the root, bit 2 the root's size follows (8)
//     count 1, then so many messages, each with its size before it (2); with attributes one more piece, the blob
//     questions: kind 1, id 3, and what the kind needs
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "store/blobs/memory.h"
#include "store/castore/attributes.h"
#include "vfs/file_system.h"
#include "vfs/layer/castore/castore_layer.h"
#include "vfs/string_sink.h"

namespace {

using namespace strata;
using namespace strata::vfs;

void Require(bool condition) {
  if (!condition) std::abort();
}

class Pieces final : public store::DirectoryService {
 public:
  void Add(ByteSpan message) {
    auto parsed = store::Directory::Parse(message);
    if (parsed) directories_.push_back(std::move(*parsed));
  }
  bool empty() const { return directories_.empty(); }
  const store::Directory& first() const { return directories_.front(); }
  Result<std::optional<store::Directory>> Get(const Waiting&, const store::Digest& digest) override {
    for (const store::Directory& directory : directories_) {
      if (directory.digest() == digest) return directory;
    }
    const std::size_t index = static_cast<std::uint8_t>(digest.bytes[0]);
    if (index >= directories_.size()) return std::nullopt;
    return directories_[index];
  }
  std::string Describe() const override { return "fuzz:"; }

 private:
  std::vector<store::Directory> directories_;
};

// The bytes as a blob of attributes whose header agrees with them, as far as it can.
std::vector<std::byte> WithHeader(ByteSpan rest, const store::Digest& root) {
  using namespace store::attributes_format;
  ByteReader in(rest);
  Header header{.root = root};
  header.nodes = in.Read<std::uint16_t>();
  header.extras = in.Read<std::uint8_t>();
  header.specials = in.Read<std::uint8_t>();
  const std::uint64_t rows =
      header.nodes * kRecordBytes + header.extras * kExtraBytes + header.specials * kSpecialBytes;
  const ByteSpan body = in.ReadBytes(in.remaining());
  header.strings = body.size() - std::min<std::uint64_t>(body.size(), rows);
  const auto head = EncodeHeader(header);
  std::vector<std::byte> blob(head.begin(), head.end());
  blob.insert(blob.end(), body.begin(), body.end());
  blob.resize(std::max<std::size_t>(blob.size(), kHeaderBytes + rows));
  return blob;
}

void Ask(Layer& layer, ByteReader& in, bool plain) {
  const auto kind = in.Read<std::uint8_t>();
  std::uint64_t id = in.Read<std::uint16_t>();
  id |= std::uint64_t{in.Read<std::uint8_t>()} << (kind % 2 == 0 ? 16 : 47);
  const LayerNode node{id, in.Read<std::uint8_t>()};
  StringSink sink;
  const auto stat = layer.Stat(kBackground, node);
  if (stat) Require(stat->node.id != 0 && (!plain || stat->node.id == id));
  switch (kind / 2 % 5) {
    case 0: {
      const auto path = layer.PathOf(kBackground, node);
      if (!path || !stat) break;
      // It leads there again.
      auto found = layer.Stat(kBackground, layer.Root());
      for (std::string_view rest = *path; found && !rest.empty();) {
        const std::string_view name = rest.substr(0, rest.find('/'));
        rest.remove_prefix(std::min(rest.size(), name.size() + 1));
        found = layer.Lookup(kBackground, found->node, name);
      }
      if (found && plain) Require(found->node == stat->node && found->attributes == stat->attributes);
      break;
    }
    case 1: {
      std::uint64_t before = id;
      (void)layer.ReadDirectory(kBackground, node, [&](const LayerEntry& entry) {
        Require(!entry.name.empty() && entry.node.id != 0);
        if (plain) Require(entry.node.id > before);
        before = entry.node.id;
        return true;
      });
      break;
    }
    case 2: {
      const auto offset = in.Read<std::uint64_t>();
      const auto length = in.Read<std::uint16_t>();
      const auto got = layer.Read(kBackground, node, offset, length, nullptr, sink);
      Require(got.value_or(0) == sink.data.size() && sink.data.size() <= length);
      break;
    }
    case 3: {
      const auto size = in.Read<std::uint8_t>();
      (void)layer.Lookup(kBackground, node, AsText(in.ReadBytes(size)));
      (void)layer.ReadLink(kBackground, node);
      break;
    }
    default: {
      const auto names = layer.ListXattr(kBackground, node);
      if (names && !names->empty()) Require(layer.GetXattr(kBackground, node, names->front()).has_value());
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  log::SetLevel(log::Level::kOff);
  ByteReader in(std::as_bytes(std::span(data, size)));
  const auto flags = in.Read<std::uint8_t>();
  const auto root_size = (flags & 4) != 0 ? in.Read<std::uint64_t>() : 0;
  const auto directories = std::make_shared<Pieces>();
  const auto blobs = std::make_shared<store::MemoryBlobService>();
  for (const auto content : {std::string_view(), std::string_view("content")}) (void)blobs->Put(AsBytes(content));
  for (int count = in.Read<std::uint8_t>(); count > 0 && in.ok(); --count) {
    const auto length = in.Read<std::uint16_t>();
    directories->Add(in.ReadBytes(length));
  }
  std::optional<store::Digest> attributes;
  if (directories->empty()) return 0;
  const store::Directory& first = directories->first();
  if ((flags & 1) != 0) {
    const auto length = in.Read<std::uint16_t>();
    attributes = *blobs->Put(WithHeader(in.ReadBytes(length), first.digest()));
  }
  const auto rule = (flags & 2) != 0 ? store::SizeRule::kDoubled : store::SizeRule::kDocumented;
  const auto root = store::Node::OfDirectory(first.digest(), (flags & 4) != 0 ? root_size : first.Size(rule));
  auto layer = OpenCastoreLayer(blobs, directories, root, attributes, {.memory_bytes = flags * std::size_t{64}});
  if (!layer) return 0;
  while (in.ok() && in.remaining() > 0) Ask(**layer, in, !attributes);
  return 0;
}
