#include "store/castore/combined_roots.h"

#include <map>

namespace strata::store {

Result<std::optional<Root>> CombinedRoots::Get(const Waiting& waiting, std::string_view name) {
  STRATA_ASSIGN(auto near, near_->Get(waiting, name));
  return near ? near : far_->Get(waiting, name);
}

Result<void> CombinedRoots::List(const Waiting& waiting,
                                 const std::function<bool(std::string_view name, const Root& root)>& visit) {
  std::map<std::string, Root, std::less<>> names;
  STRATA_TRY(near_->List(waiting, [&](std::string_view name, const Root& root) {
    names.emplace(name, root);
    return true;
  }));
  // Both in the order of the names: what the near one has before a name of the far one goes first.
  auto next = names.begin();
  bool go_on = true;
  STRATA_TRY(far_->List(waiting, [&](std::string_view name, const Root& root) {
    for (; go_on && next != names.end() && next->first <= name; ++next) {
      go_on = visit(next->first, next->second);
    }
    if (go_on && !names.contains(name)) go_on = visit(name, root);
    return go_on;
  }));
  for (; go_on && next != names.end(); ++next) go_on = visit(next->first, next->second);
  return {};
}

}  // namespace strata::store
