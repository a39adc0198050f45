#include "store/castore/directory.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <new>
#include <optional>

#include "store/castore/node_codec.h"
#include "store/wire.h"

namespace strata::store {
namespace {

static_assert(sizeof(Digest) == Digest::kSize && alignof(Digest) == 1, "an entry's digest is used where it lies");
static_assert(kMaxDirectoryBytes <= UINT32_MAX, "offsets have 32 bits");

constexpr std::array kKinds = {NodeKind::kDirectory, NodeKind::kFile, NodeKind::kSymlink};
constexpr std::size_t IndexOf(NodeKind kind) { return static_cast<std::size_t>(kind); }

std::unexpected<Status> RefuseMessage(std::string why) {
  return Fail(Errc::kInvalid, "a castore directory is refused: " + std::move(why));
}

// Of canonical bytes: there, a name's or a target's length has at most two bytes.
std::string_view CanonicalBytes(const std::byte* length) {
  auto size = std::to_integer<std::size_t>(*length++);
  if (size >= 0x80) size = (size & 0x7f) | std::to_integer<std::size_t>(*length++) << 7;
  return {reinterpret_cast<const char*>(length), size};
}
const std::byte* EndOf(std::string_view text) { return reinterpret_cast<const std::byte*>(text.data() + text.size()); }

std::string_view CanonicalName(const std::byte* body) { return CanonicalBytes(body + 1); }

// Where an entry's body lies in the message.
struct Span {
  std::uint32_t offset = 0;
  std::uint32_t size = 0;
};

}  // namespace

// At the beginning of the one piece of memory. Behind it lie `count` offsets, then `bytes` bytes of the message.
struct Directory::Content {
  Digest digest;
  std::uint64_t size_of_children = 0;  // the sum of the edges' sizes
  std::uint32_t count = 0;
  std::uint32_t bytes = 0;
  std::array<std::uint32_t, 3> ends{};  // of the kinds' entries within the message

  // Where the entries' bodies begin within the message, in the order of their names.
  const std::uint32_t* order() const { return reinterpret_cast<const std::uint32_t*>(this + 1); }
  const std::byte* message() const { return reinterpret_cast<const std::byte*>(order() + count); }
  std::string_view NameAt(std::size_t index) const { return CanonicalName(message() + order()[index]); }

  static std::size_t Words(std::size_t count, std::size_t bytes) {
    return (sizeof(Content) + count * sizeof(std::uint32_t) + bytes + 7) / 8;
  }
};

// Makes a directory of a message that is in no known state.
class Directory::Builder {
 public:
  explicit Builder(ByteSpan message) : message_(message) {}

  Result<Directory> Build() {
    STRATA_TRY(ReadEntries());
    STRATA_TRY(CheckOrder());
    STRATA_TRY(CheckEntries());
    return Directory(Encode());
  }

 private:
  using List = std::vector<Span>;

  Result<void> ReadEntries() {
    std::array<std::size_t, 3> counts{};
    STRATA_TRY(VisitEntries([&](NodeKind kind, ByteSpan) {
      ++counts[IndexOf(kind)];
      return true;
    }));
    for (std::size_t i = 0; i < counts.size(); ++i) lists_[i].reserve(counts[i]);
    return VisitEntries([&](NodeKind kind, ByteSpan bytes) {
      NodeBody body;
      if (!DecodeNodeBody(kind, bytes, body)) return false;
      lists_[IndexOf(kind)].push_back(
          {static_cast<std::uint32_t>(bytes.data() - message_.data()), static_cast<std::uint32_t>(bytes.size())});
      return true;
    });
  }

  template <typename Visit>
  Result<void> VisitEntries(const Visit& visit) const {
    WireReader reader(message_);
    while (reader.Next()) {
      if (reader.field() > FieldOf(NodeKind::kSymlink)) {
        reader.Skip();
        continue;
      }
      const auto kind = static_cast<NodeKind>(reader.field() - 1);
      const ByteSpan bytes = reader.TakeBytes();
      if (reader.ok() && !visit(kind, bytes)) return RefuseMessage("not a Directory message");
    }
    if (!reader.ok()) return RefuseMessage("not a Directory message");
    return {};
  }

  NodeBody BodyOf(NodeKind kind, std::size_t index) const {
    const Span span = lists_[IndexOf(kind)][index];
    NodeBody body;
    DecodeNodeBody(kind, message_.subspan(span.offset, span.size), body);
    return body;
  }

