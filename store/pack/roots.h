// The names of a pack store: one file a name, in the folder roots. A file holds what
// store/castore/root_message.h says.
#pragma once

#include <string>
#include <string_view>

#include "store/castore/root_nodes.h"
#include "store/pack/engine.h"

namespace strata::store::pack {

// Thread-safe, also between processes: of two that set a name at once the last one wins.
class PackRoots final : public RootNodes {
 public:
  // `engine` must live as long.
  explicit PackRoots(Engine& engine) : engine_(engine) {}

  // The disk is asked each time: another process may have set the name.
  Result<std::optional<Root>> Get(const Waiting& waiting, std::string_view name) override;
  Result<void> List(const Waiting& waiting,
                    const std::function<bool(std::string_view name, const Root& root)>& visit) override;
  // What was put so far is made durable first. kNotFound where the store lacks what the name would stand for, or a
  // collection that runs beside has removed some of it.
  Result<void> Set(std::string_view name, const Root& root) override;
  Result<void> Remove(std::string_view name) override;

 private:
  std::string PathOf(std::string_view name) const { return engine_.layout().roots() + '/' + std::string(name); }
  Result<void> CheckIsThere(const Root& root);

  Engine& engine_;
};

}  // namespace strata::store::pack
