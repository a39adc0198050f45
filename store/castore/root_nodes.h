// RootNodes: the names under which a store's trees are known (spec castore 9: CA-49, CA-66). Thread-safe.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/attributes.h"
#include "base/fetch.h"
#include "base/status.h"
#include "store/castore/directory.h"

namespace strata::store {

struct Root {
  Node node;
  std::optional<Digest> attributes;  // of the blob of what castore cannot say (docs/formats/attributes.md)
  Time set{};                        // when the name was set to it
  friend bool operator==(const Root&, const Root&) = default;
};

class RootNodes {
 public:
  virtual ~RootNodes() = default;

  // Nothing: there is none of that name.
  virtual Result<std::optional<Root>> Get(const Waiting& waiting, std::string_view name) = 0;
  // In the order of the names' bytes, until `visit` says false. kAccess where the names cannot be listed.
  virtual Result<void> List(const Waiting& waiting,
                            const std::function<bool(std::string_view name, const Root& root)>& visit) = 0;
  // Durable when it returns. kInvalid for a name that no directory could hold (CheckNodeName). Default: kReadOnly.
  virtual Result<void> Set(std::string_view name, const Root& root);
  // kNotFound where there is none. Default: kReadOnly.
  virtual Result<void> Remove(std::string_view name);
};

}  // namespace strata::store
