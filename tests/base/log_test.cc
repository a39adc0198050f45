#include "base/log.h"

#include <gtest/gtest.h>

namespace strata::log {
namespace {

TEST(Log, ALineIsAnEventAndItsFields) {
  EXPECT_EQ(Line("begun", {}), "event=begun");
  EXPECT_EQ(Line("checkpoint_ended", {{"records", 12u}, {"age", -3}, {"most", ~std::uint64_t{0}}, {"settled", true}}),
            "event=checkpoint_ended records=12 age=-3 most=18446744073709551615 settled=yes");
  const std::string path = "/a/b-c_d.e,f:1[2]";
  EXPECT_EQ(Line("x", {{"path", path}, {"word", "plain"}}), "event=x path=/a/b-c_d.e,f:1[2] word=plain");
}

TEST(Log, AnErrorIsSaidInItsWords) {
  EXPECT_EQ(Line("x", {{"error", Status(Errc::kNotFound, "opening \"f\"")}}),
            "event=x error=\"opening \\\"f\\\" (ENOENT)\"");
}

TEST(Log, WhatIsNotPlainIsQuoted) {
  EXPECT_EQ(Line("x", {{"v", ""}}), R"(event=x v="")");
  EXPECT_EQ(Line("x", {{"v", "two words"}}), R"(event=x v="two words")");
  EXPECT_EQ(Line("x", {{"v", "a=b"}}), R"(event=x v="a=b")");
  EXPECT_EQ(Line("x", {{"v", R"(back\slash)"}}), R"(event=x v="back\\slash")");
  EXPECT_EQ(Line("x", {{"v", "j\xc3\xbcrgen \xe2\x82\xac \xf0\x9f\x8c\xb1"}}),
            "event=x v=\"j\xc3\xbcrgen \xe2\x82\xac \xf0\x9f\x8c\xb1\"");
}

TEST(Log, ANameForgesNoLineAndSteersNoTerminal) {
  EXPECT_EQ(Line("x", {{"name", "a\" event=taken_over\nevent=y"}}),
            R"(event=x name="a\" event=taken_over\x0aevent=y")");
  EXPECT_EQ(Line("x", {{"name", "\x1b[2J\x7f\r"}}), R"(event=x name="\x1b[2J\x7f\x0d")");
  EXPECT_EQ(Line("x", {{"name", std::string_view("\0", 1)}}), R"(event=x name="\x00")");
  // Not UTF-8, too long, cut, a surrogate, beyond the last; C1 controls; what turns the direction or ends a line.
  EXPECT_EQ(Line("x", {{"n", "\x9b\xff"}}), R"(event=x n="\x9b\xff")");
  EXPECT_EQ(Line("x", {{"n", "\xc0\x8a\xe0\x80\x8a"}}), R"(event=x n="\xc0\x8a\xe0\x80\x8a")");
  EXPECT_EQ(Line("x", {{"n", "\xe2\x82"}}), R"(event=x n="\xe2\x82")");
  EXPECT_EQ(Line("x", {{"n", "\xed\xa0\x80\xf4\x90\x80\x80"}}), R"(event=x n="\xed\xa0\x80\xf4\x90\x80\x80")");
  EXPECT_EQ(Line("x", {{"n", "\xc2\x9b"}}), R"(event=x n="\xc2\x9b")");
  EXPECT_EQ(Line("x", {{"n", "\xe2\x80\xa8\xe2\x80\xae\xe2\x81\xa6"}}),
            R"(event=x n="\xe2\x80\xa8\xe2\x80\xae\xe2\x81\xa6")");
}

TEST(Log, OnlyWhatTheLevelLetsThroughIsEnabled) {
  EXPECT_FALSE(Enabled(Level::kDebug));
  EXPECT_TRUE(Enabled(Level::kInfo));
  SetLevel(Level::kTrace);
  EXPECT_TRUE(Enabled(Level::kTrace));
  SetLevel(Level::kOff);
  EXPECT_FALSE(Enabled(Level::kError));
  SetLevel(Level::kInfo);
}

TEST(Log, ARateLimitAllowsAFewAndNoMore) {
  RateLimit limit;
  int allowed = 0;
  for (int i = 0; i < 1000; ++i) allowed += limit.Allow() ? 1 : 0;
  EXPECT_GE(allowed, 1);
  EXPECT_LE(allowed, 20) << "at most two minutes' worth";
}

}  // namespace
}  // namespace strata::log
