// LockTable: who holds and who waits for which lock, of all volumes. It knows nothing of the wire.
//
// An owner is a client with the process that it names. A client is the name that it gives itself together with the
// address that it calls from, so that nobody can give up what another holds. What lies here is bounded by
// LockLimits::bytes in all, and for each client by half of that.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>

#include <atomic>
#include <boost/asio/ip/address.hpp>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/mutex.h"
#include "server/nlm4/handed_locks.h"
#include "server/nlm4/lock_listing.h"
#include "server/nlm4/range_locks.h"
#include "vfs/types.h"

namespace strata::nlm4 {

struct LockLimits {
  std::size_t bytes = 64 << 20;
  std::size_t waiters_of_file = 4096;  // each unlock looks at all of them
};

// Who asks, as the call says; what it points to need only live as long as the call.
struct Caller {
  std::string_view name;  // caller_name
  boost::asio::ip::address address;
  std::uint32_t svid = 0;  // the process, where the client says so
  ByteSpan owner;          // opaque; tells one owner of the client from another, with svid
};

enum class Answer : std::uint8_t { kGranted, kDenied, kBlocked, kNoRoom, kGrace };

// A lock that one who waited has now; the client is to be told until it has confirmed that.
struct Grant {
  std::uint64_t id = 0;
  std::string name;
  boost::asio::ip::address address;
  std::uint32_t svid = 0;
  std::vector<std::byte> owner;
  Range range;
  bool exclusive = false;
  CallBack back;
};

// Thread-safe.
class LockTable {
 public:
  // `now`: Unix time, in nanoseconds. `granted` is called without locks, from whichever call freed the way. `resized`
  // is called without locks too, by a call that grants or gives up, where bytes() has moved by kBytesStep since the
  // last time; never by Forget.
  LockTable(const LockLimits& limits, std::function<std::int64_t()> now,
            std::function<void(std::vector<Grant>)> granted, std::function<void()> resized = {});
  static constexpr std::size_t kBytesStep = 1 << 20;

  // kBlocked only where `back` says how to tell it later: then it waits, or does already. `reclaim`: it held the lock
  // before the server ended.
  Answer Lock(const FileKey& file, const Caller& caller, const Range& range, bool exclusive, bool reclaim,
              const CallBack* back);
  struct Holder {
    bool exclusive = false;
    std::uint32_t svid = 0;
    std::vector<std::byte> owner;
    Range range;
  };
  // Who stands in the way of such a lock.
  std::optional<Holder> Test(const FileKey& file, const Caller& caller, const Range& range, bool exclusive) const;
  void Unlock(const FileKey& file, const Caller& caller, const Range& range);
  // One waits no more. Where it was granted the lock and has not confirmed that, it gives it up. False: it did neither.
  bool Cancel(const FileKey& file, const Caller& caller, const Range& range, bool exclusive);
  // The client has heard of the grant. With false it does not want it (any more).
  void Confirm(std::uint64_t grant, bool wanted);
  // The grant if it is not confirmed yet, to tell of it again.
  std::optional<Grant> Unconfirmed(std::uint64_t grant) const;

  // Deny modes (RFC 1813 and XNFS: fsh4_access, fsh4_mode): bits 1 read, 2 write.
  Answer Share(const FileKey& file, const Caller& caller, std::uint32_t access, std::uint32_t deny, bool reclaim);
  void Unshare(const FileKey& file, const Caller& caller);

  // All of a client.
  void Release(std::string_view name, const boost::asio::ip::address& address);
  // All of the clients at an address, whose machine has started anew: of those that bear its name. What it is called in
  // such a notice is a matter of configuration. So names agree that are the same up to their first dot, and where none
  // agrees all are meant.
  void ReleaseMachine(const boost::asio::ip::address& address, std::string_view name);
  // The addresses of all who hold or wait for something.
  std::vector<boost::asio::ip::address> Machines() const;
  // All of a file, which is gone. Those who wait for it are granted nothing; they ask again, and hear that.
  void Forget(const FileKey& file);

  // Until it is called with false nothing new is granted, only what is reclaimed.
  void SetGrace(bool grace);
  bool grace() const;

  bool empty() const;
  std::size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }
  // What `which` selects. The table stands still for as long as it takes: less than 0.1 s for 100,000 locks.
  LockListing List(const LockSelection& which = {}) const;
  // Frees by hand what `which` selects, and tells how many that were. Who held or waited does not hear of it; who
  // waited for what is free now is granted it.
  std::size_t ReleaseSelected(const LockSelection& which);

  // For the table of another process. What lies here stays as it is.
  HandedLocks Export() const;
  // Holds all of that too, whatever the bounds. To be called once, before any other.
  void Import(const HandedLocks& locks);
  // The grants that are not confirmed.
  std::vector<Grant> AllUnconfirmed() const;

