#include "server/nlm4/handed_locks.h"

#include <utility>

#include "server/handover_bytes.h"
#include "server/nlm4/protocol.h"

namespace strata::nlm4 {
namespace {

using Kind = HandedLocks::Kind;

constexpr std::uint32_t kAllModes = 3;

bool HasCallBack(Kind kind) { return kind == Kind::kWaits || kind == Kind::kUnconfirmed; }

void PutEntry(HandoverWriter& out, const HandedLocks::Entry& entry) {
  out.Put(static_cast<std::uint8_t>(entry.kind));
  out.Put(entry.file.volume);
  out.Put(entry.file.ino.value);
  out.Put(entry.file.generation.value);
  out.Put(entry.owner);
  out.Put(entry.since_ns);
  if (entry.kind == Kind::kShare) {
    out.Put(entry.access);
    out.Put(entry.deny);
    return;
  }
  out.Put(entry.range.first);
  out.Put(entry.range.last);
  out.Put<std::uint8_t>(entry.exclusive ? 1 : 0);
  if (!HasCallBack(entry.kind)) return;
  out.Text(entry.back.handle);
  out.Address(entry.back.local);
  out.Put<std::uint8_t>(entry.back.datagram ? 1 : 0);
  out.Put<std::uint8_t>(entry.back.message ? 1 : 0);
  out.Put(entry.grant);
}

bool ReadEntry(ByteReader& in, HandedLocks::Entry* entry) {
  const auto kind = in.Read<std::uint8_t>();
  if (kind > static_cast<std::uint8_t>(Kind::kUnconfirmed)) return false;
  entry->kind = static_cast<Kind>(kind);
  entry->file.volume = in.Read<std::uint64_t>();
  entry->file.ino = InodeNumber(in.Read<std::uint64_t>());
  entry->file.generation = Generation(in.Read<std::uint32_t>());
  entry->owner = in.Read<std::uint32_t>();
  entry->since_ns = in.Read<std::int64_t>();
  if (entry->kind == Kind::kShare) {
    entry->access = in.Read<std::uint32_t>();
    entry->deny = in.Read<std::uint32_t>();
    return in.ok() && entry->access <= kAllModes && entry->deny <= kAllModes;
  }
  entry->range.first = in.Read<std::uint64_t>();
  entry->range.last = in.Read<std::uint64_t>();
  entry->exclusive = in.Read<std::uint8_t>() != 0;
  if (!in.ok() || entry->range.first > entry->range.last) return false;
  if (!HasCallBack(entry->kind)) return true;
  entry->back.handle = ReadOwnBytes(in, kMaxObject);
  if (!ReadAddress(in, &entry->back.local)) return false;
  entry->back.datagram = in.Read<std::uint8_t>() != 0;
  entry->back.message = in.Read<std::uint8_t>() != 0;
  entry->grant = in.Read<std::uint64_t>();
  return in.ok();
}

std::unexpected<Status> Undecodable(std::string_view what) {
  return Fail(Errc::kCorrupt, "a server's locks do not decode: " + std::string(what));
}

}  // namespace

std::vector<std::byte> EncodeLocks(const HandedLocks& locks) {
  HandoverWriter out;
  out.Put(locks.next_grant);
  out.Put<std::uint8_t>(locks.recovering ? 1 : 0);
  out.Put(static_cast<std::uint32_t>(locks.owners.size()));
  for (const HandedLocks::Owner& owner : locks.owners) {
    out.Text(AsBytes(owner.name));
    out.Address(owner.address);
    out.Put(owner.svid);
    out.Text(owner.handle);
  }
  out.Put(static_cast<std::uint32_t>(locks.entries.size()));
  for (const HandedLocks::Entry& entry : locks.entries) PutEntry(out, entry);
  return out.Take();
}

Result<HandedLocks> DecodeLocks(ByteSpan bytes) {
  ByteReader in(bytes);
  HandedLocks locks;
  locks.next_grant = in.Read<std::uint64_t>();
  locks.recovering = in.Read<std::uint8_t>() != 0;
  // Each element is appended only once it was read whole: a count that is merely claimed costs nothing.
  const auto owners = in.Read<std::uint32_t>();
  for (std::uint32_t i = 0; i < owners; ++i) {
    HandedLocks::Owner owner;
    owner.name = ReadString(in, kMaxName);
    if (!ReadAddress(in, &owner.address)) return Undecodable("a client's address");
    owner.svid = in.Read<std::uint32_t>();
    owner.handle = ReadOwnBytes(in, kMaxObject);
    if (!in.ok()) return Undecodable("an owner is cut off");
    locks.owners.push_back(std::move(owner));
  }
  const auto entries = in.Read<std::uint32_t>();
  for (std::uint32_t i = 0; i < entries; ++i) {
    HandedLocks::Entry entry;
    if (!ReadEntry(in, &entry)) return Undecodable("a lock");
    if (entry.owner >= locks.owners.size()) return Undecodable("a lock's owner");
    locks.entries.push_back(std::move(entry));
  }
  if (!in.ok() || in.remaining() != 0) return Undecodable("their length");
  return locks;
}

}  // namespace strata::nlm4
