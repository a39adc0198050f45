#include "tests/store/castore/castore_testing.h"

#include <cstdio>
#include <cstdlib>

namespace strata::store {

Directory MakeDirectory(NamedNodes entries) {
  auto made = Directory::Make(std::move(entries));
  if (made) return *made;
  std::fprintf(stderr, "%s\n", made.error().ToString().c_str());
  std::abort();
}

Node NodeTo(const Directory& directory, SizeRule rule) {
  return Node::OfDirectory(directory.digest(), directory.Size(rule));
}

Directory WithKeep() { return MakeDirectory({{".keep", Node::OfFile(Digest::OfEmpty(), 0)}}); }

Directory Complicated() {
  return MakeDirectory({{".keep", Node::OfFile(Digest::OfEmpty(), 0)},
                        {"aa", Node::OfSymlink(std::string(kElsewhere))},
                        {"keep", NodeTo(WithKeep())}});
}

Directory DirectoryA() { return {}; }
Directory DirectoryB() { return MakeDirectory({{"a", NodeTo(DirectoryA())}}); }
Directory DirectoryC() { return MakeDirectory({{"a", NodeTo(DirectoryA())}, {"a'", NodeTo(DirectoryA())}}); }
Directory DirectoryD(SizeRule rule) {
  return MakeDirectory({{"a", NodeTo(DirectoryA(), rule)}, {"b", NodeTo(DirectoryB(), rule)}});
}

}  // namespace strata::store