  // CA-8. Only then is anything else of an entry looked at.
  Result<void> CheckOrder() const {
    for (const NodeKind kind : kKinds) {
      std::string_view previous;
      for (std::size_t i = 0; i < lists_[IndexOf(kind)].size(); ++i) {
        const std::string_view name = BodyOf(kind, i).name;
        if (name < previous) return RefuseMessage("WrongSorting: " + QuoteName(name) + " comes too late");
        if (name == previous) {
          if (const auto fault = NodeNameFault(name); !fault.empty()) {
            return RefuseMessage(InvalidNameText(name, fault));
          }
          return RefuseDuplicate(name);
        }
        previous = name;
      }
    }
    return {};
  }

  // CA-9 to CA-11, entry by entry.
  Result<void> CheckEntries() {
    std::uint64_t size = 0;
    std::array<std::array<std::size_t, 2>, 3> behind{};  // of each kind, how far those before it were compared
    for (const NodeKind kind : kKinds) {
      for (std::size_t i = 0; i < lists_[IndexOf(kind)].size(); ++i) {
        const NodeBody body = BodyOf(kind, i);
        if (const std::string fault = NodeBodyFault(kind, body); !fault.empty()) {
          return RefuseMessage(InvalidNodeText(body.name, fault));
        }
        if (const auto fault = NodeNameFault(body.name); !fault.empty()) {
          return RefuseMessage(InvalidNameText(body.name, fault));
        }
        const std::uint64_t below = kind == NodeKind::kDirectory ? body.size : 0;
        if (size == UINT64_MAX || below > UINT64_MAX - size - 1) {
          return RefuseMessage("SizeOverflow: Total size exceeds u64::MAX at " + QuoteName(body.name));
        }
        size += 1 + below;
        size_of_children_ += below;
        for (std::size_t other = 0; other < IndexOf(kind); ++other) {
          if (Meets(kKinds[other], behind[IndexOf(kind)][other], body.name)) return RefuseDuplicate(body.name);
        }
        bytes_ += WireBytesSize(NodeBodySize(kind, body));
      }
    }
    return {};
  }

  // Goes on in a list until its names reach `name`; whether it has that one.
  bool Meets(NodeKind kind, std::size_t& at, std::string_view name) const {
    for (; at < lists_[IndexOf(kind)].size(); ++at) {
      const std::string_view other = BodyOf(kind, at).name;
      if (other >= name) return other == name;
    }
    return false;
  }

  static std::unexpected<Status> RefuseDuplicate(std::string_view name) {
    return RefuseMessage("DuplicateName: " + QuoteName(name) + " is a duplicate name");
  }

  std::shared_ptr<const Content> Encode() {
    const std::size_t count = lists_[0].size() + lists_[1].size() + lists_[2].size();
    auto memory = std::make_shared_for_overwrite<std::uint64_t[]>(Content::Words(count, bytes_));
    auto* content = new (memory.get()) Content;
    content->size_of_children = size_of_children_;
    content->count = static_cast<std::uint32_t>(count);
    content->bytes = static_cast<std::uint32_t>(bytes_);
    auto* const order = reinterpret_cast<std::uint32_t*>(content + 1);
    auto* const out = reinterpret_cast<std::byte*>(order + count);
    WireWriter writer(out);
    for (const NodeKind kind : kKinds) {
      List& list = lists_[IndexOf(kind)];
      for (std::size_t i = 0; i < list.size(); ++i) {
        const NodeBody body = BodyOf(kind, i);
        writer.Begin(FieldOf(kind), NodeBodySize(kind, body));
        // From here on it says where the entry lies in what is written.
        list[i].offset = static_cast<std::uint32_t>(writer.at() - out);
        WriteNodeBody(writer, kind, body);
      }
      content->ends[IndexOf(kind)] = static_cast<std::uint32_t>(writer.at() - out);
    }
    Merge(out, order);
    content->digest = Digest::Of(ByteSpan(out, bytes_));
    return {std::move(memory), content};
  }

  // All kinds into one order; each has its own already.
  void Merge(const std::byte* out, std::uint32_t* order) const {
    std::array<std::size_t, 3> at{};
    while (true) {
      const List* least = nullptr;
      std::size_t* taken = nullptr;
      std::string_view name;
      for (const NodeKind kind : kKinds) {
        const List& list = lists_[IndexOf(kind)];
        std::size_t& next = at[IndexOf(kind)];
        if (next == list.size()) continue;
        const std::string_view candidate = CanonicalName(out + list[next].offset);
        if (least != nullptr && name < candidate) continue;
        least = &list;
        taken = &next;
        name = candidate;
      }
      if (least == nullptr) return;
      *order++ = (*least)[(*taken)++].offset;
    }
  }

