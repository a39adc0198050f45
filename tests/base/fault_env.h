// FaultEnv: the real file system with faults. It fails the nth call of a kind, and it loses power: PowerLoss puts every
// file back to what was synced of it, with or without some of what was not.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/env.h"

namespace strata {

class FaultEnv final : public Env {
 public:
  enum Call : std::size_t {
    kOpen,
    kWrite,
    kAllocate,
    kTruncate,
    kSync,
    kSyncDirectory,
    kMap,
    kRemove,
    kRename,
    kCalls
  };

  explicit FaultEnv(Env& base = Env::System()) : base_(base) {}

  // The call of this kind after `successes` more gives `code`; with `forever`, so do all that follow.
  void FailAfter(Call call, int successes, Errc code, bool forever = false) {
    const std::lock_guard lock(mutex_);
    faults_[call] = {successes, code, forever, true};
  }
  // The machine stops at the call that changes anything after `calls` more: that one and all later ones give kIo.
  // (PowerLoss starts it again.)
  void StopAfter(int calls) {
    const std::lock_guard lock(mutex_);
    until_stop_ = calls;
  }
  bool stopped() const {
    const std::lock_guard lock(mutex_);
    return until_stop_ == 0;
  }
  // As Linux has it: a sync that fails drops what was not durable by then, though it is still read, unless its page is
  // written to again. Each file that was open on it by then fails its next sync once; later syncs go well.
  void SetFailedSyncsDrop(bool drop) { failed_syncs_drop_ = drop; }
  // A write that fails has written this much before.
  void SetTornWrite(std::size_t bytes) { torn_bytes_ = bytes; }
  int Count(Call call) const {
    const std::lock_guard lock(mutex_);
    return counts_[call];
  }
  // Called before each sync of a file, without a lock; a test can hold the sync up there.
  void OnSync(std::function<void()> hook) { on_sync_ = std::move(hook); }

  // The machine stops and starts again: files opened before give kIo for good. Of each 512 bytes that were written but
  // not synced, and of each name made or removed without a sync of its directory, `keep` in 1000 reach the disk all the
  // same.
  void PowerLoss(std::uint32_t seed = 0, int keep = 0) {
    const std::lock_guard lock(mutex_);
    ++epoch_;
    faults_ = {};
    until_stop_ = -1;
    std::mt19937 random(seed);
    const auto kept = [&] { return static_cast<int>(random() % 1000) < keep; };
    struct Left {
      std::string path, content;
    };
    std::vector<Left> left;
    std::map<const Node*, bool> renamed;  // a name is moved whole, and what bore it before goes with that
    for (const auto& node : nodes_) renamed[node.get()] = node->path != node->durable_path && kept();
    for (const auto& node : nodes_) {
      const Node* const mover = node->replaced_by ? node->replaced_by.get() : node.get();
      const std::string name = renamed[mover] ? node->path : node->durable_path;
      std::string content = node->synced;
      std::string now = node->path.empty() ? node->synced : ReadAll(node->path);
      if (now.size() > content.size()) content.resize(now.size());
      for (std::size_t at = 0; at < now.size(); at += kSector) {
        if (kept()) content.replace(at, std::min(kSector, now.size() - at), now, at, kSector);
      }
      if (now.size() > node->synced.size() && keep == 0) content.resize(node->synced.size());
      if (!name.empty()) left.push_back({name, std::move(content)});
    }
    for (const auto& node : nodes_) {
      if (!node->path.empty()) std::filesystem::remove(node->path);
    }
    nodes_.clear();
    for (const Left& file : left) {
      std::ofstream(file.path, std::ios::binary) << file.content;
      nodes_.push_back(std::make_shared<Node>(Node{file.path, file.path, file.content}));
    }
  }

