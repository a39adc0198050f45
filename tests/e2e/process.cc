#include "tests/e2e/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>

extern char** environ;

namespace strata::e2e {
namespace {

using Clock = std::chrono::steady_clock;

void CloseFd(int& fd) {
  if (fd >= 0) ::close(fd);
  fd = -1;
}

bool Take(int& fd, std::string& into) {
  char buffer[65536];
  const ssize_t got = ::read(fd, buffer, sizeof buffer);
  if (got > 0) into.append(buffer, static_cast<std::size_t>(got));
  if (got <= 0) CloseFd(fd);
  return got > 0;
}

}  // namespace

Process::Process(const std::vector<std::string>& arguments, const std::map<std::string, std::string>& environment) {
  int in[2], out[2], err[2];
  if (::pipe2(in, O_CLOEXEC) != 0 || ::pipe2(out, O_CLOEXEC) != 0 || ::pipe2(err, O_CLOEXEC) != 0) std::abort();
  std::vector<std::string> variables;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string text = *variable;
    if (!environment.contains(text.substr(0, text.find('=')))) variables.push_back(text);
  }
  for (const auto& [name, value] : environment) variables.push_back(name + "=" + value);
  std::vector<char*> argv, envp;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  for (const std::string& variable : variables) envp.push_back(const_cast<char*>(variable.c_str()));
  argv.push_back(nullptr);
  envp.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err[1], STDERR_FILENO);
  if (::posix_spawn(&pid_, argv[0], &actions, nullptr, argv.data(), envp.data()) != 0) pid_ = -1;
  posix_spawn_file_actions_destroy(&actions);
  ::close(in[0]), ::close(out[1]), ::close(err[1]);
  in_ = in[1], out_ = out[0], err_ = err[0];
}

Process::~Process() {
  Signal(SIGKILL);
  Wait();
}

bool Process::Fill(int timeout_ms) {
  pollfd fds[2] = {{out_, POLLIN, 0}, {err_, POLLIN, 0}};  // a negative descriptor is left out
  if (out_ < 0 && err_ < 0) return false;
  if (::poll(fds, 2, timeout_ms) <= 0) return false;
  if (fds[0].revents != 0) Take(out_, output_);
  if (fds[1].revents != 0) Take(err_, errors_);
  return true;
}

std::string Process::ReadLine() {
  const auto end = Clock::now() + std::chrono::seconds(30);
  std::size_t newline;
  while ((newline = output_.find('\n')) == std::string::npos && out_ >= 0 && Clock::now() < end) Fill(100);
  if (newline == std::string::npos) return "";
  std::string line = output_.substr(0, newline);
  output_.erase(0, newline + 1);
  return line;
}

void Process::Signal(int signal) {
  if (pid_ > 0) ::kill(pid_, signal);
}

void Process::CloseInput() { CloseFd(in_); }

int Process::Wait() {
  CloseInput();
  const auto end = Clock::now() + std::chrono::seconds(60);
  while ((out_ >= 0 || err_ >= 0) && Clock::now() < end) Fill(100);
  if (out_ >= 0 || err_ >= 0) Signal(SIGKILL);
  CloseFd(out_), CloseFd(err_);
  if (pid_ > 0) {
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0) {
    }
    status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    pid_ = -1;
  }
  return status_;
}

Finished Run(const std::vector<std::string>& arguments, const std::map<std::string, std::string>& environment) {
  Process process(arguments, environment);
  const int status = process.Wait();
  return {status, process.output(), process.errors()};
}

namespace {

std::vector<std::string> ServeCommand(std::vector<std::string> arguments, std::uint16_t port) {
  arguments.insert(arguments.begin(), {STRATA_PROGRAM, "serve"});
  arguments.insert(arguments.end(), {"--listen", "127.0.0.1:" + std::to_string(port), "--portmap", "off"});
  return arguments;
}

}  // namespace

ServedProcess::ServedProcess(const std::vector<std::string>& arguments, std::uint16_t port,
                             const std::map<std::string, std::string>& environment)
    : process_(ServeCommand(arguments, port), environment), ready_line_(process_.ReadLine()) {
  static constexpr char kPrefix[] = "ready nfs=127.0.0.1:";
  if (ready_line_.starts_with(kPrefix))
    port_ = static_cast<std::uint16_t>(std::atoi(ready_line_.c_str() + sizeof kPrefix - 1));
}

}  // namespace strata::e2e
