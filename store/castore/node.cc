#include "store/castore/node.h"

#include <algorithm>
#include <optional>

#include "store/castore/names.h"
#include "store/castore/node_codec.h"

namespace strata::store {
namespace {

struct ReadNode {
  NodeKind kind;
  NodeBody body;
};

// The last of several kinds counts; of one kind, fields that come later.
Result<ReadNode> DecodeNode(ByteSpan message) {
  std::optional<ReadNode> node;
  WireReader reader(message);
  while (reader.Next()) {
    if (reader.field() > FieldOf(NodeKind::kSymlink)) {
      reader.Skip();
      continue;
    }
    const auto kind = static_cast<NodeKind>(reader.field() - 1);
    const ByteSpan bytes = reader.TakeBytes();
    if (!node || node->kind != kind) node = ReadNode{kind, {}};
    if (!reader.ok() || !DecodeNodeBody(kind, bytes, node->body)) {
      return Fail(Errc::kInvalid, "not a Node message");
    }
  }
  if (!reader.ok()) return Fail(Errc::kInvalid, "not a Node message");
  if (!node) return Fail(Errc::kInvalid, "a Node message of nothing: NoNodeSet");
  if (const std::string fault = NodeBodyFault(node->kind, node->body); !fault.empty()) {
    return Fail(Errc::kInvalid, InvalidNodeText(node->body.name, fault));
  }
  return *node;
}

}  // namespace

Node Node::OfDirectory(const Digest& digest, std::uint64_t size) {
  return {.kind = NodeKind::kDirectory, .digest = digest, .size = size, .executable = false, .target = {}};
}

Node Node::OfFile(const Digest& digest, std::uint64_t size, bool executable) {
  return {.kind = NodeKind::kFile, .digest = digest, .size = size, .executable = executable, .target = {}};
}

Node Node::OfSymlink(std::string target) {
  const std::uint64_t size = target.size();
  return {.kind = NodeKind::kSymlink, .digest = {}, .size = size, .executable = false, .target = std::move(target)};
}

std::vector<std::byte> EncodeNode(const Node& node) { return EncodeNamedNode({}, node); }

Result<Node> ParseNode(ByteSpan message) {
  STRATA_ASSIGN(const ReadNode node, DecodeNode(message));
  if (!node.body.name.empty()) {
    return Fail(Errc::kInvalid, "a root's node bears the name " + QuoteName(node.body.name) + ": NameInAnonymousNode");
  }
  return NodeOfBody(node.kind, node.body);
}

std::vector<std::byte> EncodeNamedNode(std::string_view name, const Node& node) {
  const NodeBody body = BodyOfNode(name, node);
  const std::size_t size = NodeBodySize(node.kind, body);
  std::vector<std::byte> message(WireBytesSize(size));
  WireWriter writer(message.data());
  writer.Begin(FieldOf(node.kind), size);
  WriteNodeBody(writer, node.kind, body);
  return message;
}

Result<std::pair<std::string, Node>> ParseNamedNode(ByteSpan message) {
  STRATA_ASSIGN(const ReadNode node, DecodeNode(message));
  if (const auto fault = NodeNameFault(node.body.name); !fault.empty()) {
    return Fail(Errc::kInvalid, InvalidNameText(node.body.name, fault));
  }
  return std::pair(std::string(node.body.name), NodeOfBody(node.kind, node.body));
}

bool DecodeNodeBody(NodeKind kind, ByteSpan message, NodeBody& body) {
  WireReader reader(message);
  while (reader.Next()) {
    const std::uint32_t field = reader.field();
    if (field == kNameField) {
      body.name = AsText(reader.TakeBytes());
    } else if (field == kDigestField) {
      body.value = reader.TakeBytes();
    } else if (field == kSizeField && kind != NodeKind::kSymlink) {
      body.size = reader.TakeVarint();
    } else if (field == kExecutableField && kind == NodeKind::kFile) {
      body.executable = reader.TakeVarint() != 0;
    } else {
      reader.Skip();
    }
  }
  return reader.ok();
}

std::string NodeBodyFault(NodeKind kind, const NodeBody& body) {
  if (kind != NodeKind::kSymlink) {
    if (body.value.size() == Digest::kSize) return {};
    return "InvalidDigestLen(" + std::to_string(body.value.size()) + ")";
  }
  const std::string_view fault = SymlinkTargetFault(AsText(body.value));
  return fault.empty() ? std::string() : "InvalidSymlinkTarget(" + std::string(fault) + ")";
}

std::string InvalidNodeText(std::string_view name, const std::string& fault) {
  return "the node " + QuoteName(name) + " is refused: InvalidNode(" + fault + ")";
}

std::string InvalidNameText(std::string_view name, std::string_view fault) {
  return "the name " + QuoteName(name) + " is refused: InvalidName(" + std::string(fault) + ")";
}

Node NodeOfBody(NodeKind kind, const NodeBody& body) {
  if (kind == NodeKind::kSymlink) return Node::OfSymlink(std::string(AsText(body.value)));
  Digest digest;
  std::ranges::copy(body.value, digest.bytes.begin());
  return {.kind = kind, .digest = digest, .size = body.size, .executable = body.executable, .target = {}};
}

NodeBody BodyOfNode(std::string_view name, const Node& node) {
  if (node.kind == NodeKind::kSymlink) return {name, AsBytes(node.target), 0, false};
  return {name, node.digest.bytes, node.size, node.kind == NodeKind::kFile && node.executable};
}

std::size_t NodeBodySize(NodeKind kind, const NodeBody& body) {
  std::size_t size = body.name.empty() ? 0 : WireBytesSize(body.name.size());
  if (!body.value.empty()) size += WireBytesSize(body.value.size());
  if (kind != NodeKind::kSymlink) size += WireNumberSize(body.size);
  if (kind == NodeKind::kFile) size += WireNumberSize(body.executable ? 1 : 0);
  return size;
}

void WriteNodeBody(WireWriter& writer, NodeKind kind, const NodeBody& body) {
  if (!body.name.empty()) writer.Bytes(kNameField, AsBytes(body.name));
  if (!body.value.empty()) writer.Bytes(kDigestField, body.value);
  if (kind != NodeKind::kSymlink) writer.Number(kSizeField, body.size);
  if (kind == NodeKind::kFile) writer.Number(kExecutableField, body.executable ? 1 : 0);
}

}  // namespace strata::store
