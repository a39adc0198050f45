// What others registered, in a file: true until the machine starts anew.
#include "server/portmap/kept_registrations.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/base/fault_env.h"
#include "tests/base/temp_folder.h"

namespace strata::portmap {
namespace {

using Registrations = std::vector<Registration>;

const std::string kBoot = "5a7c0f6e-1111-2222-3333-444455556666\n";

Registrations Example() {
  return {{100024, 1, "udp", "127.0.0.1.3.4", "29"},
          {100021, 4, "tcp6", "::.156.64", "superuser"},
          {0xffffffff, 0, "local", "/run/with\"quotes\\.sock", ""}};
}

TEST(KeptRegistrations, AreWhatTheirPageSays) {
  EXPECT_EQ(FormatRegistrations("b", {{100024, 1, "udp", "127.0.0.1.3.4", "29"}}),
            "{\n"
            " \"boot\": \"b\",\n"
            " \"format\": \"strata portmap registrations\",\n"
            " \"registrations\": [\n"
            "  {\n"
            "   \"netid\": \"udp\",\n"
            "   \"owner\": \"29\",\n"
            "   \"program\": 100024,\n"
            "   \"uaddr\": \"127.0.0.1.3.4\",\n"
            "   \"version\": 1\n"
            "  }\n"
            " ],\n"
            " \"version\": 1\n"
            "}\n");
}

TEST(KeptRegistrations, WhatIsParsedIsWhatWasFormatted) {
  for (const Registrations& all : {Registrations{}, Example()}) {
    const auto parsed = ParseRegistrations(kBoot, FormatRegistrations(kBoot, all));
    ASSERT_TRUE(parsed) << parsed.error().ToString();
    EXPECT_EQ(*parsed, all);
  }
}

TEST(KeptRegistrations, AfterAStartOfTheMachineNothingIsTrue) {
  const std::string text = FormatRegistrations(kBoot, Example());
  for (const std::string& boot : {std::string(), kBoot.substr(1), kBoot + "x"}) {
    const auto parsed = ParseRegistrations(boot, text);
    ASSERT_TRUE(parsed);
    EXPECT_TRUE(parsed->empty());
  }
}

std::string Instead(const std::string& from, const std::string& to) {
  std::string text = FormatRegistrations("b", {{100024, 1, "udp", "127.0.0.1.3.4", "29"}});
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(KeptRegistrations, WhatIsMalformedIsRefused) {
  const Registrations many(kMaxRegistrations + 1, Example()[0]);
  for (const std::string& text : {std::string(), std::string("{"), std::string("[]"), std::string("{}"),
                                  std::string("\xff"), std::string(5000, '['), Instead("strata portmap", "strata lock"),
                                  Instead("\n \"version\": 1", "\n \"version\": 2"), Instead("[", "[7, "),
                                  Instead("[", "[[], "), Instead("\"registrations\"", "\"registration\""),
                                  FormatRegistrations("b", many), FormatRegistrations("b", Example()).substr(0, 90)}) {
    const auto parsed = ParseRegistrations("b", text);
    ASSERT_FALSE(parsed) << text.substr(0, 300);
    EXPECT_EQ(parsed.error().code(), Errc::kCorrupt);
  }
  EXPECT_TRUE(ParseRegistrations("b", FormatRegistrations("b", Registrations(kMaxRegistrations, Example()[0]))));
}

TEST(KeptRegistrations, AMalformedFieldMakesARegistrationThatNobodyCanFind) {
  for (const std::string& text :
       {Instead("\"udp\"", "7"), Instead("\"netid\"", "\"net\""), Instead("\"127.0.0.1.3.4\"", "null"),
        Instead("\"udp\"", "\"\\u0007\""), Instead("\"udp\"", "\"" + std::string(109, 'u') + "\"")}) {
    const auto parsed = ParseRegistrations("b", text);
    ASSERT_TRUE(parsed) << text;
    ASSERT_EQ(parsed->size(), 1u);
    Registry registry;
    EXPECT_FALSE(registry.Set(parsed->front())) << text;
  }
  const auto number = ParseRegistrations("b", Instead("100024", "-100024"));
  ASSERT_TRUE(number);
  EXPECT_EQ(number->front().program, 0u);
}

// 2^32 more is another number, and not the program's.
TEST(KeptRegistrations, ANumberThatIsTooLargeIsNoProgram) {
  const auto parsed = ParseRegistrations("b", Instead("100024", "4295067320"));
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->front().program, 0u);
}

class KeptRegistrationsFile : public ::testing::Test {
 protected:
  void Put(std::string_view content) { std::ofstream(path_, std::ios::binary) << content; }