  Result<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override {
    STRATA_TRY(Enter(kOpen));
    const std::lock_guard lock(mutex_);
    const bool existed = std::filesystem::exists(path);
    auto file = base_.Open(path, mode);
    if (!file) return file;
    std::shared_ptr<Node> node;
    for (const auto& known : nodes_) {
      if (known->path == path) node = known;
    }
    if (!node) {
      node = std::make_shared<Node>(Node{path, existed ? path : "", existed ? ReadAll(path) : ""});
      nodes_.push_back(node);
    }
    return std::make_unique<FaultFile>(*this, std::move(*file), std::move(node), epoch_);
  }
  Result<void> CreateDirectory(const std::string& path) override { return base_.CreateDirectory(path); }
  Result<std::vector<std::string>> ListDirectory(const std::string& path) override { return base_.ListDirectory(path); }
  Result<void> Rename(const std::string& from, const std::string& to) override {
    STRATA_TRY(Enter(kRename));
    const std::lock_guard lock(mutex_);
    STRATA_TRY(base_.Rename(from, to));
    const auto mover = std::ranges::find(nodes_, from, [](const auto& node) { return node->path; });
    for (const auto& node : nodes_) {
      if (node->path != to) continue;
      node->path.clear();
      if (mover != nodes_.end()) node->replaced_by = *mover;
    }
    if (mover != nodes_.end()) (*mover)->path = to;
    return {};
  }
  Result<void> Exchange(const std::string& one, const std::string& other) override {
    STRATA_TRY(Enter(kRename));
    const std::lock_guard lock(mutex_);
    STRATA_TRY(base_.Exchange(one, other));
    const auto first = std::ranges::find(nodes_, one, [](const auto& node) { return node->path; });
    const auto second = std::ranges::find(nodes_, other, [](const auto& node) { return node->path; });
    (*first)->path = other;
    (*second)->path = one;
    (*second)->replaced_by = *first;
    return {};
  }
  Result<void> Remove(const std::string& path) override {
    STRATA_TRY(Enter(kRemove));
    const std::lock_guard lock(mutex_);
    STRATA_TRY(base_.Remove(path));
    for (const auto& node : nodes_) {
      if (node->path == path) node->path.clear();
    }
    return {};
  }
  Result<void> SyncDirectory(const std::string& path) override {
    STRATA_TRY(Enter(kSyncDirectory));
    const std::lock_guard lock(mutex_);
    const auto inside = [&](const std::string& file) {
      return !file.empty() && std::filesystem::path(file).parent_path() == std::filesystem::path(path);
    };
    for (const auto& node : nodes_) {
      if (!inside(node->path) && !inside(node->durable_path)) continue;
      node->durable_path = node->path;
      node->replaced_by.reset();
    }
    return {};
  }
  Result<Space> SpaceOf(const std::string& path) override { return base_.SpaceOf(path); }
  // The clock stands at `time` until it is set anew.
  void SetClock(Time time) { clock_ns_ = time.ns; }
  Time Now() override { return clock_ns_ == kRuns ? base_.Now() : Time{clock_ns_}; }
  std::int64_t MonotonicNs() override { return base_.MonotonicNs(); }
  void Random(MutableByteSpan out) override { base_.Random(out); }

 private:
  static constexpr std::size_t kSector = 512;
  static constexpr std::size_t kPage = 4096;
  static constexpr std::int64_t kRuns = -1;  // of clock_ns_: as the system's

  struct Fault {
    int successes = 0;
    Errc code = Errc::kIo;
    bool forever = false;
    bool set = false;
  };
  struct Node {
    std::string path;                        // "" once removed
    std::string durable_path;                // what a power loss leaves; "" for nothing
    std::string synced;                      // its content
    std::set<std::size_t> lost = {};         // pages that a failed sync dropped
    int failures = 0;                        // of syncs, that dropped something
    std::shared_ptr<Node> replaced_by = {};  // what took its name, durably or not as that one did
  };