 private:
  using ClientIndex = std::uint32_t;

  struct Client {
    std::string name;
    boost::asio::ip::address address;
    std::size_t bytes = 0;
    std::uint32_t owners = 0;  // 0: it may be forgotten
  };
  struct Owner {
    ClientIndex client = 0;
    std::uint32_t svid = 0;
    std::size_t hash = 0;  // of the Caller
    std::vector<std::byte> handle;
    std::uint32_t uses = 0;  // files in which it holds ranges, waiters and shares; 0: idle, or free
    bool idle = false;       // in idle_owners_
  };
  struct ClientView {
    std::string_view name;
    const boost::asio::ip::address& address;
  };
  struct OwnerView {
    explicit OwnerView(const Caller& who);
    const Caller& caller;
    std::size_t hash;
  };
  // The sets hold places in the tables, so that what is looked for need not be copied, nor held twice.
  struct ClientHash {
    using is_transparent = void;
    const std::vector<Client>* table;
    std::size_t operator()(ClientIndex at) const {
      return (*this)(ClientView{(*table)[at].name, (*table)[at].address});
    }
    std::size_t operator()(const ClientView& client) const;
  };
  struct ClientEqual {
    using is_transparent = void;
    const std::vector<Client>* table;
    bool operator()(ClientIndex a, ClientIndex b) const { return a == b; }
    bool operator()(ClientIndex at, const ClientView& client) const {
      return (*table)[at].name == client.name && (*table)[at].address == client.address;
    }
    bool operator()(const ClientView& client, ClientIndex at) const { return (*this)(at, client); }
  };
  struct OwnerHash {
    using is_transparent = void;
    const std::vector<Owner>* table;
    std::size_t operator()(OwnerId at) const { return (*table)[at].hash; }
    std::size_t operator()(const OwnerView& owner) const { return owner.hash; }
  };
  struct OwnerEqual {
    using is_transparent = void;
    const std::vector<Owner>* table;
    const std::vector<Client>* clients;
    bool operator()(OwnerId a, OwnerId b) const { return a == b; }
    bool operator()(OwnerId at, const OwnerView& owner) const;
    bool operator()(const OwnerView& owner, OwnerId at) const { return (*this)(at, owner); }
  };
  struct Waiter {
    OwnerId owner = 0;
    Range range;
    bool exclusive = false;
    std::int64_t since_ns = 0;
    CallBack back;
  };
  struct ShareMode {
    OwnerId owner = 0;
    std::uint32_t access = 0, deny = 0;
    std::int64_t since_ns = 0;
  };
  struct File {
    RangeLocks locks;
    std::list<Waiter> waiters;  // the longest first
    std::vector<ShareMode> shares;
    std::vector<std::uint64_t> pending;  // grants that are not confirmed
    bool empty() const { return locks.empty() && waiters.empty() && shares.empty(); }
  };
  struct Pending {
    FileKey file;
    OwnerId owner = 0;
    Range range;
    bool exclusive = false;
    CallBack back;
  };

  std::optional<ClientIndex> FindClient(std::string_view name, const boost::asio::ip::address& address) const
      STRATA_REQUIRES(mutex_);
  std::optional<OwnerId> FindOwner(const OwnerView& who) const STRATA_REQUIRES(mutex_);
  // `self`, or where that is kNobody the caller made an owner, for `bytes` more; nothing where the bounds do not allow
  // that.
  std::optional<OwnerId> NeedOwner(OwnerId self, const OwnerView& who, std::size_t bytes) STRATA_REQUIRES(mutex_);
  ClientIndex MakeClient(const Caller& caller) STRATA_REQUIRES(mutex_);
  OwnerId MakeOwner(ClientIndex of, const OwnerView& who) STRATA_REQUIRES(mutex_);
  void ForgetIdleClients() STRATA_REQUIRES(mutex_);
  void Use(OwnerId owner) STRATA_REQUIRES(mutex_) { ++owners_[owner].uses; }
  void Unuse(OwnerId owner) STRATA_REQUIRES(mutex_);
  // Keeps so many of those that hold nothing.
  void ForgetIdleOwners(std::size_t keep) STRATA_REQUIRES(mutex_);
  void Add(std::size_t bytes) STRATA_REQUIRES(mutex_) {
    bytes_.store(this->bytes() + bytes, std::memory_order_relaxed);
  }
  void Subtract(std::size_t bytes) STRATA_REQUIRES(mutex_) { Add(-bytes); }
  void Charge(OwnerId owner, std::size_t bytes) STRATA_REQUIRES(mutex_);
  void Discharge(OwnerId owner, std::size_t bytes) STRATA_REQUIRES(mutex_);

