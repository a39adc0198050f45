// Random calls on a subject and on the reference model, compared call by call. STRATA_SEED=n runs that seed alone,
// STRATA_STEPS=n so many calls.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>

#include "duo.h"

namespace strata::vfs::testing {
namespace {

// Something of everything, so that calls fall on it.
Tree Base() {
  return {
      DirNode("a", 0777),
      FileNode("a/a", Pattern(50'000, 1), 0644, 1000, 1000),
      FileNode("a/b", "small", 0666, 1001, 1001),
      DirNode("a/c", 0755, 1000, 1000),
      FileNode("a/c/a", "deep"),
      DirNode("a/c/b", 0777),
      FileNode("a/c/b/a", Pattern(5000, 2), 0666),
      DirNode("a/c/b/c", 01777),
      SymlinkNode("a/d", "../b"),
      DirNode("b", 0777),
      DirNode("b/a", 0777, 1002, 1000),
      DirNode("b/a/a", 0777),
      FileNode("b/a/a/b", "x"),
      FileNode("b/b", Pattern(150'000, 3), 0664, 1002, 1000),
      SparseNode("b/c", 80'000),
      FileNode("c", "top", 0600, 1000, 1000),
      DirNode("e", 0711),
      FileNode("e/e", "searched, not listed", 0644),
  };
}

struct Case {
  SubjectKind kind;
  std::uint64_t seed;
};
void PrintTo(const Case& one, std::ostream* out) { *out << one.kind.name << " seed " << one.seed; }

std::vector<Case> Cases() {
  std::vector<Case> cases;
  const char* set = std::getenv("STRATA_SEED");
  for (const SubjectKind& kind : SubjectKinds()) {
    if (set != nullptr) {
      cases.push_back({kind, std::strtoull(set, nullptr, 10)});
      continue;
    }
    // The model against itself checks the comparison.
    for (std::uint64_t seed = 1; seed <= (kind.name == "Model" ? 1 : 3); ++seed) cases.push_back({kind, seed});
  }
  return cases;
}

class ReferenceModel : public ::testing::TestWithParam<Case> {};

TEST_P(ReferenceModel, AgreesCallByCall) {
  const auto& [kind, seed] = GetParam();
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  const char* set = std::getenv("STRATA_STEPS");
  const std::uint64_t steps = set != nullptr ? std::strtoull(set, nullptr, 10) : 2500;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(set != nullptr ? 3600 : 10);

  const Tree base = Base();
  std::unique_ptr<Subject> subject = kind.make(base);
  auto* workspace = dynamic_cast<WorkspaceSubject*>(subject.get());
  Duo duo(*subject, base, seed);
  std::mt19937_64 random(seed * 31 + 7);
  std::uint64_t step = 0;
  for (; step < steps && std::chrono::steady_clock::now() < deadline; ++step) {
    duo.Step();
    if (random() % 120 == 0) subject->Restart();
    if (random() % 150 == 0 && workspace != nullptr) workspace->Checkpoint();
    if (step % 200 == 199) duo.CompareTrees();
    ASSERT_FALSE(HasFailure()) << "at step " << step << " of seed " << seed << "; " << duo.Trace();
  }
  subject->Restart();
  duo.CompareTrees();
  ASSERT_FALSE(HasFailure()) << "after the last restart of seed " << seed << "; " << duo.Trace();
  // A run in which hardly anything happened, or nothing failed, proves nothing.
  EXPECT_GE(step, 200u);
  EXPECT_GT(duo.succeeded(), step / 4);
  EXPECT_GT(duo.refused(), step / 10);
}

INSTANTIATE_TEST_SUITE_P(Of, ReferenceModel, ::testing::ValuesIn(Cases()),
                         [](const ::testing::TestParamInfo<Case>& info) {
                           return info.param.kind.name + "Seed" + std::to_string(info.param.seed);
                         });

}  // namespace
}  // namespace strata::vfs::testing
