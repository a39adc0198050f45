#include "server/lock_messages.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

namespace strata {
namespace {

using nlm4::ListedClient;
using nlm4::ListedLock;
using nlm4::ListedMode;

constexpr std::uint8_t kById = 1, kByClient = 2, kByAddress = 4;
constexpr std::size_t kLockBytes = 66;
constexpr std::size_t kMaxNameText = 1024;  // of a name (LM_MAXSTRLEN); an address has at most 64
static_assert(kLeastPage >= 8 + kLockBytes + 8 + kMaxNameText + 64);

class BodyWriter {
 public:
  template <typename T>
  void Put(T value) {
    const auto bytes = std::as_bytes(std::span(&value, 1));
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  }
  void Text(std::string_view text) {
    text = text.substr(0, kMaxNameText);
    Put(static_cast<std::uint32_t>(text.size()));
    const ByteSpan bytes = AsBytes(text);
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  }
  std::vector<std::byte> Take() { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

std::string ReadText(ByteReader& in) {
  const auto size = in.Read<std::uint32_t>();
  return std::string(
      AsText(in.ReadBytes(size <= kMaxNameText ? size : ~std::size_t{0})));  // too long: as if it were cut
}

std::optional<boost::asio::ip::address> ParseAddress(const std::string& text) {
  boost::system::error_code error;
  const auto address = boost::asio::ip::make_address(text, error);
  if (error) return std::nullopt;
  return address;
}

std::unexpected<Status> NoneOfOurs(std::string_view what) {
  return Fail(Errc::kCorrupt, std::string(what) + " does not decode");
}

void PutLock(BodyWriter& out, const ListedLock& lock) {
  out.Put(lock.id);
  out.Put(lock.volume);
  out.Put(lock.ino.value);
  out.Put(lock.client);
  out.Put(lock.svid);
  out.Put(static_cast<std::uint8_t>(lock.mode));
  out.Put<std::uint8_t>(lock.waits ? 1 : 0);
  out.Put(lock.first);
  out.Put(lock.last);
  out.Put(lock.access);
  out.Put(lock.deny);
  out.Put(lock.since_ns);
}

bool ReadLock(ByteReader& in, ListedLock& lock) {
  lock.id = in.Read<std::uint64_t>();
  lock.volume = in.Read<std::uint64_t>();
  lock.ino = InodeNumber(in.Read<std::uint64_t>());
  lock.client = in.Read<std::uint32_t>();
  lock.svid = in.Read<std::uint32_t>();
  const auto mode = in.Read<std::uint8_t>(), waits = in.Read<std::uint8_t>();
  lock.first = in.Read<std::uint64_t>();
  lock.last = in.Read<std::uint64_t>();
  lock.access = in.Read<std::uint32_t>();
  lock.deny = in.Read<std::uint32_t>();
  lock.since_ns = in.Read<std::int64_t>();
  if (mode > static_cast<std::uint8_t>(ListedMode::kReservation) || waits > 1 || lock.first > lock.last) return false;
  lock.mode = static_cast<ListedMode>(mode);
  lock.waits = waits == 1;
  return in.ok();
}

}  // namespace

std::vector<std::byte> EncodeLockRequest(const LockRequest& request) {
  const nlm4::LockSelection& which = request.which;
  BodyWriter out;
  out.Put(kLockRequestVersion);
  out.Put<std::uint8_t>(request.release ? 1 : 0);
  out.Put(static_cast<std::uint8_t>((which.id ? kById : 0) | (which.client ? kByClient : 0) |
                                    (which.address ? kByAddress : 0)));
  out.Put(which.id.value_or(0));
  out.Text(which.client.value_or(""));
  out.Text(which.address ? which.address->to_string() : "");
  return out.Take();
}

Result<LockRequest> DecodeLockRequest(ByteSpan bytes) {
  ByteReader in(bytes);
  const auto version = in.Read<std::uint32_t>();
  if (in.ok() && version != kLockRequestVersion) {
    return Fail(Errc::kNotSupported, "it speaks version " + std::to_string(kLockRequestVersion) +
                                         " of the requests for locks, and this is version " + std::to_string(version));
  }
  const auto release = in.Read<std::uint8_t>(), by = in.Read<std::uint8_t>();
  const auto id = in.Read<std::uint64_t>();
  std::string client = ReadText(in);
  const std::string address = ReadText(in);
  if (!in.ok() || in.remaining() != 0 || release > 1 || by > (kById | kByClient | kByAddress)) {
    return NoneOfOurs("a request for locks");
  }
  LockRequest request{.release = release == 1, .which = {}};
  if ((by & kById) != 0) request.which.id = id;
  if ((by & kByClient) != 0) request.which.client = std::move(client);
  if ((by & kByAddress) != 0) {
    request.which.address = ParseAddress(address);
    if (!request.which.address) return NoneOfOurs("an address in a request for locks");
  }
  return request;
}

std::vector<std::byte> EncodeLockPage(const nlm4::LockListing& listing, ListingPlace& place, std::size_t limit) {
  const ListingPlace begin = place;
  const auto bytes_of = [](const ListedClient& client) {
    return 8 + std::min(client.name.size(), kMaxNameText) + client.address.to_string().size();
  };
  for (std::size_t size = 8; place.locks < listing.locks.size();) {
    const bool known = listing.locks[place.locks].client < place.clients;
    size += known ? kLockBytes : bytes_of(listing.clients[place.clients]);
    if (size > limit) break;
    ++(known ? place.locks : place.clients);
  }
  BodyWriter out;
  out.Put(static_cast<std::uint32_t>(place.clients - begin.clients));
  for (std::size_t i = begin.clients; i < place.clients; ++i) {
    out.Text(listing.clients[i].name);
    out.Text(listing.clients[i].address.to_string());
  }
  out.Put(static_cast<std::uint32_t>(place.locks - begin.locks));
  for (std::size_t i = begin.locks; i < place.locks; ++i) PutLock(out, listing.locks[i]);
  return out.Take();
}

Result<void> DecodeLockPage(ByteSpan bytes, nlm4::LockListing& into) {
  ByteReader in(bytes);
  for (auto left = in.Read<std::uint32_t>(); left > 0; --left) {
    std::string name = ReadText(in);
    const auto address = ParseAddress(ReadText(in));
    if (!in.ok() || !address) return NoneOfOurs("a client in a listing of locks");
    if (into.clients.size() == kMaxListedLocks) return Fail(Errc::kCorrupt, "a listing names too many clients");
    into.clients.push_back({std::move(name), *address});
  }
  const auto locks = in.Read<std::uint32_t>();
  if (!in.ok() || in.remaining() != std::uint64_t{locks} * kLockBytes) return NoneOfOurs("a listing of locks");
  if (locks > kMaxListedLocks - into.locks.size()) return Fail(Errc::kCorrupt, "a listing names too many locks");
  for (std::uint32_t i = 0; i < locks; ++i) {
    ListedLock lock;
    if (!ReadLock(in, lock) || lock.client >= into.clients.size()) return NoneOfOurs("a lock in a listing");
    into.locks.push_back(lock);
  }
  return {};
}

std::vector<std::byte> EncodeLockEnd(std::uint64_t locks) {
  BodyWriter out;
  out.Put(locks);
  return out.Take();
}

Result<std::uint64_t> DecodeLockEnd(ByteSpan bytes) {
  if (bytes.size() != sizeof(std::uint64_t)) return NoneOfOurs("the end of an answer about locks");
  return LoadLe<std::uint64_t>(bytes.data());
}

}  // namespace strata
