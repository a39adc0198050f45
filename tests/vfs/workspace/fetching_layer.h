// A layer for tests that holds nothing at hand: all that it is asked for has to come by a Fetch (base/fetch.h), which
// the test delivers, or fails.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/fetch.h"
#include "base/mutex.h"
#include "vfs/layer.h"

namespace strata::vfs::testing {

// What layers do not have at hand comes from here when somebody delivers it.
class FarStore {
 public:
  // Nothing: it is at hand. Else as base/fetch.h has it.
  Result<void> Want(const OpContext& context, const std::string& key) {
    std::shared_ptr<Fetch> fetch;
    {
      const MutexLock lock(mutex_);
      if (at_hand_.contains(key)) return {};
      // A failure is told to each that waited for it, once.
      if (context.fetch != nullptr && *context.fetch && (*context.fetch)->key() == key && (*context.fetch)->done()) {
        STRATA_TRY(std::exchange(*context.fetch, nullptr)->result());
      }
      std::shared_ptr<Fetch>& under_way = under_way_[key];
      if (under_way == nullptr) {
        under_way = std::make_shared<Fetch>(key);
        ++started_;
        last_ = key;
      }
      fetch = under_way;
      if (context.fetch == nullptr && context.may_block) {
        ++waits_;
        wanted_.push_back(fetch);
        changed_.NotifyOne();
      }
    }
    if (context.fetch != nullptr) {
      *context.fetch = fetch;
      return Fail(Errc::kWouldBlock);
    }
    if (!context.may_block) return Fail(Errc::kWouldBlock);
    if (!fetch->WaitFor(std::chrono::seconds(30))) return Fail(Errc::kServerFault, "nobody brought " + key);
    return fetch->result();
  }

  // Brings what the fetch is for, or fails it.
  void Deliver(Fetch& fetch) {
    Result<void> result;
    {
      const MutexLock lock(mutex_);
      if (fail_the_first_time && failed_.insert(fetch.key()).second) result = Fail(Errc::kIo, "the line is cut");
      if (result) at_hand_.insert(fetch.key());
      under_way_.erase(fetch.key());
    }
    fetch.Complete(std::move(result));
  }

  // Nothing is at hand any more.
  void Forget() {
    const MutexLock lock(mutex_);
    at_hand_.clear();
  }
  // Different things that were fetched.
  int started() const {
    const MutexLock lock(mutex_);
    return started_;
  }
  // Calls that waited themselves.
  int waits() const {
    const MutexLock lock(mutex_);
    return waits_;
  }
  // What was fetched last.
  std::string last() const {
    const MutexLock lock(mutex_);
    return last_;
  }
  // Things whose first fetch failed.
  int failures() const {
    const MutexLock lock(mutex_);
    return static_cast<int>(failed_.size());
  }

  // Set while nothing is under way.
  bool fail_the_first_time = false;
  std::size_t short_by = 0;  // so many bytes does each read lack

 private:
  // Delivers to those who wait themselves.
  void Carry(const std::stop_token& stop) {
    for (;;) {
      std::shared_ptr<Fetch> fetch;
      {
        const MutexLock lock(mutex_);
        while (wanted_.empty() && !stop.stop_requested()) changed_.Wait(mutex_);
        if (wanted_.empty()) return;
        fetch = std::move(wanted_.back());
        wanted_.pop_back();
      }
      if (!fetch->done()) Deliver(*fetch);
    }
  }

  mutable Mutex mutex_;
  CondVar changed_;
  std::set<std::string> at_hand_ STRATA_GUARDED_BY(mutex_), failed_ STRATA_GUARDED_BY(mutex_);
  std::map<std::string, std::shared_ptr<Fetch>> under_way_ STRATA_GUARDED_BY(mutex_);
  std::vector<std::shared_ptr<Fetch>> wanted_ STRATA_GUARDED_BY(mutex_);
  std::string last_ STRATA_GUARDED_BY(mutex_);
  int started_ STRATA_GUARDED_BY(mutex_) = 0, waits_ STRATA_GUARDED_BY(mutex_) = 0;
  std::jthread carrier_{[this](const std::stop_token& stop) {
    const std::stop_callback wake(stop, [this] {
      const MutexLock lock(mutex_);
      changed_.NotifyAll();
    });
    Carry(stop);
  }};
};

// What `inner` holds, once it has come.
class FetchingLayer final : public Layer {
 public:
  FetchingLayer(std::unique_ptr<Layer> inner, FarStore& store, std::string name, LayerTraits traits)
      : inner_(std::move(inner)), store_(store), name_(std::move(name)), traits_(std::move(traits)) {}

  const LayerTraits& Traits() const override { return traits_; }
  LayerNode Root() const override { return inner_->Root(); }
  Result<LayerStat> Stat(const OpContext& context, const LayerNode& node) override {
    STRATA_TRY(Want(context, "attributes", node.id));
    return inner_->Stat(context, node);
  }
  Result<LayerStat> Lookup(const OpContext& context, const LayerNode& directory, std::string_view name) override {
    STRATA_TRY(Want(context, "directory", directory.id));
    STRATA_ASSIGN(LayerStat found, inner_->Lookup(context, directory, name));
    STRATA_TRY(Want(context, "attributes", found.node.id));
    return found;
  }
  Result<void> ReadDirectory(const OpContext& context, const LayerNode& directory,
                             const std::function<bool(const LayerEntry&)>& visit) override {
    STRATA_TRY(Want(context, "directory", directory.id));
    return inner_->ReadDirectory(context, directory, visit);
  }
  Result<std::size_t> Read(const OpContext& context, const LayerNode& node, std::uint64_t offset, std::size_t length,
                           const LayerVersion* expected, ReadSink& sink) override {
    STRATA_TRY(Want(context, "file", node.id));
    return inner_->Read(context, node, offset, length - std::min(length, store_.short_by), expected, sink);
  }
  Result<std::string> ReadLink(const OpContext& context, const LayerNode& node) override {
    STRATA_TRY(Want(context, "target", node.id));
    return inner_->ReadLink(context, node);
  }
  Result<std::string> PathOf(const OpContext& context, const LayerNode& node) override {
    STRATA_TRY(Want(context, "path", node.id));
    return inner_->PathOf(context, node);
  }
  Result<std::vector<std::string>> ListXattr(const OpContext& context, const LayerNode& node) override {
    STRATA_TRY(Want(context, "xattrs", node.id));
    return inner_->ListXattr(context, node);
  }
  Result<std::string> GetXattr(const OpContext& context, const LayerNode& node, std::string_view name) override {
    STRATA_TRY(Want(context, "xattrs", node.id));
    return inner_->GetXattr(context, node, name);
  }
  std::string Describe() const override { return name_; }

 private:
  Result<void> Want(const OpContext& context, const char* what, std::uint64_t id) {
    return store_.Want(context, name_ + ' ' + what + ' ' + std::to_string(id));
  }

  const std::unique_ptr<Layer> inner_;
  FarStore& store_;
  const std::string name_;
  const LayerTraits traits_;
};

}  // namespace strata::vfs::testing
