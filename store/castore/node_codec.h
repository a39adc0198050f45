// One entry of a Directory message, or what a Node message holds: DirectoryNode, FileNode or SymlinkNode.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "store/castore/node.h"
#include "store/wire.h"

namespace strata::store {

// Their fields. Those of a Directory and of a Node, one for each kind, have the numbers 1 to 3.
inline constexpr std::uint32_t kNameField = 1, kDigestField = 2, kTargetField = 2, kSizeField = 3, kExecutableField = 4;
inline constexpr std::uint32_t FieldOf(NodeKind kind) { return static_cast<std::uint32_t>(kind) + 1; }

// As it lies in a message, unchecked.
struct NodeBody {
  std::string_view name;
  ByteSpan value;  // the digest, whatever its length; of a symlink the target
  std::uint64_t size = 0;
  bool executable = false;
};

// Reads the fields of `message` over those of `body`. Whether it is a message.
bool DecodeNodeBody(NodeKind kind, ByteSpan message, NodeBody& body);

// What is wrong with it apart from its name, such as "InvalidDigestLen(31)" (CA-4, CA-5); empty where all is well.
std::string NodeBodyFault(NodeKind kind, const NodeBody& body);
// The two refusals of an entry with its name (CA-9).
std::string InvalidNodeText(std::string_view name, const std::string& fault);
std::string InvalidNameText(std::string_view name, std::string_view fault);

// Of a body that has no fault.
Node NodeOfBody(NodeKind kind, const NodeBody& body);
// `node` must live as long as the body.
NodeBody BodyOfNode(std::string_view name, const Node& node);

std::size_t NodeBodySize(NodeKind kind, const NodeBody& body);
// Writes NodeBodySize bytes in the canonical form.
void WriteNodeBody(WireWriter& writer, NodeKind kind, const NodeBody& body);

}  // namespace strata::store
