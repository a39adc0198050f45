#include "store/castore/root_message.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/hash.h"
#include "store/wire.h"

namespace strata::store {
namespace {

enum RootField : std::uint32_t { kNodeField = 1, kAttributesField = 2, kSetField = 3, kCheckField = 4 };

// Tag, length, CRC-32C of all before them.
constexpr std::size_t kCheckBytes = 2 + sizeof(std::uint32_t);

std::unexpected<Status> NoRoot(const char* why) {
  return Fail(Errc::kInvalid, std::string("the message of a root: ") + why);
}

}  // namespace

std::vector<std::byte> EncodeRoot(const Root& root) {
  const std::vector<std::byte> node = EncodeNode(root.node);
  const auto set = static_cast<std::uint64_t>(root.set.ns);
  const std::size_t size =
      WireBytesSize(node.size()) + (root.attributes ? WireBytesSize(Digest::kSize) : 0) + WireNumberSize(set);
  std::vector<std::byte> message(size + kCheckBytes);
  WireWriter writer(message.data());
  writer.Bytes(kNodeField, node);
  if (root.attributes) writer.Bytes(kAttributesField, root.attributes->bytes);
  writer.Number(kSetField, set);
  std::array<std::byte, sizeof(std::uint32_t)> check{};
  StoreLe(check.data(), Crc32c(ByteSpan(message).first(size)));
  writer.Bytes(kCheckField, check);
  return message;
}

Result<Root> ParseRoot(ByteSpan message) {
  if (message.size() < kCheckBytes || message.size() > kMaxRootBytes ||
      message[message.size() - kCheckBytes] != std::byte{kCheckField << 3 | 2} ||
      message[message.size() - kCheckBytes + 1] != std::byte{sizeof(std::uint32_t)} ||
      LoadLe<std::uint32_t>(message.data() + message.size() - sizeof(std::uint32_t)) !=
          Crc32c(message.first(message.size() - kCheckBytes))) {
    return Fail(Errc::kCorrupt, "the message of a root does not check");
  }
  Root root;
  std::optional<ByteSpan> node;
  WireReader reader(message.first(message.size() - kCheckBytes));
  while (reader.Next()) {
    switch (reader.field()) {
      case kNodeField:
        node = reader.TakeBytes();
        break;
      case kAttributesField: {
        STRATA_ASSIGN(root.attributes, Digest::FromBytes(reader.TakeBytes()));
        break;
      }
      case kSetField:
        root.set.ns = static_cast<std::int64_t>(reader.TakeVarint());
        break;
      default:
        // What a newer program adds, this one must understand before it believes the rest.
        return NoRoot("it has a field that this program does not know; use a newer one");
    }
  }
  if (!reader.ok()) return NoRoot("its fields do not parse");
  if (!node) return NoRoot("it has no node");
  STRATA_ASSIGN(root.node, ParseNode(*node));
  return root;
}

}  // namespace strata::store