  const ByteSpan message_;
  std::array<List, 3> lists_;
  std::uint64_t size_of_children_ = 0;
  std::size_t bytes_ = 0;  // of the canonical message
};

Node Directory::Entry::node() const {
  if (kind == NodeKind::kSymlink) return Node::OfSymlink(std::string(target));
  return {.kind = kind, .digest = *digest, .size = size, .executable = executable, .target = {}};
}

Directory::Directory() {
  static const Directory empty = *Builder({}).Build();
  content_ = empty.content_;
}

Result<Directory> Directory::Parse(ByteSpan message) {
  if (message.size() > kMaxDirectoryBytes) {
    return RefuseMessage("it has " + std::to_string(message.size()) + " bytes; the most are " +
                         std::to_string(kMaxDirectoryBytes));
  }
  return Builder(message).Build();
}

Result<Directory> Directory::ParseVerified(ByteSpan message, const Digest& digest) {
  if (const Digest found = Digest::Of(message); found != digest) {
    return Fail(Errc::kCorrupt, "the directory " + digest.Text() + " is damaged: its bytes hash to " + found.Text());
  }
  return Parse(message);
}

Result<Directory> Directory::Make(std::vector<std::pair<std::string, Node>> entries) {
  std::ranges::sort(entries, [](const auto& a, const auto& b) {
    return a.second.kind != b.second.kind ? a.second.kind < b.second.kind : a.first < b.first;
  });
  std::size_t bytes = 0;
  for (const auto& [name, node] : entries) {
    bytes += WireBytesSize(NodeBodySize(node.kind, BodyOfNode(name, node)));
  }
  std::vector<std::byte> message(bytes);
  WireWriter writer(message.data());
  for (const auto& [name, node] : entries) {
    const NodeBody body = BodyOfNode(name, node);
    writer.Begin(FieldOf(node.kind), NodeBodySize(node.kind, body));
    WriteNodeBody(writer, node.kind, body);
  }
  return Parse(message);
}

std::size_t Directory::count() const { return content_->count; }

Directory::Entry Directory::At(std::size_t index) const {
  const Content& content = *content_;
  const std::uint32_t offset = content.order()[index];
  const std::byte* const end = content.message() + content.bytes;
  Entry entry;
  entry.kind = offset < content.ends[0]   ? NodeKind::kDirectory
               : offset < content.ends[1] ? NodeKind::kFile
                                          : NodeKind::kSymlink;
  entry.name = content.NameAt(index);
  const std::byte* at = EndOf(entry.name) + 1;  // past the tag of the digest or target
  if (entry.kind == NodeKind::kSymlink) {
    entry.target = CanonicalBytes(at);
    entry.size = entry.target.size();
    return entry;
  }
  entry.digest = reinterpret_cast<const Digest*>(at + 1);
  at += 1 + Digest::kSize;
  // Tags of these fields are no tags of a directory's.
  constexpr std::byte kSizeTag{kSizeField << 3}, kExecutableTag{kExecutableField << 3};
  if (at != end && *at == kSizeTag) {
    int shift = 0;
    do {
      ++at;
      entry.size |= std::to_integer<std::uint64_t>(*at & std::byte{0x7f}) << shift;
      shift += 7;
    } while ((*at & std::byte{0x80}) != std::byte{0});
    ++at;
  }
  entry.executable = at != end && *at == kExecutableTag;
  return entry;
}

std::size_t Directory::LowerBound(std::string_view name) const {
  const Content& content = *content_;
  std::size_t low = 0, high = content.count;
  while (low < high) {
    const std::size_t middle = low + (high - low) / 2;
    if (content.NameAt(middle) < name) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

std::size_t Directory::Find(std::string_view name) const {
  const std::size_t index = LowerBound(name);
  return index < count() && content_->NameAt(index) == name ? index : count();
}

ByteSpan Directory::canonical() const { return {content_->message(), content_->bytes}; }

const Digest& Directory::digest() const { return content_->digest; }

std::uint64_t Directory::Size(SizeRule rule) const {
  const std::uint64_t documented = content_->count + content_->size_of_children;
  if (rule == SizeRule::kDocumented) return documented;
  return documented > UINT64_MAX - content_->count ? UINT64_MAX : documented + content_->count;
}

std::size_t Directory::Footprint() const {
  constexpr std::size_t kControlBlock = 32;
  return kControlBlock + 8 * Content::Words(content_->count, content_->bytes);
}

}  // namespace strata::store
