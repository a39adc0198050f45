#include "tests/soak/bulk.h"

#include <poll.h>

#include <algorithm>
#include <cstring>
#include <map>

namespace strata::soak {
namespace {

constexpr std::size_t kMostChunks = 256, kFillChunks = 128, kDepth = 8, kChunksACall = 16;
constexpr double kDownLimit = 60, kAnswerLimit = 60;
constexpr std::uint32_t kListBytes = 64 << 10;

std::uint64_t Mix(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

}  // namespace

void FillChunk(std::uint64_t file, std::uint32_t version, std::uint64_t offset, char* out, std::size_t size) {
  const std::uint64_t key = Mix(file * 0x9e3779b97f4a7c15ULL + version);
  for (std::size_t at = 0; at + 8 <= size; at += 8) {
    const std::uint64_t word = (key + offset + at) * 0xd1342543de82ef95ULL;
    std::memcpy(out + at, &word, 8);
  }
}

Bulk::Bulk(const BulkOptions& options, Findings& findings, Calls& calls)
    : options_(options),
      findings_(findings),
      calls_(calls),
      random_(options.seed * 1000 + options.number),
      folder_name_("bulk-" + std::to_string(options.number)) {
  next_id_ = options.number << 32;
  next_xid_ = static_cast<std::uint32_t>(random_());
}

void Bulk::Wrong(const std::string& text) {
  findings_.Note(Invariant::kNothingLost, 1, folder_name_ + ": " + text);
  findings_.GiveUp();
}

std::uint64_t Bulk::living() const {
  std::uint64_t bytes = 0;
  for (const File& file : files_) bytes += file.chunks.size() * kChunk;
  return bytes;
}

bool Bulk::Connect() {
  for (const double end = Now() + kDownLimit; Now() < end && !findings_.hopeless();) {
    const std::uint16_t port = options_.port();
    auto client = port == 0 ? nullptr : std::make_unique<e2e::RawClient>(port);
    if (client == nullptr || !client->connected() || client->root().empty()) {
      ::poll(nullptr, 0, 5);  // between two attempts
      continue;
    }
    if (!root_.empty() && client->root() != root_) {
      Wrong("the root's handle changed");
      return false;
    }
    root_ = client->root();
    client_ = std::move(client);
    return true;
  }
  if (!findings_.hopeless()) Wrong("no server came back");
  return false;
}

bool Bulk::Await(std::vector<Request>& requests) {
  waits_ = true;
  const bool all = AwaitAll(requests);
  ++answers_;
  waits_ = false;
  return all;
}

bool Bulk::AwaitAll(std::vector<Request>& requests) {
  for (Request& request : requests) request.xid = next_xid_++;
  for (double end = Now() + kAnswerLimit; !findings_.hopeless();) {
    if (client_ == nullptr) {
      if (!Connect()) return false;
      for (Request& request : requests) {
        if (!request.answered) request.call.reset();
      }
      end = Now() + kAnswerLimit;
    }
    bool all = true;
    for (Request& request : requests) {
      if (request.answered) continue;
      if (!request.call) {
        client_->SetNextXid(request.xid);
        request.sent = Now();
        request.call = request.send(*client_);
      }
      request.answered = request.call->done() && request.answer().answered;
      if (request.answered) calls_.Note(folder_name_ + ": " + request.what, request.sent, Now());
      all &= request.answered;
    }
    if (all) return true;
    if (Now() > end) {
      Wrong("no answer within " + std::to_string(kAnswerLimit) + " s");
      return false;
    }
    if (!client_->Turn(100)) client_.reset();
  }
  return false;
}

e2e::Answer Bulk::Do(const std::string& what, std::function<Call(e2e::RawClient&)> send) {
  std::vector<Request> requests(1);
  requests[0].what = what;
  requests[0].send = std::move(send);
  if (!Await(requests)) return {};
  return requests[0].answer();
}

void Bulk::Prepare() {
  if (!Connect()) return;
  const e2e::Answer made =
      Do("MKDIR", [&](e2e::RawClient& client) { return client.MakeDirectory(root_, folder_name_); });
  if (!made.answered) return;
  if (made.status != NFS3_OK || !made.handle) return Wrong("MKDIR: status " + std::to_string(made.status));
  folder_ = *made.handle;
}

Bulk::File* Bulk::Make() {
  File file;
  file.id = next_id_++;
  file.name = "f" + std::to_string(next_name_++);
  const e2e::Answer made = Do("CREATE GUARDED", [&](e2e::RawClient& client) {
    return client.Create(folder_, file.name, GUARDED, e2e::Mode(0644));
  });
  if (!made.answered || made.status == NFS3ERR_NOSPC) return nullptr;
  if (made.status != NFS3_OK || !made.handle) {
    Wrong("CREATE of " + file.name + ": status " + std::to_string(made.status));
    return nullptr;
  }
  file.handle = *made.handle;
  files_.push_back(std::move(file));
  return &files_.back();
}

bool Bulk::Write(File& file, std::size_t first, std::size_t count) {
  const bool unstable = Below(4) != 0;
  const std::uint32_t version = ++file.version;
  bool fits = true;
  for (std::size_t at = first; at < first + count && fits;) {
    std::vector<Request> requests;
    std::vector<std::pair<std::size_t, std::size_t>> pieces;
    while (requests.size() < kDepth && at < first + count) {
      const std::size_t chunks = std::min({first + count - at, kChunksACall, std::size_t{1} + Below(2 * kChunksACall)});
      auto data = std::make_shared<std::string>(chunks * kChunk, '\0');
      FillChunk(file.id, version, at * kChunk, data->data(), data->size());
      const stable_how stable = unstable ? UNSTABLE : FILE_SYNC;
      requests.push_back({.what = "WRITE of " + std::to_string(data->size()) + (unstable ? " UNSTABLE" : " FILE_SYNC"),
                          .send = [handle = file.handle, offset = at * kChunk, data, stable](e2e::RawClient& client) {
                            return client.Write(handle, offset, *data, stable);
                          }});
      pieces.emplace_back(at, chunks);
      at += chunks;
    }
    if (!Await(requests)) return false;
    for (std::size_t i = 0; i < requests.size(); ++i) {
      const e2e::Answer& answer = requests[i].answer();
      if (answer.status == NFS3ERR_NOSPC) {
        fits = false;
        continue;
      }
      if (answer.status != NFS3_OK || answer.count != pieces[i].second * kChunk) {
        Wrong("WRITE to " + file.name + ": status " + std::to_string(answer.status) + ", " +
              std::to_string(answer.count) + " bytes");
        return false;
      }
      written_ += answer.count;
      const std::size_t end = pieces[i].first + pieces[i].second;
      if (file.chunks.size() < end) file.chunks.resize(end);
      for (std::size_t chunk = pieces[i].first; chunk < end; ++chunk) file.chunks[chunk] = version;
    }
  }
  if (!unstable) return fits;
  const e2e::Answer committed = Do("COMMIT", [&](e2e::RawClient& client) { return client.Commit(file.handle); });
  if (committed.answered && committed.status != NFS3_OK) {
    Wrong("COMMIT of " + file.name + ": status " + std::to_string(committed.status));
  }
  return fits;
}

bool Bulk::MakeAndWrite(std::size_t chunks) {
  File* file = Make();
  return file != nullptr && Write(*file, 0, chunks);
}

void Bulk::Cut(File& file) {
  const std::size_t chunks = Below(file.chunks.size() + 1);
  const e2e::Answer answer = Do(
      "SETATTR size", [&](e2e::RawClient& client) { return client.SetAttr(file.handle, e2e::Size(chunks * kChunk)); });
  if (!answer.answered) return;
  if (answer.status == NFS3ERR_NOSPC) {
    findings_.Note(Invariant::kFullDiskEmpties, 1, "cutting a file was refused with NFS3ERR_NOSPC");
    return;
  }
  if (answer.status != NFS3_OK) return Wrong("SETATTR of " + file.name + ": status " + std::to_string(answer.status));
  file.chunks.resize(chunks);
}

void Bulk::Rename(File& file) {
  const std::string name = "f" + std::to_string(next_name_++);
  const e2e::Answer answer =
      Do("RENAME", [&](e2e::RawClient& client) { return client.Rename(folder_, file.name, folder_, name); });
  if (!answer.answered || answer.status == NFS3ERR_NOSPC) return;
  if (answer.status != NFS3_OK) return Wrong("RENAME of " + file.name + ": status " + std::to_string(answer.status));
  file.name = name;
}

void Bulk::RemoveFile(std::size_t at) {
  const std::string name = files_[at].name;
  const e2e::Answer answer = Do("REMOVE", [&](e2e::RawClient& client) { return client.Remove(folder_, name); });
  if (!answer.answered) return;
  if (answer.status == NFS3ERR_NOSPC) {
    findings_.Note(Invariant::kFullDiskEmpties, 1, "REMOVE was refused with NFS3ERR_NOSPC");
    return;
  }
  if (answer.status != NFS3_OK) return Wrong("REMOVE of " + name + ": status " + std::to_string(answer.status));
  files_.erase(files_.begin() + static_cast<std::ptrdiff_t>(at));
}

std::string Bulk::Say(const File& file, std::size_t chunk, std::string_view got) const {
  std::string expected(kChunk, '\0');
  if (file.chunks[chunk] != 0) {
    FillChunk(file.id, file.chunks[chunk], chunk * kChunk, expected.data(), expected.size());
  }
  const auto differ = std::mismatch(got.begin(), got.end(), expected.begin()).first - got.begin();
  const std::size_t at = static_cast<std::size_t>(differ) & ~std::size_t{7};
  std::string is = "bytes of nobody";
  const std::string word(got.substr(at, 8));
  if (word == std::string(8, '\0')) is = "zeros";
  for (std::uint32_t version = 1; version <= file.version; ++version) {
    char wanted[8];
    FillChunk(file.id, version, chunk * kChunk + at, wanted, sizeof wanted);
    if (word == std::string_view(wanted, 8)) is = "version " + std::to_string(version);
  }
  return file.name + " at " + std::to_string(chunk * kChunk + at) + " is " + is + ", not version " +
         std::to_string(file.chunks[chunk]);
}

void Bulk::Read(File& file) {
  std::string expected(kChunk, '\0');
  for (std::size_t at = 0; at < file.chunks.size();) {
    std::vector<Request> requests;
    const std::size_t first = at;
    for (; requests.size() < kDepth && at < file.chunks.size(); at += kChunksACall) {
      requests.push_back({.what = "READ", .send = [handle = file.handle, offset = at * kChunk](e2e::RawClient& client) {
                            return client.Read(handle, offset, kChunksACall * kChunk);
                          }});
    }
    if (!Await(requests)) return;
    for (std::size_t i = 0; i < requests.size(); ++i) {
      const e2e::Answer& answer = requests[i].answer();
      const std::size_t begin = first + i * kChunksACall;
      const std::size_t chunks = std::min(kChunksACall, file.chunks.size() - begin);
      if (answer.status != NFS3_OK || answer.data.size() != chunks * kChunk ||
          answer.eof != (begin + chunks == file.chunks.size())) {
        return Wrong("READ of " + file.name + " at " + std::to_string(begin * kChunk) + ": status " +
                     std::to_string(answer.status) + ", " + std::to_string(answer.data.size()) + " bytes of " +
                     std::to_string(chunks * kChunk) + (answer.eof ? ", the end" : ""));
      }
      for (std::size_t chunk = begin; chunk < begin + chunks; ++chunk) {
        if (file.chunks[chunk] == 0) {
          std::fill(expected.begin(), expected.end(), '\0');
        } else {
          FillChunk(file.id, file.chunks[chunk], chunk * kChunk, expected.data(), expected.size());
        }
        const std::string_view got = std::string_view(answer.data).substr((chunk - begin) * kChunk, kChunk);
        if (got != expected) return Wrong(Say(file, chunk, got));
      }
      verified_ += answer.data.size();
    }
  }
}

void Bulk::List() {
  std::map<std::string, const File*> missing;
  for (const File& file : files_) missing[file.name] = &file;
  std::string verifier(8, '\0');
  for (std::uint64_t cookie = 0;;) {
    const e2e::Answer answer = Do("READDIRPLUS", [&](e2e::RawClient& client) {
      return client.ReadDirPlus(folder_, cookie, verifier, kListBytes, kListBytes);
    });
    if (!answer.answered) return;
    if (answer.status != NFS3_OK) return Wrong("listing: status " + std::to_string(answer.status));
    for (const e2e::Listed& entry : answer.entries) {
      cookie = entry.cookie;
      if (entry.name == "." || entry.name == "..") continue;
      const auto known = missing.find(entry.name);
      if (known == missing.end()) return Wrong(entry.name + " is listed, twice or though it is not there");
      if (entry.handle != known->second->handle) return Wrong(entry.name + " is listed with another handle");
      if (entry.attributes && entry.attributes->size != known->second->chunks.size() * kChunk) {
        return Wrong(entry.name + " is listed with " + std::to_string(entry.attributes->size) + " bytes, not " +
                     std::to_string(known->second->chunks.size() * kChunk));
      }
      missing.erase(known);
    }
    if (answer.eof) break;
    if (answer.entries.empty()) return Wrong("a listing has neither entries nor an end");
    verifier = answer.verifier;
  }
  if (!missing.empty())
    Wrong(missing.begin()->first + " and " + std::to_string(missing.size() - 1) + " more are not listed");
}

void Bulk::Churn(double until) {
  while (Now() < until && !findings_.hopeless()) {
    const std::uint32_t choice = Below(100);
    if (files_.empty() || (choice < 30 && living() < options_.quota)) {
      MakeAndWrite(1 + Below(Below(4) == 0 ? kMostChunks : kChunksACall));
      continue;
    }
    const std::size_t at = Below(files_.size());
    File& file = files_[at];
    if (choice < 65) {
      const std::size_t first = Below(file.chunks.size() + 1);
      Write(file, first, 1 + Below(std::min<std::size_t>(kMostChunks - std::min(first, kMostChunks - 1), 48)));
    } else if (choice < 70) {
      Cut(file);
    } else if (choice < 75) {
      Rename(file);
    } else if (choice < 80) {
      Read(file);
    } else if (choice < 82) {
      List();
    } else if (living() > options_.quota / 2) {
      RemoveFile(at);
    }
  }
}

void Bulk::Fill() {
  while (!findings_.hopeless() && MakeAndWrite(kFillChunks)) {
  }
  while (!findings_.hopeless() && MakeAndWrite(1)) {
  }
}

void Bulk::Remove(double share, bool oldest) {
  auto count = static_cast<std::size_t>(share * static_cast<double>(files_.size()) + 0.5);
  for (; count > 0 && !files_.empty() && !findings_.hopeless(); --count) RemoveFile(oldest ? 0 : Below(files_.size()));
}

std::uint64_t Bulk::WriteOn(std::uint64_t bytes, double until) {
  const std::uint64_t before = written_;
  while (written_ - before < bytes && Now() < until && !findings_.hopeless()) {
    if (!MakeAndWrite(kChunksACall)) ::poll(nullptr, 0, 50);  // it may fit later
  }
  return written_ - before;
}

void Bulk::Verify() {
  List();
  for (File& file : files_) {
    if (findings_.hopeless()) return;
    Read(file);
  }
}

}  // namespace strata::soak
