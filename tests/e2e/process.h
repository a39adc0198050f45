// A child process with its output in pipes, such as the real `strata`. Its end is always waited for; a test that fails
// leaves none behind.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace strata::e2e {

class Process {
 public:
  // Runs `arguments` ([0] is the program's path) with these variables added to the environment. Standard input stays
  // open until CloseInput.
  explicit Process(const std::vector<std::string>& arguments,
                   const std::map<std::string, std::string>& environment = {});
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process();
  pid_t pid() const { return pid_; }
  // The next line of standard output, without its newline; empty at the end, or after 30 s.
  std::string ReadLine();
  void Signal(int signal);
  void CloseInput();
  // Reads both outputs to their ends and waits for the process, at most 60 s (then it is killed): the exit status, or
  // 128 + the signal that ended it.
  int Wait();
  // After Wait: all of standard output that ReadLine did not take, and all of standard error.
  const std::string& output() const { return output_; }
  const std::string& errors() const { return errors_; }

 private:
  bool Fill(int timeout_ms);

  pid_t pid_ = -1;
  int status_ = -1;
  int in_ = -1, out_ = -1, err_ = -1;
  std::string output_, errors_;
};

struct Finished {
  int status = -1;
  std::string output, errors;
};
// Runs a program to its end.
Finished Run(const std::vector<std::string>& arguments, const std::map<std::string, std::string>& environment = {});

// `strata serve ...` on a port of 127.0.0.1.
class ServedProcess {
 public:
  // `arguments` follow "serve"; port 0 takes a free one. port() is 0 if no ready line came.
  explicit ServedProcess(const std::vector<std::string>& arguments, std::uint16_t port = 0,
                         const std::map<std::string, std::string>& environment = {});
  std::uint16_t port() const { return port_; }
  const std::string& ready_line() const { return ready_line_; }
  Process& process() { return process_; }

 private:
  Process process_;
  std::string ready_line_;
  std::uint16_t port_ = 0;
};

}  // namespace strata::e2e
