// What the tests of the command share: a folder with something in it, and a home of its own for the program.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/base/temp_folder.h"
#include "tests/e2e/process.h"
#include "tests/e2e/raw_client.h"
#include "tests/e2e/service.h"
#include "tests/e2e/sync_client.h"

namespace strata::cli {

class CliTest : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;
  // Runs `strata arguments...` to its end.
  e2e::Finished Strata(std::vector<std::string> arguments) const;
  // The same, parsed from what it printed; fails the test unless it ended with 0.
  nlohmann::json Json(const std::vector<std::string>& arguments) const;
  std::string Text(const std::vector<std::string>& arguments) const;
  // Expects exit status `status`, and one line on standard error that holds each of `words`.
  void ExpectRefused(const std::vector<std::string>& arguments, int status,
                     const std::vector<std::string>& words) const;

  TempFolder folder_;
  const std::string dir_ = folder_ / "project", workspace_ = folder_ / "workspace", home_ = folder_ / "home";
  std::map<std::string, std::string> environment_;
  std::string before_;  // of dir_
};

}  // namespace strata::cli
