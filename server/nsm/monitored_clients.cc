#include "server/nsm/monitored_clients.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/log.h"

namespace strata::nsm {
namespace {

using boost::asio::ip::address;
using nlohmann::json;

constexpr std::string_view kFormat = "strata lock clients";
constexpr int kVersion = 1;
constexpr std::size_t kMaxFile = 4 << 20;  // kMost clients take half of that
constexpr std::int64_t kSecond = 1'000'000'000;

std::unexpected<Status> Malformed(std::string_view what) {
  return Fail(Errc::kCorrupt, "no list of clients with locks: " + std::string(what));
}

std::optional<address> AddressIn(const json& entry, const char* member) {
  const auto found = entry.find(member);
  if (found == entry.end() || !found->is_string()) return std::nullopt;
  boost::system::error_code error;
  const address parsed = boost::asio::ip::make_address(found->get<std::string>(), error);
  if (error) return std::nullopt;
  return parsed;
}

// A number that was never given before, whoever kept count on this machine: odd, since an even one means that a machine
// is down, made of the time, and positive in the protocol's int.
std::uint32_t NextState(std::uint32_t before, Time now) {
  constexpr std::uint32_t kMask = 0x7fffffff;
  const auto seconds = static_cast<std::uint32_t>(now.ns / kSecond) & kMask;
  return (std::max(before + 2, seconds) | 1) & kMask;
}

}  // namespace

std::string FormatClients(const KeptClients& kept) {
  json clients = json::array();
  for (const MonitoredClient& one : kept.clients) {
    clients.push_back({{"client", one.client.to_string()}, {"server", one.server.to_string()}});
  }
  return json{{"format", kFormat}, {"version", kVersion}, {"state", kept.state}, {"clients", std::move(clients)}}.dump(
             1) +
         "\n";
}

Result<KeptClients> ParseClients(std::string_view text) {
  const json document = json::parse(text, nullptr, false);
  if (!document.is_object() || document.value("format", json()) != kFormat) return Malformed("it has no such format");
  if (document.value("version", json()) != kVersion) return Malformed("another version of strata wrote it");
  const json state = document.value("state", json()), clients = document.value("clients", json());
  if (!state.is_number_unsigned() || state.get<std::uint64_t>() > 0x7fffffff) return Malformed("its state");
  if (!clients.is_array() || clients.size() > MonitoredClients::kMost) return Malformed("its clients");
  KeptClients kept{.state = state.get<std::uint32_t>(), .clients = {}};
  for (const json& entry : clients) {
    const auto client = entry.is_object() ? AddressIn(entry, "client") : std::nullopt;
    const auto server = entry.is_object() ? AddressIn(entry, "server") : std::nullopt;
    if (!client || !server) return Malformed("an address");
    kept.clients.push_back({*client, *server});
  }
  return kept;
}

MonitoredClients::MonitoredClients(Env& env, std::string path, bool goes_on) : env_(env), path_(std::move(path)) {
  Load(goes_on);
}

void MonitoredClients::Load(bool goes_on) {
  KeptClients kept;
  if (!path_.empty()) {
    const auto text = ReadWholeFile(env_, path_, kMaxFile);
    auto parsed = text ? ParseClients(*text) : Result<KeptClients>(std::unexpected(text.error()));
    if (parsed) {
      kept = std::move(*parsed);
    } else if (parsed.error().code() != Errc::kNotFound) {
      const auto aside = env_.Rename(path_, path_ + ".damaged");
      log::Error("lock_clients_unreadable",
                 {{"file", path_},
                  {"error", parsed.error()},
                  {"then", aside ? "kept as " + path_ + ".damaged" : std::string(aside.error().message())},
                  {"hint", "clients that hold locks are not told to claim them again: mount anew there"}});
    }
  }
  state_ = goes_on && kept.state != 0 ? kept.state : NextState(kept.state, env_.Now());
  {
    const MutexLock lock(mutex_);
    for (const MonitoredClient& one : kept.clients) clients_[one.client] = {one.server, true};
  }
  if (path_.empty() || state_ == kept.state) return;
  const MutexLock file(file_mutex_);
  if (const auto written = Write(); !written) {
    log::Warning("lock_clients_not_written",
                 {{"file", path_}, {"error", written.error()}, {"hint", "until it can be, new clients get no locks"}});
  }
}

bool MonitoredClients::Has(const address& client) const {
  const MutexLock lock(mutex_);
  const auto found = clients_.find(client);
  return found != clients_.end() && found->second.on_disk;
}

Result<void> MonitoredClients::Add(const MonitoredClient& client) {
  {
    const MutexLock lock(mutex_);
    const auto found = clients_.find(client.client);
    if (found == clients_.end() && clients_.size() >= kMost) {
      return Fail(Errc::kNoSpace, "more than " + std::to_string(kMost) + " machines have locks");
    }
    if (found == clients_.end()) {
      clients_[client.client] = {client.server, path_.empty()};
    } else if (!client.server.is_unspecified()) {
      found->second.server = client.server;
    }
  }
  // Whoever comes meanwhile is written by the next write, all of them by one.
  const MutexLock file(file_mutex_);
  if (Has(client.client)) return {};
  {
    const MutexLock lock(mutex_);
    clients_.try_emplace(client.client, client.server, path_.empty());  // it was dropped while this waited
  }
  return Write();
}

Result<void> MonitoredClients::Write() {
  KeptClients kept{.state = state_, .clients = All()};
  if (!path_.empty()) STRATA_TRY(ReplaceFile(env_, path_, FormatClients(kept)));
  const MutexLock lock(mutex_);
  for (const MonitoredClient& one : kept.clients) {
    if (const auto found = clients_.find(one.client); found != clients_.end()) found->second.on_disk = true;
  }
  return {};
}

void MonitoredClients::DropUnless(const std::function<InUse()>& in_use) {
  const MutexLock file(file_mutex_);
  std::vector<std::pair<address, Kept>> dropped;
  {
    const InUse used = in_use();
    const MutexLock lock(mutex_);
    absl::erase_if(clients_, [&](const auto& entry) {
      if (used.contains(entry.first)) return false;
      dropped.emplace_back(entry);
      return true;
    });
  }
  if (dropped.empty()) return;
  for (const InUse used = in_use(); const auto& [client, kept] : dropped) {
    if (!used.contains(client)) continue;
    // The file has it still, where it had it.
    const MutexLock lock(mutex_);
    clients_.try_emplace(client, kept);
  }
  if (path_.empty()) return;
  if (const auto written = Write(); !written) {
    log::Warning("lock_clients_not_written", {{"file", path_}, {"error", written.error()}});
  }
}

std::vector<MonitoredClient> MonitoredClients::All() const {
  const MutexLock lock(mutex_);
  std::vector<MonitoredClient> all;
  all.reserve(clients_.size());
  for (const auto& [client, kept] : clients_) all.push_back({client, kept.server});
  return all;
}

}  // namespace strata::nsm
