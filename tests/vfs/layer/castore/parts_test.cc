// The parts of a castore layer by themselves: the arithmetic of numbers.
#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "tests/vfs/layer/castore/castore_testing.h"
#include "vfs/layer/castore/numbered_directory.h"

namespace strata::vfs::castore {
namespace {

TEST(NumberedDirectory, OffsetsAndTheirInverseAgreeWithCounting) {
  std::mt19937 random(3);
  for (int round = 0; round < 200; ++round) {
    const bool half = round % 2 == 0;
    NamedNodes entries;
    for (std::uint32_t i = random() % 12; i > 0; --i) {
      const std::string name = "n" + std::to_string(i);
      const std::uint64_t size = random() % 5 * (half ? 2 : 1);
      entries.emplace_back(
          name, random() % 2 == 0 ? store::Node::OfDirectory(store::Digest(), size) : store::Node::OfSymlink("t"));
    }
    const auto directory = store::Directory::Make(std::move(entries));
    ASSERT_TRUE(directory);
    const auto rule = half ? store::SizeRule::kDoubled : store::SizeRule::kDocumented;
    const auto made = NumberedDirectory::Make(*directory, directory->Size(rule), half ? Span::kHalf : Span::kDense);
    ASSERT_TRUE(made);
    std::uint64_t offset = 1;
    for (std::size_t i = 0; i < directory->count(); ++i) {
      EXPECT_EQ(made->OffsetOf(i), offset);
      const auto entry = directory->At(i);
      const std::uint64_t beneath = entry.kind == store::NodeKind::kDirectory ? entry.size / (half ? 2 : 1) : 0;
      for (std::uint64_t at = 0; at <= beneath; ++at) EXPECT_EQ(made->IndexAt(offset + at), i);
      offset += 1 + beneath;
    }
    EXPECT_EQ(made->IndexAt(offset), directory->count());
    EXPECT_EQ(made->IndexAt(0), directory->count());
    EXPECT_EQ(made->IndexAt(~std::uint64_t{0}), directory->count());
    for (const std::uint64_t other : {directory->Size(rule) + 1, std::uint64_t{1} << 54}) {
      EXPECT_EQ(NumberedDirectory::Make(*directory, other, half ? Span::kHalf : Span::kDense).error().code(),
                Errc::kCorrupt);
    }
  }
}

}  // namespace
}  // namespace strata::vfs::castore
