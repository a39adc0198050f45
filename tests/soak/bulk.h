// A client with large files in a folder of its own. It knows every byte of them, and it sends again, with its xid, what
// was not answered when the server died; so what it knows holds over any number of deaths.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "tests/e2e/raw_client.h"
#include "tests/soak/calls.h"
#include "tests/soak/findings.h"

namespace strata::soak {

inline constexpr std::uint32_t kChunk = 64 << 10;

// `size` bytes at `offset` of version `version` of a file: each word of them says which they are.
void FillChunk(std::uint64_t file, std::uint32_t version, std::uint64_t offset, char* out, std::size_t size);

struct BulkOptions {
  std::uint64_t number = 0, seed = 0;
  std::uint64_t quota = 0;  // bytes of all files while it churns
  std::function<std::uint16_t()> port;
};

class Bulk {
 public:
  Bulk(const BulkOptions& options, Findings& findings, Calls& calls);
  // Each returns early once something was lost. Makes its folder.
  void Prepare();
  // Writes, overwrites, cuts, renames, removes, reads and lists until then (of Now()).
  void Churn(double until);
  // Makes files, in the end small ones, until none fits.
  void Fill();
  // Removes that share of its files, at random ones or the oldest; each must succeed.
  void Remove(double share, bool oldest);
  // Writes new files of so many bytes together while NFS3ERR_NOSPC is answered no longer than until then; what it
  // wrote.
  std::uint64_t WriteOn(std::uint64_t bytes, double until);
  // Lists its folder, reads all files.
  void Verify();

  std::uint64_t living() const;
  std::uint64_t written() const { return written_; }
  std::uint64_t verified() const { return verified_; }
  // Whether it has all answers that it had asked for when `answers` was what it is. Thread-safe.
  bool HasAnswersSince(std::uint64_t answers) const { return !waits_ || answers_ != answers; }
  std::uint64_t answers() const { return answers_; }

 private:
  using Call = e2e::RawClient::Call;
  struct File {
    std::uint64_t id = 0;
    std::string name;
    e2e::Handle handle;
    std::uint32_t version = 0;
    std::vector<std::uint32_t> chunks;  // the version of each; 0: zeros
  };
  struct Request {
    std::string what;
    std::function<Call(e2e::RawClient&)> send;
    std::uint32_t xid = 0;
    double sent = 0;
    bool answered = false;
    std::optional<Call> call = std::nullopt;
    const e2e::Answer& answer() { return call->Get(); }
  };

  // Sends all and waits for all answers, over as many lives of the server as it takes. False: there is no hope.
  bool Await(std::vector<Request>& requests);
  bool AwaitAll(std::vector<Request>& requests);
  bool Connect();
  e2e::Answer Do(const std::string& what, std::function<Call(e2e::RawClient&)> send);
  // Makes an empty file; null if the disk is full.
  File* Make();
  // Writes chunks from `first` on; false if some were refused because the disk is full, which are then as before.
  bool Write(File& file, std::size_t first, std::size_t count);
  bool MakeAndWrite(std::size_t chunks);
  void Cut(File& file);
  void Rename(File& file);
  void RemoveFile(std::size_t at);
  void Read(File& file);
  void List();
  void Wrong(const std::string& text);
  std::string Say(const File& file, std::size_t chunk, std::string_view got) const;
  std::uint32_t Below(std::size_t bound) { return static_cast<std::uint32_t>(random_() % bound); }

  const BulkOptions options_;
  Findings& findings_;
  Calls& calls_;
  std::mt19937_64 random_;
  std::unique_ptr<e2e::RawClient> client_;
  const std::string folder_name_;
  e2e::Handle root_, folder_;
  std::vector<File> files_;
  std::uint64_t next_id_ = 0, next_name_ = 0, verified_ = 0;
  std::atomic<std::uint64_t> written_ = 0, answers_ = 0;  // the second: how often it had all that it waited for
  std::atomic<bool> waits_ = false;
  std::uint32_t next_xid_ = 0;
};

}  // namespace strata::soak
