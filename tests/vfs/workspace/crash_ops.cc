#include "crash_ops.h"

#include <random>
#include <string>

namespace strata::vfs::testing {

CrashOutcome CrashOp(Client& client, std::uint64_t seed, std::uint64_t step) {
  std::mt19937_64 random(seed * 1'000'003 + step);
  auto below = [&](std::uint64_t limit) { return random() % limit; };
  // Three directories that are always there, and few names in them.
  auto path = [&] { return "d" + std::to_string(below(3)) + "/" + std::string(1, static_cast<char>('a' + below(12))); };
  auto parts = [&](const std::string& whole) {
    return std::pair(client.Id(whole.substr(0, 2)).value_or(ObjectId{}), whole.substr(3));
  };
  auto made = [](const Result<Entry>& entry) {
    return CrashOutcome{CodeOf(entry), entry ? std::optional(entry->id) : std::nullopt};
  };
  const std::string at = path();
  const auto [directory, name] = parts(at);
  const auto object = client.Id(at);
  switch (below(12)) {
    case 0:
    case 1:
      return made(client.Create(directory, name, CreateMode::kGuarded, Mode(0600 + below(8))));
    case 2:
      return made(client.MakeDirectory(directory, name, Mode(0700)));
    case 3:
      return made(client.MakeSymlink(directory, name, std::string(1 + below(100), 't')));
    case 4: {
      const auto [to, new_name] = parts(path());
      return {CodeOf(client.Rename(directory, name, to, new_name)), {}};
    }
    case 5:
      if (below(2) == 0) return {CodeOf(client.RemoveDirectory(directory, name)), {}};
      return {CodeOf(client.Remove(directory, name)), {}};
    case 6: {
      const auto [to, new_name] = parts(path());
      if (!object) return {Errc::kNotFound, {}};
      return {CodeOf(client.Link(*object, to, new_name)), {}};
    }
    case 7:
      if (!object) return {Errc::kNotFound, {}};
      return {CodeOf(client.Set(*object, Size(below(300'000)))), {}};
    case 8: {
      if (!object) return {Errc::kNotFound, {}};
      SetAttributes set = Owner(below(100), below(100));
      set.set_mtime = SetTime::kClient;
      set.mtime = Time{static_cast<std::int64_t>(below(1'000'000'000'000'000'000))};
      return {CodeOf(client.Set(*object, set)), {}};
    }
    default: {
      if (!object) return {Errc::kNotFound, {}};
      const std::uint64_t offset = below(200'000);
      const std::uint64_t size = 1 + (below(4) == 0 ? below(1 << 20) : below(5000));
      const auto stability = static_cast<Stability>(below(3));
      return {CodeOf(client.Write(*object, offset, Pattern(size, seed ^ step), stability)), {}};
    }
  }
}

}  // namespace strata::vfs::testing
