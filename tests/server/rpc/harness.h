// What the transport's tests share: a program and a volume that do as they are told, and a client of hand-made bytes.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "server/rpc/dispatcher.h"
#include "server/rpc/program.h"
#include "server/rpc/transport.h"
#include "vfs/file_system.h"

namespace strata::rpc::testing {

using Bytes = std::vector<std::byte>;

// Every wait of a test ends after this.
inline constexpr std::chrono::seconds kLimit{20};

// A gate that tests open; who waits at it longer than kLimit goes on, and the test fails by what it then sees.
class Gate {
 public:
  void Open();
  void Wait();
  // How many have come to it.
  bool WaitForArrivals(int count);

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
  int arrivals_ = 0;
};

// Only Flush and Sync mean anything.
class FakeVolume final : public vfs::FileSystem {
 public:
  const vfs::VolumeInfo& Volume() const override { return info_; }
  vfs::ObjectId Root() const override { return {}; }
  Result<Attributes> GetAttributes(const vfs::OpContext&, const vfs::ObjectId&) override { return Fail(Errc::kStale); }
  Result<vfs::Entry> Lookup(const vfs::OpContext&, const vfs::ObjectId&, std::string_view,
                            std::optional<Attributes>*) override {
    return Fail(Errc::kStale);
  }
  Result<vfs::ReadResult> Read(const vfs::OpContext&, const vfs::ObjectId&, std::uint64_t, std::uint32_t,
                               vfs::ReadSink&) override {
    return Fail(Errc::kStale);
  }
  Result<vfs::Listing> ReadDirectory(const vfs::OpContext&, const vfs::ObjectId&, Cookie, bool,
                                     vfs::DirectorySink&) override {
    return Fail(Errc::kStale);
  }
  Result<void> Flush() override;
  void Sync(Lsn lsn, std::move_only_function<void(Result<void>)> done) override;

  // Syncs asked for are answered only by Release.
  void HoldSyncs();
  // Waits until `count` syncs are held.
  bool WaitForSyncs(std::size_t count);
  // Answers all that are held, on another thread.
  void Release(bool success);
  void FailFlushes(bool fail);
  int flushes() const;
  std::vector<std::uint64_t> synced() const;  // the lsn of each Sync so far

 private:
  vfs::VolumeInfo info_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool hold_ = false, fail_flushes_ = false;
  int flushes_ = 0;
  std::vector<std::uint64_t> lsns_;
  std::vector<std::move_only_function<void(Result<void>)>> held_;
};

// A mapped file of zeros, which can be cut.
class MappedFile {
 public:
  explicit MappedFile(std::size_t size);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  ByteSpan bytes() const { return bytes_; }
  void Cut(std::size_t size);

 private:
  const int fd_;
  ByteSpan bytes_;
};

// Program 400000, versions 2 and 3.
class FakeProgram final : public Program {
 public:
  static constexpr std::uint32_t kNumber = 400000;
  enum : std::uint32_t {
    kNull = 0,
    kEcho = 1,            // opaque -> the same
    kBlocking = 2,        // opaque -> the same, but only on a worker, once `gate` is open
    kCached = 3,          // word -> how often it ran; cached
    kCachedBlocking = 4,  // the same at the gate
    kWritten = 5,         // word -> the same, owes kWritten; cached
    kDurable = 6,         // word (the lsn) -> the same, owes kDurable; cached
    kBig = 7,             // size -> so many bytes of file data, referenced
    kAlways = 8,          // -> whether may_block was true from the first
    kWhoAmI = 9,          // -> anonymous, uid, gid, gids
    kBlockingDurable = 10,
    kGap = 11,             // no handler
    kSizedBlocking = 12,   // as kBlocking; its largest reply is 1 MiB
    kFetching = 13,        // word -> what `fetching` answers
    kCachedFetching = 14,  // the same; cached, and with a failure of its own
  };

  FakeProgram();
  std::uint32_t number() const override { return kNumber; }
  std::string_view name() const override { return "fake"; }
  std::uint32_t low_version() const override { return 2; }
  std::uint32_t high_version() const override { return 3; }
  std::span<const Procedure> Procedures(std::uint32_t) const override { return procedures_; }
  bool Admits(const Peer& peer) const override { return peer.port != kUnwelcomePort; }

  static constexpr std::uint16_t kUnwelcomePort = 666;
  FakeVolume volume, other_volume;
  Gate gate;
  std::atomic<int> runs{0};
  ByteSpan file;  // what kBig refers to
  // Set before the first call; called by any thread.
  std::function<Outcome(const Call&, std::uint32_t, ReplyBuffer&)> fetching;

 private:
  const Bytes own_file_;
  std::vector<Procedure> procedures_;
};

// A transport that serves a FakeProgram.
struct TestServer {
  explicit TestServer(TransportOptions options = {.io_threads = 2, .worker_threads = 4});
  ~TestServer() { Stop(); }
  void Stop();

  FakeProgram program;
  Dispatcher dispatcher;
  std::unique_ptr<Transport> transport;
};

struct Reply {
  std::uint32_t xid = 0;
  bool accepted = false;
  std::uint32_t status = 0;  // accept_stat, or reject_stat where denied
  std::uint32_t low = 0, high = 0, auth = 0;
  Bytes results;
  std::uint32_t Word(std::size_t index = 0) const;
};

// One end of a connection, blocking, with kLimit on every wait.
class Client {
 public:
  // A socketpair, the other end of which the transport adopts, when `waiting` has been sent already.
  explicit Client(TestServer& server, const std::string& address = "127.0.0.1", std::uint16_t port = 700,
                  ByteSpan waiting = {});
  // TCP to the loopback address.
  explicit Client(std::uint16_t tcp_port);
  ~Client();
  Client(const Client&) = delete;

  void Send(ByteSpan bytes);
  // As much as goes without waiting; the number of bytes.
  std::size_t SendSome(ByteSpan bytes);
  // The next reply, decoded by libtirpc; nothing if the connection ends or kLimit passes.
  std::optional<Reply> Receive();
  // Whether the server ends the connection, with nothing more before.
  bool Ended();
  // Whether something can be read within the time.
  bool Readable(std::chrono::milliseconds limit);
  void Close();
  int fd() const { return fd_; }

 private:
  int fd_ = -1;
};

// A call's record without its mark, encoded by libtirpc.
Bytes Message(std::uint32_t xid, std::uint32_t procedure, ByteSpan arguments = {}, std::uint32_t version = 3,
              std::uint32_t program = FakeProgram::kNumber);
Bytes MessageWithCredentials(std::uint32_t xid, std::uint32_t procedure, std::uint32_t flavor, ByteSpan credentials);
// libtirpc's AUTH_SYS body.
Bytes AuthSys(const std::string& machine, std::uint32_t uid, std::uint32_t gid,
              const std::vector<std::uint32_t>& groups);
// With its mark, in one fragment.
Bytes Record(ByteSpan message);
inline Bytes CallRecord(std::uint32_t xid, std::uint32_t procedure, ByteSpan arguments = {}) {
  return Record(Message(xid, procedure, arguments));
}
Bytes Mark(std::uint32_t size, bool last);
Bytes Words(std::initializer_list<std::uint32_t> words);
Bytes OpaqueOf(std::size_t size, unsigned char fill = 'x');
Bytes Joined(std::initializer_list<Bytes> parts);

// Polls until it holds, at most kLimit.
bool Eventually(const std::function<bool()>& holds);

}  // namespace strata::rpc::testing
