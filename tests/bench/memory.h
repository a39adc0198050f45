// What memory a server takes for many files.
#pragma once

#include <string>
#include <vector>

namespace nfsbench {

// `nfsbench memory create|lookup --target LABEL,URL,PID [--files N] [--dirs D] [OPTIONS]`: makes N files "file-..."
// spread over D folders "dir-..." of the export's root, or looks each of them up, and prints a JSON line with the
// largest RSS that the server had meanwhile, by kind of page.
int MemoryMain(std::vector<std::string> arguments);

}  // namespace nfsbench
