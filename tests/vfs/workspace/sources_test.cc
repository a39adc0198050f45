// Workspace::Sources: what a path comes from.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "subject.h"

namespace strata::vfs::testing {
namespace {

using ::testing::ElementsAre;

class Sources : public ::testing::Test {
 protected:
  std::vector<std::string> Of(std::string_view path) {
    auto sources = subject_.workspace().Sources(client_.IdOf(path));
    EXPECT_OK(sources);
    return sources.value_or(std::vector<std::string>());
  }
  HostSubject subject_{std::vector<Tree>{{DirNode("d"), FileNode("d/both", "upper"), FileNode("d/high", "x")},
                                         {DirNode("d"), FileNode("d/both", "lower"), FileNode("d/low", "x")},
                                         {DirNode("opt"), FileNode("opt/tool", "x")}},
                       TestOptions(),
                       {},
                       {"", "", "/at"}};
  Client client_{subject_};
  const std::string high_ = subject_.layer(0), low_ = subject_.layer(1), at_ = subject_.layer(2) + " at /at";
  const std::string own_ = "workspace " + subject_.folder();
};

TEST_F(Sources, ADirectoryComesFromAllLayersThatHaveItAndAFileFromTheHighest) {
  EXPECT_THAT(Of("d"), ElementsAre(high_, low_));
  EXPECT_THAT(Of("d/both"), ElementsAre(high_));
  EXPECT_THAT(Of("d/high"), ElementsAre(high_));
  EXPECT_THAT(Of("d/low"), ElementsAre(low_));
  EXPECT_THAT(Of("at/opt/tool"), ElementsAre(at_));
  EXPECT_THAT(Of(""), ElementsAre(high_, low_, at_));
}

TEST_F(Sources, WhatWasChangedHereComesFromTheWorkspaceFirst) {
  ASSERT_OK(client_.Chmod("d/low", 0600));
  EXPECT_THAT(Of("d/low"), ElementsAre(own_, low_));
  EXPECT_THAT(Of("d"), ElementsAre(own_, high_, low_)) << "it holds the file's name";
  ASSERT_OK(client_.WriteFile("d/new", "x"));
  EXPECT_THAT(Of("d/new"), ElementsAre(own_));
  subject_.Restart();
  EXPECT_THAT(Of("d/low"), ElementsAre(own_, low_));
  EXPECT_THAT(Of("d/new"), ElementsAre(own_));
}

TEST_F(Sources, ADirectoryThatWasMadeAnewHidesThatOfTheLayers) {
  for (const char* name : {"d/both", "d/high", "d/low"}) ASSERT_OK(client_.Unlink(name));
  ASSERT_OK(client_.Rmdir("d"));
  ASSERT_OK(client_.Mkdir("d"));
  EXPECT_THAT(Of("d"), ElementsAre(own_));
}

TEST_F(Sources, WhatIsGoneIsStale) {
  const ObjectId id = client_.IdOf("d/low");
  ASSERT_OK(client_.Unlink("d/low"));
  EXPECT_CODE(subject_.workspace().Sources(id), Errc::kStale);
}

}  // namespace
}  // namespace strata::vfs::testing
