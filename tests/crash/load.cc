#include "tests/crash/load.h"

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "tests/crash/block.h"
#include "tests/e2e/service.h"

namespace strata::crash {

namespace {

constexpr ObjectId kRoot = 0, kLayerFolders = 2, kLayerFiles = 12, kUpperFolders = 5;
constexpr std::size_t kLayerBlocks = 12;

std::string LayerFolder(ObjectId id) { return "layer-" + std::to_string(id); }
std::string LayerFile(ObjectId id) { return "low-" + std::to_string(id); }
ObjectId FolderOf(ObjectId layer_file) { return 1 + layer_file % kLayerFolders; }

}  // namespace

void FillLayer(const std::string& folder, std::uint64_t seed) {
  for (ObjectId id = 1; id <= kLayerFolders; ++id) {
    std::filesystem::create_directories(folder + "/" + LayerFolder(id));
  }
  for (ObjectId id = kLayerFolders + 1; id <= kLayerFolders + kLayerFiles; ++id) {
    std::string content;
    for (std::size_t i = 0; i < kLayerBlocks; ++i) content += MakeBlock({id, 1, i * kBlockSize, seed});
    e2e::WriteHostFile(folder + "/" + LayerFolder(FolderOf(id)) + "/" + LayerFile(id), content);
  }
}

Load::Load(const LoadOptions& options) : options_(options), random_(options.seed) {
  next_xid_ = static_cast<std::uint32_t>(random_());
}

Load::~Load() { Disconnect(); }

double Load::Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

bool Load::Connect(const std::string& host, std::uint16_t port, double limit) {
  Disconnect();
  for (const double end = Now() + limit; Now() < end;) {
    auto client = std::make_unique<e2e::RawClient>(port, e2e::User{}, clients_.empty(), host);
    if (!client->connected() || (clients_.empty() && client->root().empty())) {
      ::poll(nullptr, 0, 5);  // between two attempts
      continue;
    }
    if (clients_.empty() && !root_.empty() && client->root() != root_) return Wrong("the root's handle changed");
    if (clients_.empty()) root_ = client->root();
    clients_.push_back(std::move(client));
    if (clients_.size() < static_cast<std::size_t>(options_.clients)) continue;
    if (!verifier_.empty()) verifiers_.insert(verifier_);
    verifier_.clear();
    return true;
  }
  Disconnect();
  return false;
}

void Load::Disconnect() {
  clients_.clear();
  for (auto& pending : pending_) pending->call.reset();
}

bool Load::Prepare() {
  Object& root = Add(Kind::kFolder);
  root.handle = root_;
  root.home = true;
  root.steps[0].state.AddLink({kRoot, "/"});
  for (ObjectId id = 1; id <= kLayerFolders + kLayerFiles; ++id) {
    const bool folder = id <= kLayerFolders;
    Object& object = Add(folder ? Kind::kFolder : Kind::kFile);
    object.home = folder;
    const ObjectId in = folder ? kRoot : FolderOf(id);
    const std::string name = folder ? LayerFolder(id) : LayerFile(id);
    Call found = clients_[0]->Lookup(objects_[in]->handle, name);
    if (found->status != NFS3_OK) return Wrong("LOOKUP of the layer's " + name + " failed: " + found->error);
    object.handle = *found->handle;
    State& state = object.steps[0].state;
    state.AddLink({in, name});
    if (!folder) {
      object.version = 1;
      state.Write(0, kLayerBlocks * kBlockSize, 1);
      living_.push_back(id);
    }
  }
  for (ObjectId i = 0; i < kUpperFolders; ++i) {
    Object& home = Add(Kind::kFolder);
    home.home = true;
    const std::string name = NewName(home);
    Call made = clients_[0]->MakeDirectory(root_, name);
    if (made->status != NFS3_OK) return Wrong("MKDIR of " + name + " failed: " + made->error);
    home.handle = *made->handle;
    home.steps[0].state.AddLink({kRoot, name});
  }
  for (const auto& [id, object] : objects_) {
    by_handle_[object->handle] = id;
    if (object->home && id != kRoot) homes_.push_back(id);
  }
  // In the relaxed mode the folders are on the disk once something is that came after them.
  Object& file = *objects_[kLayerFolders + 1];
  const std::string block = MakeBlock({file.id, ++file.version, 0, options_.seed});
  file.steps[0].state.Write(0, kBlockSize, file.version);
  return clients_[0]->Write(file.handle, 0, block, FILE_SYNC)->status == NFS3_OK || Wrong("WRITE FILE_SYNC failed");
}

bool Load::Turn(int timeout_ms) {
  std::vector<pollfd> fds;
  for (auto& client : clients_) fds.push_back(client->Poll());
  ::poll(fds.data(), fds.size(), timeout_ms);
  for (auto& client : clients_) {
    if (!client->Turn(0)) return false;
  }
  return true;
}

bool Load::Await(std::vector<Call>& calls) {
  const double end = Now() + e2e::RawClient::kLimitMs / 1000.0;
  for (Call& call : calls) {
    while (!call.done()) {
      if (Now() > end || !Turn(100)) return false;
    }
    if (!call->answered) return false;
  }
  return true;
}

Load::Outcome Load::Run(double until, bool stable, const std::function<bool()>& enough) {
  const std::size_t most = static_cast<std::size_t>(options_.clients * options_.depth);
  while (Now() < until && !(enough && enough())) {
    while (pending_.size() < most) {
      pending_.push_back(std::make_unique<Pending>(ChooseNext(stable)));
      Send(*pending_.back(), *clients_[Below(clients_.size())]);
    }
    const bool connected = Turn(static_cast<int>(std::max(1.0, (until - Now()) * 1000)));
    if (!ApplyAll()) return Outcome::kWrong;
    if (!connected) return Outcome::kInterrupted;
  }
  return Outcome::kGood;
}

Load::Outcome Load::Finish() {
  for (const double end = Now() + e2e::RawClient::kLimitMs / 1000.0; !pending_.empty();) {
    const bool connected = Turn(100);
    if (!ApplyAll()) return Outcome::kWrong;
    if (!connected || Now() > end) return Outcome::kInterrupted;
  }
  return Outcome::kGood;
}

bool Load::ApplyAll() {
  bool right = true;
  for (auto& pending : pending_) {
    if (!pending->call->done() || !pending->call->Get().answered) continue;
    right &= Apply(*pending);
    pending.reset();
  }
  std::erase(pending_, nullptr);
  return right;
}

void Load::Send(Pending& pending, e2e::RawClient& client) {
  for (std::size_t i = 0; i < pending.objects.size() && !pending.executed; ++i) {
    Object& object = *objects_[pending.objects[i]];
    object.steps.push_back({pending.after[i], pending.event});
    object.busy = object.changed = true;
  }
  client.SetNextXid(pending.xid);
  pending.sent = Now();
  pending.call = pending.send(client);
}

void Load::TakeBack(Pending& pending) {
  for (const ObjectId id : pending.objects) {
    Object& object = *objects_[id];
    object.steps.pop_back();
    object.busy = false;
  }
  if (pending.procedure == Procedure::kMake) {
    std::erase(living_, pending.objects[0]);
    objects_.erase(pending.objects[0]);
  }
  ++figures_.refused;
  figures_.refused_removals += pending.frees;
}

std::uint64_t Load::living_bytes() const {
  std::uint64_t bytes = 0;
  for (const auto& [id, object] : objects_) bytes += object->now().exists() ? object->now().size : 0;
  return bytes;
}

bool Load::Apply(Pending& pending) {
  const e2e::Answer& answer = pending.call->Get();
  Object& object = *objects_[pending.objects[0]];
  if (options_.on_answer) options_.on_answer(pending.event->what, pending.sent, Now());
  if (answer.status == NFS3ERR_NOSPC && options_.may_fill && !pending.executed) {
    TakeBack(pending);
    return true;
  }
  if (answer.status == NFS3ERR_NOSPC && options_.may_fill && pending.idempotent) {
    // It was done before the crash, and to do it again takes room.
    for (ObjectId id : pending.objects) objects_[id]->busy = false;
    return true;
  }
  if (answer.status != NFS3_OK) {
    return Wrong(pending.event->what + " was answered with status " + std::to_string(answer.status) +
                 (pending.executed ? ", when it came again; it had been executed before the crash" : ""));
  }
  Event& event = *pending.event;
  event.answered = Now();
  event.promise = options_.relaxed ? Promise::kSoon : Promise::kDisk;
  if (pending.procedure == Procedure::kMake) {
    if (!answer.handle) return Wrong(event.what + " was answered without a handle");
    if (!object.handle.empty() && object.handle != *answer.handle) return Wrong(event.what + ": its handle changed");
    object.handle = *answer.handle;
    by_handle_[object.handle] = object.id;
  }
  if (pending.procedure == Procedure::kWrite) {
    event.promise = answer.committed == UNSTABLE ? Promise::kProcess : Promise::kDisk;
  }
  if (pending.procedure == Procedure::kCommit) event.promise = Promise::kDisk;
  if (pending.procedure == Procedure::kWrite || pending.procedure == Procedure::kCommit) {
    if (verifier_.empty()) verifier_ = answer.verifier;
    if (answer.verifier != verifier_) return Wrong(event.what + ": the write verifier changed within one life");
    if (verifiers_.contains(verifier_)) return Wrong(event.what + ": the write verifier is that of an earlier life");
  }
  for (ObjectId id : pending.objects) objects_[id]->busy = false;
  ++figures_.acknowledged;
  return true;
}

Load::Outcome Load::SendAgain() {
  std::vector<Call> calls;
  for (auto& pending : pending_) {
    if (pending->executed && !pending->idempotent && !kAnswersSurvive) {
      for (ObjectId id : pending->objects) objects_[id]->busy = false;
      pending.reset();
      continue;
    }
    Send(*pending, *clients_[Below(clients_.size())]);
    calls.push_back(*pending->call);
  }
  std::erase(pending_, nullptr);
  const bool all = Await(calls);
  for (auto& pending : pending_) {
    if (!pending->call->done() || !pending->call->Get().answered) continue;
    ++figures_.repeated;
    figures_.repeated_done += pending->executed && !pending->idempotent;
  }
  if (!ApplyAll()) return Outcome::kWrong;
  if (!all) return Outcome::kInterrupted;
  Bury();
  return Outcome::kGood;
}

std::string Load::Report() const {
  constexpr std::size_t kMost = 10;
  std::string text;
  for (std::size_t i = 0; i < std::min(wrong_.size(), kMost); ++i) text += "  " + wrong_[i] + "\n";
  if (wrong_.size() > kMost) text += "  and " + std::to_string(wrong_.size() - kMost) + " more\n";
  return text;
}

bool Load::Wrong(std::string what) {
  wrong_.push_back(std::move(what));
  return false;
}

}  // namespace strata::crash
