#include "server/portmap/kept_registrations.h"

#include <array>
#include <nlohmann/json.hpp>

#include "base/log.h"

namespace strata::portmap {
namespace {

using nlohmann::json;

constexpr std::string_view kFormat = "strata portmap registrations";
constexpr int kVersion = 1;
constexpr std::size_t kMaxFile = 1 << 20;
log::RateLimit unwritten;

// It is another one after each start of the machine. The kernel says that the file holds nothing, as of all there.
std::string BootId(Env& env) {
  std::array<std::byte, 64> id;
  const auto file = env.Open("/proc/sys/kernel/random/boot_id", OpenMode::kRead);
  const auto got = file ? (*file)->ReadAt(0, id) : Result<std::size_t>(0);
  return std::string(AsText(ByteSpan(id).first(got.value_or(0))));
}

std::string TextIn(const json& entry, const char* member) {
  const auto found = entry.find(member);
  return found != entry.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::uint32_t NumberIn(const json& entry, const char* member) {
  const auto found = entry.find(member);
  const auto number = found != entry.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
  return number <= ~std::uint32_t{0} ? static_cast<std::uint32_t>(number) : 0;
}

}  // namespace

std::string FormatRegistrations(std::string_view boot, const std::vector<Registration>& registrations) {
  json all = json::array();
  for (const Registration& one : registrations) {
    all.push_back({{"program", one.program},
                   {"version", one.version},
                   {"netid", one.netid},
                   {"uaddr", one.uaddr},
                   {"owner", one.owner}});
  }
  const json document{{"format", kFormat}, {"version", kVersion}, {"boot", boot}, {"registrations", std::move(all)}};
  return document.dump(1) + "\n";
}

Result<std::vector<Registration>> ParseRegistrations(std::string_view boot, std::string_view text) {
  const json document = json::parse(text, nullptr, false);
  if (!document.is_object() || document.value("format", json()) != kFormat ||
      document.value("version", json()) != kVersion) {
    return Fail(Errc::kCorrupt, "no registrations with port 111");
  }
  if (document.value("boot", json()) != boot) return std::vector<Registration>();
  const json all = document.value("registrations", json());
  if (!all.is_array() || all.size() > kMaxRegistrations) return Fail(Errc::kCorrupt, "no list of registrations");
  std::vector<Registration> registrations;
  for (const json& entry : all) {
    if (!entry.is_object()) return Fail(Errc::kCorrupt, "a registration");
    // What is malformed in a field the registry refuses.
    registrations.push_back({.program = NumberIn(entry, "program"),
                             .version = NumberIn(entry, "version"),
                             .netid = TextIn(entry, "netid"),
                             .uaddr = TextIn(entry, "uaddr"),
                             .owner = TextIn(entry, "owner")});
  }
  return registrations;
}

std::vector<Registration> LoadRegistrations(Env& env, const std::string& path) {
  const auto text = ReadWholeFile(env, path, kMaxFile);
  if (!text && text.error().code() == Errc::kNotFound) return {};
  auto parsed =
      text ? ParseRegistrations(BootId(env), *text) : Result<std::vector<Registration>>(std::unexpected(text.error()));
  if (parsed) return std::move(*parsed);
  log::Warning("portmap_registrations_unreadable",
               {{"file", path},
                {"error", parsed.error()},
                {"hint", "mount anew on this machine, so that its lock manager registers again"}});
  return {};
}

void SaveRegistrations(Env& env, const std::string& path, const std::vector<Registration>& registrations) {
  const auto written = ReplaceFile(env, path, FormatRegistrations(BootId(env), registrations));
  if (written || !unwritten.Allow()) return;
  log::Warning("portmap_registrations_not_written",
               {{"file", path},
                {"error", written.error()},
                {"hint", "after a restart of this server, clients of this machine mount anew before they lock"}});
}

}  // namespace strata::portmap