  class FaultFile final : public File {
   public:
    FaultFile(FaultEnv& env, std::unique_ptr<File> file, std::shared_ptr<Node> node, int epoch)
        : env_(env), file_(std::move(file)), node_(std::move(node)), epoch_(epoch), failures_(node_->failures) {}
    Result<std::size_t> ReadAt(std::uint64_t offset, MutableByteSpan out) override {
      STRATA_TRY(Alive());
      return file_->ReadAt(offset, out);
    }
    Result<void> WriteAt(std::uint64_t offset, std::span<const ByteSpan> pieces) override {
      STRATA_TRY(Alive());
      if (auto entered = env_.Enter(kWrite); !entered) {
        std::string all;
        for (const ByteSpan piece : pieces) all += AsText(piece);
        all.resize(std::min(all.size(), env_.torn_bytes_));
        const ByteSpan torn[] = {AsBytes(all)};
        (void)file_->WriteAt(offset, torn);
        return entered;
      }
      if (!env_.failed_syncs_drop_) return file_->WriteAt(offset, pieces);
      std::size_t size = 0;
      for (const ByteSpan piece : pieces) size += piece.size();
      const std::lock_guard lock(env_.mutex_);
      STRATA_TRY(file_->WriteAt(offset, pieces));
      if (size > 0) {
        node_->lost.erase(node_->lost.lower_bound(offset / kPage),
                          node_->lost.upper_bound((offset + size - 1) / kPage));
      }
      return {};
    }
    Result<void> Allocate(std::uint64_t offset, std::uint64_t length) override {
      STRATA_TRY(Alive());
      STRATA_TRY(env_.Enter(kAllocate));
      return file_->Allocate(offset, length);
    }
    Result<void> Truncate(std::uint64_t size) override {
      STRATA_TRY(Alive());
      STRATA_TRY(env_.Enter(kTruncate));
      return file_->Truncate(size);
    }
    Result<std::uint64_t> Size() override {
      STRATA_TRY(Alive());
      return file_->Size();
    }
    Result<void> SyncData() override {
      if (env_.on_sync_) env_.on_sync_();
      STRATA_TRY(Alive());
      if (env_.failed_syncs_drop_) STRATA_TRY(TellFailure());
      const auto entered = env_.Enter(kSync);
      if (!entered && !env_.failed_syncs_drop_) return entered;
      STRATA_ASSIGN(const std::uint64_t size, file_->Size());
      std::string content(size, '\0');
      STRATA_TRY(file_->ReadAt(0, std::as_writable_bytes(std::span(content.data(), content.size()))));
      const std::lock_guard lock(env_.mutex_);
      std::string durable = node_->synced;
      durable.resize(size);
      for (std::size_t at = 0; at < size; at += kPage) {
        const bool dropped = node_->lost.contains(at / kPage);
        if (!entered && durable.compare(at, kPage, content, at, kPage) != 0) node_->lost.insert(at / kPage);
        if (entered && dropped) content.replace(at, kPage, durable, at, kPage);
      }
      if (entered) {
        node_->synced = std::move(content);
      } else {
        failures_ = ++node_->failures;
      }
      return entered;
    }
    Result<void> WriteBack(std::uint64_t, std::uint64_t) override {
      if (env_.on_sync_) env_.on_sync_();
      STRATA_TRY(Alive());
      return env_.Enter(kSync);
    }
    Result<std::unique_ptr<Mapping>> Map(std::uint64_t length) override {
      STRATA_TRY(Alive());
      STRATA_TRY(env_.Enter(kMap));
      return file_->Map(length);
    }
    Result<void> Lock() override { return file_->Lock(); }
    Result<void> LockShared() override { return file_->LockShared(); }
    void Unlock() override { file_->Unlock(); }

   private:
    Result<void> TellFailure() {
      const std::lock_guard lock(env_.mutex_);
      if (std::exchange(failures_, node_->failures) == node_->failures) return {};
      return Fail(Errc::kIo, "what was written before was lost");
    }
    Result<void> Alive() const {
      const std::lock_guard lock(env_.mutex_);
      if (epoch_ != env_.epoch_) return Fail(Errc::kIo, "the machine has stopped");
      return {};
    }

    FaultEnv& env_;
    const std::unique_ptr<File> file_;
    const std::shared_ptr<Node> node_;
    const int epoch_;
    int failures_;  // of the node's, those that were told
  };

  Result<void> Enter(Call call) {
    const std::lock_guard lock(mutex_);
    ++counts_[call];
    if (call != kMap && until_stop_ >= 0) {
      if (until_stop_ == 0) return Fail(Errc::kIo, "the machine has stopped");
      if (--until_stop_ == 0) return Fail(Errc::kIo, "the machine stops");
    }
    Fault& fault = faults_[call];
    if (!fault.set || fault.successes-- > 0) return {};
    if (fault.forever) {
      fault.successes = 0;
    } else {
      fault.set = false;
    }
    return Fail(fault.code, "injected fault");
  }
  static std::string ReadAll(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  Env& base_;
  mutable std::mutex mutex_;
  std::array<Fault, kCalls> faults_{};
  std::array<int, kCalls> counts_{};
  std::size_t torn_bytes_ = 0;
  std::atomic<bool> failed_syncs_drop_{false};
  int until_stop_ = -1;  // calls; 0: it has stopped, below: it does not
  std::function<void()> on_sync_;
  std::atomic<std::int64_t> clock_ns_{kRuns};
  int epoch_ = 0;
  std::vector<std::shared_ptr<Node>> nodes_;
};

}  // namespace strata
