// Arbitrary bytes as a Directory message: refused, or a directory whose canonical bytes are read as the same one.
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "store/castore/directory.h"

namespace {

using namespace strata::store;

void Expect(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto directory = Directory::Parse(std::as_bytes(std::span(data, size)));
  if (!directory) {
    Expect(!directory.error().message().empty() && directory.error().message().size() < 1000);
    return 0;
  }
  Expect(directory->canonical().size() <= size);
  Expect(directory->digest() == Digest::Of(directory->canonical()));
  const auto again = Directory::ParseVerified(directory->canonical(), directory->digest());
  Expect(again && std::ranges::equal(again->canonical(), directory->canonical()));
  std::vector<std::pair<std::string, Node>> entries;
  for (std::size_t i = 0; i < directory->count(); ++i) {
    const Directory::Entry entry = directory->At(i);
    Expect(NodeNameFault(entry.name).empty());
    Expect(i == 0 || directory->At(i - 1).name < entry.name);
    Expect(directory->Find(entry.name) == i);
    entries.emplace_back(std::string(entry.name), entry.node());
  }
  std::ranges::reverse(entries);
  const auto made = Directory::Make(std::move(entries));
  Expect(made && *made == *directory);
  Expect(made->Size(SizeRule::kDocumented) >= directory->count());
  return 0;
}
