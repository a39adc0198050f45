#include "server/nlm4/lock_table.h"

#include <absl/hash/hash.h>

#include <algorithm>
#include <utility>

#include "server/rpc/addresses.h"

namespace strata::nlm4 {
namespace {

// About how many bytes each takes, the allocator's own and the tables' free room included.
constexpr std::size_t kFileBytes = 240, kOwnerBytes = 128, kClientBytes = 160, kShareBytes = 48, kWaiterBytes = 176;
// Clients that hold nothing are remembered up to so many, so that a lock now and then costs no more than another.
constexpr std::size_t kIdleClients = 1024;
// So are owners: a process that locks often mostly holds one lock at a time.
constexpr std::size_t kIdleOwners = 64;
constexpr OwnerId kNobody = ~OwnerId{0};

bool Overlap(const Range& a, const Range& b) { return a.first <= b.last && b.first <= a.last; }

}  // namespace

std::size_t LockTable::ClientHash::operator()(const ClientView& client) const {
  return absl::HashOf(client.name, rpc::AddressHash()(client.address));
}

LockTable::OwnerView::OwnerView(const Caller& who)
    : caller(who), hash(absl::HashOf(who.name, rpc::AddressHash()(who.address), who.svid, AsText(who.owner))) {}

bool LockTable::OwnerEqual::operator()(OwnerId at, const OwnerView& owner) const {
  const Owner& other = (*table)[at];
  const Caller& caller = owner.caller;
  if (other.hash != owner.hash || other.svid != caller.svid || AsText(other.handle) != AsText(caller.owner))
    return false;
  const Client& client = (*clients)[other.client];
  return client.name == caller.name && client.address == caller.address;
}

LockTable::LockTable(const LockLimits& limits, std::function<std::int64_t()> now,
                     std::function<void(std::vector<Grant>)> granted, std::function<void()> resized)
    : limits_(limits),
      now_(std::move(now)),
      granted_(std::move(granted)),
      resized_(std::move(resized)),
      client_of_(0, ClientHash{&clients_}, ClientEqual{&clients_}),
      owner_of_(0, OwnerHash{&owners_}, OwnerEqual{&owners_, &clients_}) {}

// -- Clients and owners. --

std::optional<LockTable::ClientIndex> LockTable::FindClient(std::string_view name,
                                                            const boost::asio::ip::address& address) const {
  const auto found = client_of_.find(ClientView{name, address});
  if (found == client_of_.end()) return std::nullopt;
  return *found;
}

std::optional<OwnerId> LockTable::FindOwner(const OwnerView& who) const {
  const auto found = owner_of_.find(who);
  if (found == owner_of_.end()) return std::nullopt;
  return *found;
}

LockTable::ClientIndex LockTable::MakeClient(const Caller& caller) {
  if (free_clients_.empty() && clients_.size() % kIdleClients == 0) ForgetIdleClients();
  ClientIndex made;
  if (free_clients_.empty()) {
    made = static_cast<ClientIndex>(clients_.size());
    clients_.emplace_back();
  } else {
    made = free_clients_.back();
    free_clients_.pop_back();
  }
  clients_[made] = {.name = std::string(caller.name), .address = caller.address};
  client_of_.insert(made);
  Add(kClientBytes + caller.name.size());
  return made;
}

void LockTable::ForgetIdleClients() {
  for (ClientIndex at = 0; at < clients_.size(); ++at) {
    Client& client = clients_[at];
    if (client.owners != 0 || client_of_.erase(at) == 0) continue;
    Subtract(kClientBytes + client.name.size());
    client = {};
    free_clients_.push_back(at);
  }
}

std::optional<OwnerId> LockTable::NeedOwner(OwnerId self, const OwnerView& who, std::size_t bytes) {
  const Caller& caller = who.caller;
  const auto found = self == kNobody ? std::nullopt : std::optional(self);
  const auto known = found ? std::optional(owners_[*found].client) : FindClient(caller.name, caller.address);
  const std::size_t fresh = found ? 0 : kOwnerBytes + caller.owner.size();
  const std::size_t client = known ? 0 : kClientBytes + caller.name.size();
  if (this->bytes() + bytes + fresh + client > limits_.bytes) return std::nullopt;
  if (known && clients_[*known].bytes + bytes + fresh > limits_.bytes / 2) return std::nullopt;
  if (found) return found;
  return MakeOwner(known ? *known : MakeClient(caller), who);
}

OwnerId LockTable::MakeOwner(ClientIndex of, const OwnerView& who) {
  const Caller& caller = who.caller;
  OwnerId made;
  if (free_owners_.empty()) {
    made = static_cast<OwnerId>(owners_.size());
    owners_.emplace_back();
  } else {
    made = free_owners_.back();
    free_owners_.pop_back();
  }
  Owner& owner = owners_[made];
  owner.client = of;
  owner.svid = caller.svid;
  owner.hash = who.hash;
  owner.handle.assign(caller.owner.begin(), caller.owner.end());
  ++clients_[of].owners;
  owner_of_.insert(made);
  Charge(made, kOwnerBytes + owner.handle.size());
  return made;
}

void LockTable::Unuse(OwnerId id) {
  Owner& owner = owners_[id];
  if (--owner.uses != 0 || std::exchange(owner.idle, true)) return;
  idle_owners_.push_back(id);
  ForgetIdleOwners(kIdleOwners);
}

void LockTable::ForgetIdleOwners(std::size_t keep) {
  while (idle_owners_.size() > keep) {
    const OwnerId id = idle_owners_.front();
    idle_owners_.pop_front();
    Owner& owner = owners_[id];
    owner.idle = false;
    if (owner.uses != 0) continue;
    owner_of_.erase(id);
    Discharge(id, kOwnerBytes + owner.handle.size());
    --clients_[owner.client].owners;
    free_owners_.push_back(id);
  }
}

void LockTable::Charge(OwnerId owner, std::size_t bytes) {
  Add(bytes);
  clients_[owners_[owner].client].bytes += bytes;
}

void LockTable::Discharge(OwnerId owner, std::size_t bytes) {
  Subtract(bytes);
  clients_[owners_[owner].client].bytes -= bytes;
}

// -- Files. --

LockTable::File* LockTable::FindFile(const FileKey& key) const {
  const auto found = files_.find(key);
  return found == files_.end() ? nullptr : found->second.get();
}

LockTable::File& LockTable::NeedFile(const FileKey& key) {
  std::unique_ptr<File>& file = files_[key];
  if (!file) {
    file = std::make_unique<File>();
    Add(kFileBytes);
    any_.store(true, std::memory_order_relaxed);
  }
  return *file;
}

void LockTable::DropIfEmpty(const FileKey& key, const File& file) {
  if (!file.empty()) return;
  files_.erase(key);
  any_.store(!files_.empty(), std::memory_order_relaxed);
  Subtract(kFileBytes);
}

void LockTable::SetRange(File& file, const RangeLock& lock) {
  const std::size_t before = file.locks.size();
  if (!file.locks.Lock(lock)) Use(lock.owner);
  Recount(file, lock.owner, before);
}

void LockTable::ClearRange(File& file, OwnerId owner, const Range& range) {
  DropPending(file, [&](const Pending& grant) { return grant.owner == owner && Overlap(grant.range, range); });
  const std::size_t before = file.locks.size();
  const bool last = file.locks.Unlock(range, owner);
  Recount(file, owner, before);
  if (last) Unuse(owner);
}

void LockTable::Recount(const File& file, OwnerId owner, std::size_t before) {
  const std::size_t after = file.locks.size();
  if (after > before) Charge(owner, (after - before) * RangeLocks::kLockBytes);
  if (after < before) Discharge(owner, (before - after) * RangeLocks::kLockBytes);
}

LockTable::WaiterPlace LockTable::FindWaiter(File& file, OwnerId owner, const Range& range, bool exclusive) {
  return std::ranges::find_if(file.waiters, [&](const Waiter& waiter) {
    return waiter.owner == owner && waiter.range == range && waiter.exclusive == exclusive;
  });
}

LockTable::WaiterPlace LockTable::DropWaiter(File& file, WaiterPlace at) {
  const OwnerId owner = at->owner;
  Discharge(owner, kWaiterBytes + at->back.handle.size());
  const WaiterPlace next = file.waiters.erase(at);
  Unuse(owner);
  return next;
}

void LockTable::AddWaiter(File& file, Waiter waiter) {
  Charge(waiter.owner, kWaiterBytes + waiter.back.handle.size());
  Use(waiter.owner);
  file.waiters.push_back(std::move(waiter));
}

void LockTable::AddShare(File& file, const ShareMode& share) {
  Charge(share.owner, kShareBytes);
  Use(share.owner);
  file.shares.push_back(share);
}

void LockTable::DropShare(File& file, std::size_t at) {
  const OwnerId owner = file.shares[at].owner;
  file.shares.erase(file.shares.begin() + static_cast<std::ptrdiff_t>(at));
  Discharge(owner, kShareBytes);
  Unuse(owner);
}

template <typename Which>
bool LockTable::DropPending(File& file, Which which) {
  return std::erase_if(file.pending, [&](std::uint64_t id) STRATA_REQUIRES(mutex_) {
           const auto grant = pending_.find(id);
           if (!which(grant->second)) return false;
           pending_.erase(grant);
           return true;
         }) > 0;
}

Grant LockTable::MakeGrant(std::uint64_t id, const Pending& pending) const {
  const Owner& owner = owners_[pending.owner];
  const Client& client = clients_[owner.client];
  return {.id = id,
          .name = client.name,
          .address = client.address,
          .svid = owner.svid,
          .owner = owner.handle,
          .range = pending.range,
          .exclusive = pending.exclusive,
          .back = pending.back};
}

void LockTable::GrantWaiting(const FileKey& key, File& file, std::vector<Grant>& grants) {
  if (grace_) return;
  for (auto at = file.waiters.begin(); at != file.waiters.end();) {
    if (file.locks.Conflict(at->range, at->exclusive, at->owner) != nullptr) {
      ++at;
      continue;
    }
    // What it waited with makes nearly the room for what it gets.
    SetRange(file, {at->range, at->exclusive, at->owner, now_()});
    const std::uint64_t id = next_grant_++;
    Pending pending{
        .file = key, .owner = at->owner, .range = at->range, .exclusive = at->exclusive, .back = std::move(at->back)};
    Discharge(at->owner, pending.back.handle.size());
    at = DropWaiter(file, at);
    grants.push_back(MakeGrant(id, pending));
    pending_.emplace(id, std::move(pending));
    file.pending.push_back(id);
  }
}

template <typename Which>
void LockTable::DropOwners(File& file, Which which) {
  for (auto at = file.waiters.begin(); at != file.waiters.end();) {
    at = which(at->owner) ? DropWaiter(file, at) : std::next(at);
  }
  for (std::size_t i = file.shares.size(); i-- > 0;) {
    if (which(file.shares[i].owner)) DropShare(file, i);
  }
  std::vector<OwnerId> holders;
  file.locks.ForEach([&](const RangeLock& lock) STRATA_REQUIRES(mutex_) {
    if (which(lock.owner) && (holders.empty() || holders.back() != lock.owner)) holders.push_back(lock.owner);
  });
  for (const OwnerId owner : holders) ClearRange(file, owner, Range{});
}

void LockTable::Tell(std::vector<Grant> grants) {
  if (!grants.empty()) granted_(std::move(grants));
  if (!resized_) return;
  const std::size_t now = bytes(), before = told_bytes_.load(std::memory_order_relaxed);
  if (std::max(now, before) - std::min(now, before) < kBytesStep) return;
  told_bytes_.store(now, std::memory_order_relaxed);
  resized_();
}

// -- What clients ask. --

Answer LockTable::Lock(const FileKey& key, const Caller& caller, const Range& range, bool exclusive, bool reclaim,
                       const CallBack* back) {
  const OwnerView who(caller);  // hashed without the lock
  std::vector<Grant> grants;
  {
    const MutexLock lock(mutex_);
    if (grace_ != reclaim) return Answer::kGrace;
    File* file = FindFile(key);
    const OwnerId self = FindOwner(who).value_or(kNobody);
    if (file != nullptr && file->locks.Conflict(range, exclusive, self) != nullptr) {
      if (back == nullptr) return Answer::kDenied;
      if (const auto waits = FindWaiter(*file, self, range, exclusive); waits != file->waiters.end()) {
        Discharge(self, waits->back.handle.size());
        waits->back = *back;
        Charge(self, waits->back.handle.size());
        return Answer::kBlocked;
      }
      if (file->waiters.size() >= limits_.waiters_of_file) return Answer::kNoRoom;
      const auto owner = NeedOwner(self, who, kWaiterBytes + back->handle.size());
      if (!owner) return Answer::kNoRoom;
      AddWaiter(*file, {*owner, range, exclusive, now_(), *back});
      return Answer::kBlocked;
    }
    const auto owner =
        NeedOwner(self, who, RangeLocks::kMostAdded * RangeLocks::kLockBytes + (file == nullptr ? kFileBytes : 0));
    if (!owner) return Answer::kNoRoom;
    if (file == nullptr) file = &NeedFile(key);
    SetRange(*file, {range, exclusive, *owner, now_()});
    // It has asked again and hears now what it was yet to be told.
    DropPending(*file, [&](const Pending& grant) { return grant.owner == *owner && Overlap(grant.range, range); });
    if (const auto waits = FindWaiter(*file, *owner, range, exclusive); waits != file->waiters.end()) {
      DropWaiter(*file, waits);
    }
    // A weaker lock in a stronger one's place lets others in.
    if (!exclusive && !file->waiters.empty()) GrantWaiting(key, *file, grants);
  }
  Tell(std::move(grants));
  return Answer::kGranted;
}

std::optional<LockTable::Holder> LockTable::Test(const FileKey& key, const Caller& caller, const Range& range,
                                                 bool exclusive) const {
  const MutexLock lock(mutex_);
  const File* const file = FindFile(key);
  if (file == nullptr) return std::nullopt;
  const RangeLock* const found = file->locks.Conflict(range, exclusive, FindOwner(OwnerView(caller)).value_or(kNobody));
  if (found == nullptr) return std::nullopt;
  const Owner& owner = owners_[found->owner];
  return Holder{.exclusive = found->exclusive, .svid = owner.svid, .owner = owner.handle, .range = found->range};
}

void LockTable::Unlock(const FileKey& key, const Caller& caller, const Range& range) {
  const OwnerView who(caller);
  std::vector<Grant> grants;
  {
    const MutexLock lock(mutex_);
    File* const file = FindFile(key);
    const auto owner = file == nullptr ? std::nullopt : FindOwner(who);
    if (!owner) return;
    ClearRange(*file, *owner, range);
    if (!file->waiters.empty()) GrantWaiting(key, *file, grants);
    DropIfEmpty(key, *file);
  }
  Tell(std::move(grants));
}

bool LockTable::Cancel(const FileKey& key, const Caller& caller, const Range& range, bool exclusive) {
  std::vector<Grant> grants;
  bool found = false;
  {
    const MutexLock lock(mutex_);
    File* const file = FindFile(key);
    const auto owner = file == nullptr ? std::nullopt : FindOwner(OwnerView(caller));
    if (!owner) return false;
    if (const auto waits = FindWaiter(*file, *owner, range, exclusive); waits != file->waiters.end()) {
      DropWaiter(*file, waits);
      found = true;
    } else {
      found = DropPending(*file, [&](const Pending& grant) {
        return grant.owner == *owner && grant.range == range && grant.exclusive == exclusive;
      });
      if (found) ClearRange(*file, *owner, range);
      if (found) GrantWaiting(key, *file, grants);
    }
    DropIfEmpty(key, *file);
  }
  Tell(std::move(grants));
  return found;
}

void LockTable::Confirm(std::uint64_t id, bool wanted) {
  std::vector<Grant> grants;
  {
    const MutexLock lock(mutex_);
    const auto found = pending_.find(id);
    if (found == pending_.end()) return;
    const Pending grant = found->second;
    File* const file = FindFile(grant.file);
    const Pending* const one = &found->second;
    DropPending(*file, [&](const Pending& other) { return &other == one; });
    if (!wanted) {
      ClearRange(*file, grant.owner, grant.range);
      GrantWaiting(grant.file, *file, grants);
      DropIfEmpty(grant.file, *file);
    }
  }
  Tell(std::move(grants));
}

std::optional<Grant> LockTable::Unconfirmed(std::uint64_t id) const {
  const MutexLock lock(mutex_);
  const auto found = pending_.find(id);
  if (found == pending_.end()) return std::nullopt;
  return MakeGrant(id, found->second);
}

Answer LockTable::Share(const FileKey& key, const Caller& caller, std::uint32_t access, std::uint32_t deny,
                        bool reclaim) {
  const MutexLock lock(mutex_);
  if (grace_ != reclaim) return Answer::kGrace;
  File* file = FindFile(key);
  const OwnerId self = FindOwner(OwnerView(caller)).value_or(kNobody);
  ShareMode* own = nullptr;
  if (file != nullptr) {
    for (ShareMode& share : file->shares) {
      if (share.owner == self) {
        own = &share;
      } else if ((share.deny & access) != 0 || (share.access & deny) != 0) {
        return Answer::kDenied;
      }
    }
  }
  if (own != nullptr) {
    own->access = access;
    own->deny = deny;
    return Answer::kGranted;
  }
  const auto owner = NeedOwner(self, OwnerView(caller), kShareBytes + (file == nullptr ? kFileBytes : 0));
  if (!owner) return Answer::kNoRoom;
  if (file == nullptr) file = &NeedFile(key);
  AddShare(*file, {*owner, access, deny, now_()});
  return Answer::kGranted;
}

void LockTable::Unshare(const FileKey& key, const Caller& caller) {
  const MutexLock lock(mutex_);
  File* const file = FindFile(key);
  const auto owner = file == nullptr ? std::nullopt : FindOwner(OwnerView(caller));
  if (!owner) return;
  for (std::size_t i = file->shares.size(); i-- > 0;) {
    if (file->shares[i].owner == *owner) DropShare(*file, i);
  }
  DropIfEmpty(key, *file);
}

void LockTable::ReleaseAll(const std::vector<ClientIndex>& clients, std::vector<Grant>& grants) {
  if (clients.empty()) return;
  for (auto at = files_.begin(); at != files_.end();) {
    const auto here = at++;
    const FileKey key = here->first;
    File& file = *here->second;
    DropOwners(file, [&](OwnerId id) STRATA_REQUIRES(mutex_) {
      return std::ranges::find(clients, owners_[id].client) != clients.end();
    });
    GrantWaiting(key, file, grants);
    DropIfEmpty(key, file);
  }
}

void LockTable::Release(std::string_view name, const boost::asio::ip::address& address) {
  std::vector<Grant> grants;
  {
    const MutexLock lock(mutex_);
    if (const auto client = FindClient(name, address)) ReleaseAll({*client}, grants);
  }
  Tell(std::move(grants));
}

void LockTable::ReleaseMachine(const boost::asio::ip::address& address, std::string_view name) {
  const auto first = [](std::string_view whole) { return whole.substr(0, whole.find('.')); };
  std::vector<Grant> grants;
  {
    const MutexLock lock(mutex_);
    std::vector<ClientIndex> all, named;
    for (ClientIndex at = 0; at < clients_.size(); ++at) {
      const Client& client = clients_[at];
      if (client.owners == 0 || client.address != address) continue;
      all.push_back(at);
      if (first(client.name) == first(name)) named.push_back(at);
    }
    ReleaseAll(named.empty() ? all : named, grants);
  }
  Tell(std::move(grants));
}

std::vector<boost::asio::ip::address> LockTable::Machines() const {
  const MutexLock lock(mutex_);
  std::vector<bool> busy(clients_.size());
  for (const Owner& owner : owners_) {
    if (owner.uses != 0) busy[owner.client] = true;
  }
  std::vector<boost::asio::ip::address> all;
  for (ClientIndex at = 0; at < clients_.size(); ++at) {
    if (busy[at]) all.push_back(clients_[at].address);
  }
  return all;
}

void LockTable::Forget(const FileKey& key) {
  // A lock that is taken at this very moment is one of a file that is gone, and is given up as such.
  if (!any_.load(std::memory_order_relaxed)) return;
  const MutexLock lock(mutex_);
  File* const file = FindFile(key);
  if (file == nullptr) return;
  DropOwners(*file, [](OwnerId) { return true; });
  DropIfEmpty(key, *file);
}

void LockTable::SetGrace(bool grace) {
  std::vector<Grant> grants;
  {
    const MutexLock lock(mutex_);
    grace_ = grace;
    for (const auto& [key, file] : files_) {
      if (!file->waiters.empty()) GrantWaiting(key, *file, grants);
    }
  }
  Tell(std::move(grants));
}

bool LockTable::grace() const {
  const MutexLock lock(mutex_);
  return grace_;
}

bool LockTable::empty() const {
  const MutexLock lock(mutex_);
  return files_.empty();
}

}  // namespace strata::nlm4
