// Names of trees in two stores, and none at all (spec castore CA-49).
#pragma once

#include <memory>
#include <string>

#include "store/castore/root_nodes.h"

namespace strata::store {

// A name is what the near store says of it, or else the far one. What is set or removed is so in the near one.
class CombinedRoots final : public RootNodes {
 public:
  CombinedRoots(std::shared_ptr<RootNodes> near, std::shared_ptr<RootNodes> far)
      : near_(std::move(near)), far_(std::move(far)) {}

  Result<std::optional<Root>> Get(const Waiting& waiting, std::string_view name) override;
  // Holds the names of the near store in memory.
  Result<void> List(const Waiting& waiting,
                    const std::function<bool(std::string_view name, const Root& root)>& visit) override;
  Result<void> Set(std::string_view name, const Root& root) override { return near_->Set(name, root); }
  Result<void> Remove(std::string_view name) override { return near_->Remove(name); }

 private:
  const std::shared_ptr<RootNodes> near_, far_;
};

// A store without names.
class NoRoots final : public RootNodes {
 public:
  // `where`: what messages call the store.
  explicit NoRoots(std::string where) : where_(std::move(where)) {}
  Result<std::optional<Root>> Get(const Waiting&, std::string_view) override { return std::nullopt; }
  Result<void> List(const Waiting&, const std::function<bool(std::string_view, const Root&)>&) override { return {}; }
  Result<void> Set(std::string_view name, const Root&) override {
    return Fail(Errc::kReadOnly, "set the name " + std::string(name) + ": " + where_ + " keeps no names");
  }

 private:
  const std::string where_;
};

}  // namespace strata::store