  File* FindFile(const FileKey& key) const STRATA_REQUIRES(mutex_);
  File& NeedFile(const FileKey& key) STRATA_REQUIRES(mutex_);
  void DropIfEmpty(const FileKey& key, const File& file) STRATA_REQUIRES(mutex_);
  void SetRange(File& file, const RangeLock& lock) STRATA_REQUIRES(mutex_);
  void AddWaiter(File& file, Waiter waiter) STRATA_REQUIRES(mutex_);
  void AddShare(File& file, const ShareMode& share) STRATA_REQUIRES(mutex_);
  void ClearRange(File& file, OwnerId owner, const Range& range) STRATA_REQUIRES(mutex_);
  // Charges the owner with what the file's ranges have grown by since there were `before`.
  void Recount(const File& file, OwnerId owner, std::size_t before) STRATA_REQUIRES(mutex_);
  using WaiterPlace = std::list<Waiter>::iterator;
  WaiterPlace FindWaiter(File& file, OwnerId owner, const Range& range, bool exclusive) STRATA_REQUIRES(mutex_);
  WaiterPlace DropWaiter(File& file, WaiterPlace at) STRATA_REQUIRES(mutex_);
  void DropShare(File& file, std::size_t at) STRATA_REQUIRES(mutex_);
  // Of the owner's grants in the file that are not confirmed, forgets those that `which` tells.
  template <typename Which>
  bool DropPending(File& file, Which which) STRATA_REQUIRES(mutex_);
  // Those who can have now what they wait for get it, in the order of their coming.
  void GrantWaiting(const FileKey& key, File& file, std::vector<Grant>& grants) STRATA_REQUIRES(mutex_);
  // All of the owners that `which` tells.
  template <typename Which>
  void DropOwners(File& file, Which which) STRATA_REQUIRES(mutex_);
  // Of these clients.
  void ReleaseAll(const std::vector<ClientIndex>& clients, std::vector<Grant>& grants) STRATA_REQUIRES(mutex_);
  // Of each owner met in one walk what ListedLock::id takes from it; 0: not known yet.
  using OwnerNumbers = std::vector<std::uint64_t>;
  bool Selects(const LockSelection& which, OwnerId owner) const STRATA_REQUIRES(mutex_);
  std::uint64_t NumberOf(OwnerId owner) const STRATA_REQUIRES(mutex_);
  // Calls visit(ListedLock&, OwnerId) for what `which` selects of the file. The place of the client is left to it.
  template <typename Visit>
  void VisitSelected(const FileKey& key, const File& file, const LockSelection& which, OwnerNumbers& numbers,
                     Visit visit) const STRATA_REQUIRES(mutex_);
  std::size_t ReleaseOfFile(const FileKey& key, File& file, const LockSelection& which, OwnerNumbers& numbers)
      STRATA_REQUIRES(mutex_);
  Grant MakeGrant(std::uint64_t id, const Pending& pending) const STRATA_REQUIRES(mutex_);
  // What is to be told once nothing is locked.
  void Tell(std::vector<Grant> grants) STRATA_EXCLUDES(mutex_);

  const LockLimits limits_;
  const std::function<std::int64_t()> now_;
  const std::function<void(std::vector<Grant>)> granted_;
  const std::function<void()> resized_;

  std::atomic<bool> any_{false};            // whether there is any file; stored under mutex_
  std::atomic<std::size_t> bytes_{0};       // stored under mutex_
  std::atomic<std::size_t> told_bytes_{0};  // when resized_ was called last
  mutable Mutex mutex_;
  bool grace_ STRATA_GUARDED_BY(mutex_) = false;
  absl::flat_hash_map<FileKey, std::unique_ptr<File>> files_ STRATA_GUARDED_BY(mutex_);
  std::vector<Client> clients_ STRATA_GUARDED_BY(mutex_);
  std::vector<ClientIndex> free_clients_ STRATA_GUARDED_BY(mutex_);
  absl::flat_hash_set<ClientIndex, ClientHash, ClientEqual> client_of_ STRATA_GUARDED_BY(mutex_);
  std::vector<Owner> owners_ STRATA_GUARDED_BY(mutex_);
  std::vector<OwnerId> free_owners_ STRATA_GUARDED_BY(mutex_);
  std::deque<OwnerId> idle_owners_ STRATA_GUARDED_BY(mutex_);  // and some that are in use again
  absl::flat_hash_set<OwnerId, OwnerHash, OwnerEqual> owner_of_ STRATA_GUARDED_BY(mutex_);
  std::uint64_t next_grant_ STRATA_GUARDED_BY(mutex_) = 1;
  absl::flat_hash_map<std::uint64_t, Pending> pending_ STRATA_GUARDED_BY(mutex_);
};

}  // namespace strata::nlm4
