// Names of trees as objects roots/NAME (spec castore CA-66).
#pragma once

#include <memory>

#include "store/castore/root_nodes.h"
#include "store/objects/bucket.h"

namespace strata::store {

class ObjectRoots final : public RootNodes {
 public:
  explicit ObjectRoots(std::shared_ptr<ObjectBucket> bucket) : bucket_(std::move(bucket)) {}

  Result<std::optional<Root>> Get(const Waiting& waiting, std::string_view name) override;
  Result<void> List(const Waiting& waiting,
                    const std::function<bool(std::string_view name, const Root& root)>& visit) override;
  Result<void> Set(std::string_view name, const Root& root) override;
  Result<void> Remove(std::string_view name) override;

 private:
  const std::shared_ptr<ObjectBucket> bucket_;
};

}  // namespace strata::store
