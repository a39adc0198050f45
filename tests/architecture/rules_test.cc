// docs/castore.md says of each rule of castore where it is tested: here that is compared with the tests.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <string>

namespace strata::architecture {
namespace {

std::string TextOf(const std::string& path) {
  std::ifstream in(STRATA_SOURCE_DIR "/" + path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// The rows of the page's tables, by their first cell; the last cell of each.
std::map<std::string, std::string> Rows(const std::string& page) {
  static const std::regex kRow(R"(\| ((?:CA-|T)\d+) \|(?:[^|\n]*\|)? ([^|\n]*) \|\n)");
  std::map<std::string, std::string> rows;
  for (std::sregex_iterator at(page.begin(), page.end(), kRow), end; at != end; ++at) {
    EXPECT_TRUE(rows.emplace((*at)[1], (*at)[2]).second) << (*at)[1] << " is there twice";
  }
  return rows;
}

// Whether a test says that it is of the rule: "CA-7", "CA7_" or "T7".
bool Mentions(const std::string& text, const std::string& rule) {
  const std::string number = rule.substr(rule.find_first_of("0123456789"));
  const bool of_castore = rule.starts_with("CA");
  const std::regex word((of_castore ? "CA-?" : "(^|[^A-Z])T") + number + "(?![0-9])");
  return std::regex_search(text, word);
}

TEST(CastoreRulesPage, NamesATestOfEachRuleOrSaysWhyThereIsNone) {
  const auto rows = Rows(TextOf("docs/castore.md"));
  for (const auto& [kind, last] : {std::pair("CA-", 70), std::pair("T", 22)}) {
    for (int i = 1; i <= last; ++i) EXPECT_TRUE(rows.contains(kind + std::to_string(i))) << kind << i;
  }
  EXPECT_EQ(rows.size(), 92U);
  static const std::regex kTest(R"(tests/[a-z0-9_/]*\.cc)");
  int tests = 0;
  for (const auto& [rule, cell] : rows) {
    for (std::sregex_iterator at(cell.begin(), cell.end(), kTest), end; at != end; ++at, ++tests) {
      EXPECT_TRUE(Mentions(TextOf(at->str()), rule)) << at->str() << " has no test of " << rule;
    }
  }
  EXPECT_GT(tests, 100);
}

TEST(CastoreRulesPage, ARuleIsToldFromOthersThatBeginLikeIt) {
  EXPECT_TRUE(Mentions("TEST(A, CA4_CA7_X)", "CA-7"));
  EXPECT_TRUE(Mentions("// CA-7", "CA-7"));
  EXPECT_FALSE(Mentions("TEST(A, CA70_X)", "CA-7"));
  EXPECT_TRUE(Mentions("TEST(A, T2_X)", "T2"));
  EXPECT_FALSE(Mentions("TEST(A, T20_X)", "T2"));
}

}  // namespace
}  // namespace strata::architecture
