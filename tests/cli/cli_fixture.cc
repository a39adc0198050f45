#include "tests/cli/cli_fixture.h"

#include <algorithm>
#include <filesystem>

namespace strata::cli {

void CliTest::SetUp() {
  std::filesystem::create_directories(dir_ + "/src");
  std::filesystem::create_directories(home_);
  e2e::WriteHostFile(dir_ + "/readme", "read me\n");
  e2e::WriteHostFile(dir_ + "/src/main.c", "int main() {}\n");
  std::filesystem::create_symlink("src/main.c", dir_ + "/link");
  before_ = e2e::Fingerprint(dir_);
  environment_ = {{"HOME", home_}, {"XDG_STATE_HOME", home_ + "/state"}, {"TZ", "UTC"}};
}

void CliTest::TearDown() { EXPECT_EQ(e2e::Fingerprint(dir_), before_) << "the folder changed (rule 6.5)"; }

e2e::Finished CliTest::Strata(std::vector<std::string> arguments) const {
  arguments.insert(arguments.begin(), STRATA_PROGRAM);
  return e2e::Run(arguments, environment_);
}

std::string CliTest::Text(const std::vector<std::string>& arguments) const {
  const e2e::Finished done = Strata(arguments);
  EXPECT_EQ(done.status, 0) << done.errors;
  return done.output;
}

nlohmann::json CliTest::Json(const std::vector<std::string>& arguments) const {
  const std::string text = Text(arguments);
  nlohmann::json parsed = nlohmann::json::parse(text, nullptr, false);
  EXPECT_FALSE(parsed.is_discarded()) << text;
  return parsed;
}

void CliTest::ExpectRefused(const std::vector<std::string>& arguments, int status,
                            const std::vector<std::string>& words) const {
  const e2e::Finished done = Strata(arguments);
  EXPECT_EQ(done.status, status) << done.output << done.errors;
  EXPECT_EQ(done.output, "");
  EXPECT_EQ(std::count(done.errors.begin(), done.errors.end(), '\n'), 1) << "one line: " << done.errors;
  for (const std::string& word : words)
    EXPECT_NE(done.errors.find(word), std::string::npos) << word << " in: " << done.errors;
}

}  // namespace strata::cli
