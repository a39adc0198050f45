// What others registered with this process's port 111, kept for the process after it, also after a kill -9: nobody
// registers again because a server has ended.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"
#include "base/status.h"
#include "server/portmap/registry.h"

namespace strata::portmap {

// The file's text; `boot` is the machine's present start, after which nothing of before is true.
std::string FormatRegistrations(std::string_view boot, const std::vector<Registration>& registrations);
// Empty where they are of another start. kCorrupt for what is no such text.
Result<std::vector<Registration>> ParseRegistrations(std::string_view boot, std::string_view text);

// Of this machine's present start; what fails is only logged.
std::vector<Registration> LoadRegistrations(Env& env, const std::string& path);
void SaveRegistrations(Env& env, const std::string& path, const std::vector<Registration>& registrations);

}  // namespace strata::portmap