  const TempFolder folder_;
  const std::string path_ = folder_ / "portmap.json";
  FaultEnv env_;
};

TEST_F(KeptRegistrationsFile, IsReadAgainUntilTheMachineStartsAnew) {
  EXPECT_TRUE(LoadRegistrations(env_, path_).empty()) << "there is none yet";
  SaveRegistrations(env_, path_, Example());
  EXPECT_EQ(LoadRegistrations(env_, path_), Example());
  SaveRegistrations(env_, path_, {});
  EXPECT_TRUE(LoadRegistrations(env_, path_).empty());
  Put(FormatRegistrations(kBoot, Example()));
  EXPECT_TRUE(LoadRegistrations(env_, path_).empty()) << "of another start";
}

TEST_F(KeptRegistrationsFile, NamesTheStartOfTheMachine) {
  std::ifstream kernel("/proc/sys/kernel/random/boot_id");
  std::string boot;
  ASSERT_TRUE(std::getline(kernel, boot));
  SaveRegistrations(env_, path_, Example());
  std::ifstream file(path_);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  EXPECT_NE(text.find(boot), std::string::npos) << text.substr(0, 200);
  EXPECT_EQ(ParseRegistrations(boot + "\n", text).value_or(Registrations{}), Example());
  Put(FormatRegistrations("", Example()));
  EXPECT_TRUE(LoadRegistrations(env_, path_).empty()) << "where the start was not known";
}

TEST_F(KeptRegistrationsFile, HoldsAsManyAsThereMayBe) {
  // Each field as long as the registry takes it, and of what takes the most room here.
  const std::string longest(108, '"');
  const Registrations all(kMaxRegistrations, {0xffffffff, 0xffffffff, longest, longest, longest});
  SaveRegistrations(env_, path_, all);
  EXPECT_EQ(LoadRegistrations(env_, path_), all);
}

TEST_F(KeptRegistrationsFile, WhatCannotBeReadIsNothing) {
  for (const std::string_view text : {"", "{", "[]"}) {
    Put(text);
    EXPECT_TRUE(LoadRegistrations(env_, path_).empty());
  }
  std::filesystem::resize_file(path_, (std::uintmax_t{1} << 20) + 1);
  EXPECT_TRUE(LoadRegistrations(env_, path_).empty());
  std::filesystem::remove(path_);
  std::filesystem::create_directory(path_);
  EXPECT_TRUE(LoadRegistrations(env_, path_).empty());
}

TEST_F(KeptRegistrationsFile, AWriteThatFailsLeavesWhatWasThere) {
  SaveRegistrations(env_, path_, Example());
  for (const FaultEnv::Call call : {FaultEnv::kOpen, FaultEnv::kWrite, FaultEnv::kSync, FaultEnv::kRename}) {
    env_.FailAfter(call, call == FaultEnv::kOpen ? 1 : 0, Errc::kNoSpace);  // the first is of the machine's start
    SaveRegistrations(env_, path_, {});
    EXPECT_EQ(LoadRegistrations(env_, path_), Example()) << call;
  }
}

}  // namespace
}  // namespace strata::portmap
