// The directories of a pack store.
#pragma once

#include <optional>
#include <string>

#include "store/castore/directory_service.h"
#include "store/pack/engine.h"

namespace strata::store::pack {

// Thread-safe.
class PackDirectories final : public DirectoryService {
 public:
  // `engine` must live as long.
  explicit PackDirectories(Engine& engine) : engine_(engine) {}

  Result<std::optional<Directory>> Get(const Waiting& waiting, const Digest& digest) override;
  Result<Digest> Put(const Directory& directory) override;
  Result<void> Sync() override { return engine_.Sync(); }
  std::string Describe() const override { return engine_.Describe(); }

 private:
  Engine& engine_;
};

}  // namespace strata::store::pack
