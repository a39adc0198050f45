#include "store/composition.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>
#include <vector>

#include "base/env.h"
#include "store/near_spec.h"

namespace strata::store {
namespace {

using nlohmann::json;

// The file, its families, an instance, its members.
constexpr int kMostJsonDepth = 3;

// What a message shows of a name in the file.
std::string Shown(std::string_view name) {
  constexpr std::size_t kMost = 100;
  std::string shown;
  for (const char c : name.substr(0, kMost)) shown += c >= ' ' && c <= '~' ? c : '?';
  return name.size() > kMost ? shown + "..." : shown;
}

// Refuses what the parser of JSON lets pass: members given twice (of which it would take the last), and depth.
class JsonRules {
 public:
  bool operator()(int depth, json::parse_event_t event, const json& parsed) {
    if (depth > kMostJsonDepth) throw std::runtime_error("it is nested too deep");
    const auto level = static_cast<std::size_t>(depth);
    if (event == json::parse_event_t::object_start) {
      keys_[level + 1].clear();
    } else if (event == json::parse_event_t::key && !keys_[level].insert(parsed.get<std::string>()).second) {
      throw std::runtime_error("\"" + Shown(parsed.get<std::string>()) + "\" is given twice");
    }
    return true;
  }

 private:
  std::array<std::set<std::string>, kMostJsonDepth + 2> keys_;
};

struct TypeName {
  std::string_view name;
  std::string_view schemes;  // how its addresses begin; empty: it has none
};
constexpr std::array kTypes = {
    TypeName{"memory", "memory:"},
    TypeName{"pack", "pack:"},
    TypeName{"objectstore", "objectstore+"},
    TypeName{"grpc", "grpc+"},
};

class CompositionParser {
 public:
  explicit CompositionParser(const std::string& file) : file_(file), base_(DirectoryOf(file)) {}

  Result<Composition> Parse(std::string_view text) {
    if (text.size() > kMaxCompositionBytes) return Refuse("it has more than 1 MiB");
    json document;
    try {
      document = json::parse(text, JsonRules());
    } catch (const std::exception& error) {
      return Refuse(Shown(error.what()));
    }
    if (!document.is_object()) return Refuse("it is no JSON object");
    Composition composition;
    for (const auto& [family, instances] : document.items()) {
      if (family == "blobs") {
        STRATA_TRY(TakeFamily(family, instances, composition.blobs));
      } else if (family == "directories") {
        STRATA_TRY(TakeFamily(family, instances, composition.directories));
      } else if (family == "roots") {
        STRATA_TRY(TakeFamily(family, instances, composition.roots));
      } else {
        return Refuse("it has a member \"" + Shown(family) + "\"; there are blobs, directories and roots");
      }
    }
    STRATA_TRY(CheckBounds(composition));
    return composition;
  }

 private:
  std::unexpected<Status> Refuse(const std::string& why, Errc code = Errc::kInvalid) const {
    return Fail(code, "the composition file " + file_ + ": " + why);
  }

  Result<void> TakeFamily(const std::string& family, const json& instances, Composition::Instances& to) {
    if (!instances.is_object()) return Refuse(family + " is no object of named instances");
    for (const auto& [name, instance] : instances.items()) {
      where_ = family + '.' + Shown(name);
      if (name.empty()) return Refuse(family + " has an instance without a name");
      if (++count_ > kMaxInstances) return Refuse("it has more than " + std::to_string(kMaxInstances) + " instances");
      STRATA_ASSIGN(to[name], TakeInstance(family, instance));
    }
    for (const auto& [name, instance] : to) STRATA_TRY(CheckReferences(family, name, to, {}));
    return {};
  }

  // Every member is a string, `type` is there, and all others are of `known`.
  Result<void> CheckMembers(const json& instance, std::initializer_list<std::string_view> known) const {
    for (const auto& [member, value] : instance.items()) {
      if (member != "type" && std::ranges::find(known, std::string_view(member)) == known.end()) {
        return Refuse(where_ + " has a member \"" + Shown(member) + "\", which its type does not know");
      }
      if (!value.is_string()) return Refuse(where_ + ": its " + Shown(member) + " is no string");
    }
    return {};
  }

  static std::string Member(const json& instance, const char* name) {
    const auto found = instance.find(name);
    return found == instance.end() || !found->is_string() ? std::string() : found->get<std::string>();
  }

  Result<CompositionInstance> TakeInstance(std::string_view family, const json& instance) {
    if (!instance.is_object()) return Refuse(where_ + " is no object");
    const std::string type = Member(instance, "type");
    if (type.empty()) return Refuse(where_ + " has no type");
    CompositionInstance taken;
    if (type == "combined" || type == "cache") {
      STRATA_TRY(CheckMembers(instance, {"near", "far"}));
      if (type == "cache" && family == "roots") {
        return Refuse(where_ + ": names change, so that they cannot be cached; use combined, or the far one alone");
      }
      taken.kind = type == "cache" ? CompositionInstance::Kind::kCache : CompositionInstance::Kind::kCombined;
      taken.near = Member(instance, "near");
      taken.far = Member(instance, "far");
      if (taken.near.empty() || taken.far.empty()) return Refuse(where_ + " needs near and far: names of instances");
      return taken;
    }
    const auto known = std::ranges::find(kTypes, std::string_view(type), &TypeName::name);
    if (known == kTypes.end()) {
      // What is known elsewhere is refused with what to use instead.
      const auto elsewhere = ParseStoreAddress(type + "://");
      if (!elsewhere && elsewhere.error().code() == Errc::kNotSupported) {
        return Refuse(where_ + ": " + std::string(elsewhere.error().message()), Errc::kNotSupported);
      }
      return Refuse(where_ + ": there is no type \"" + Shown(type) +
                    "\"; there are memory, pack, objectstore, grpc, combined and cache");
    }
    const bool may_be_near = type == "pack" && family != "roots";
    STRATA_TRY(may_be_near ? CheckMembers(instance, {"address", "size"}) : CheckMembers(instance, {"address"}));
    if (instance.contains("size")) {
      const auto bytes = ParseNearSize(Member(instance, "size"));
      if (!bytes) return Refuse(where_ + ": its size is none; it is written like 512M or 10G");
      taken.near_bytes = *bytes;
    }
    std::string address = Member(instance, "address");
    if (address.empty() && type == "memory") address = "memory://";
    if (!address.starts_with(known->schemes)) {
      return Refuse(where_ + ": its address must begin with " + std::string(known->schemes));
    }
    auto parsed = ParseStoreAddress(address, base_);
    if (!parsed) return Refuse(where_ + ": " + std::string(parsed.error().message()), parsed.error().code());
    taken.address = std::move(*parsed);
    return taken;
  }

  // A near store with a bound drops what is old: so it has one bound wherever it stands, and that is before a far
  // store.
  Result<void> CheckBounds(const Composition& composition) const {
    std::map<std::string, std::pair<std::uint64_t, std::string>> bounds;  // by address; with the first that says so
    for (const auto& [family, instances] :
         {std::pair("blobs", &composition.blobs), std::pair("directories", &composition.directories),
          std::pair("roots", &composition.roots)}) {
      const std::string prefix = std::string(family) + '.';
      for (const auto& [name, instance] : *instances) {
        if (instance.kind == CompositionInstance::Kind::kStore) {
          const std::string who = prefix + Shown(name);
          const auto [at, is_new] = bounds.try_emplace(FormatStoreAddress(instance.address), instance.near_bytes, who);
          if (!is_new && at->second.first != instance.near_bytes) {
            return Refuse(who + " and " + at->second.second + " are one store and give it different sizes");
          }
          continue;
        }
        const bool is_cache = instance.kind == CompositionInstance::Kind::kCache;
        for (const std::string* taker : {&instance.far, is_cache ? nullptr : &instance.near}) {
          if (taker == nullptr || instances->find(*taker)->second.near_bytes == 0) continue;
          return Refuse(prefix + Shown(*taker) +
                        " has a size, beyond which it drops what is old; it can only be near in a "
                        "cache, and " +
                        prefix + Shown(name) + " is none that has it there");
        }
      }
    }
    return {};
  }

  // How many instances stand one before the other from `name` on; `path` has led there.
  Result<std::size_t> CheckReferences(const std::string& family, const std::string& name,
                                      const Composition::Instances& instances, std::vector<std::string> path) {
    if (std::ranges::find(path, name) != path.end()) {
      return Refuse(family + '.' + Shown(name) + " leads back to itself");
    }
    const auto found = instances.find(name);
    if (found == instances.end()) {
      return Refuse(family + '.' + Shown(path.back()) + " names \"" + Shown(name) +
                    "\", and there is no such instance in " + family);
    }
    std::size_t& depth = depths_[{family, name}];
    path.push_back(name);
    if (path.size() - 1 + std::max<std::size_t>(depth, 1) > kMaxCompositionDepth) {
      return Refuse(family + '.' + Shown(path.front()) + ": more than " + std::to_string(kMaxCompositionDepth) +
                    " instances stand one before the other");
    }
    if (depth > 0) return depth;
    depth = 1;
    if (found->second.kind == CompositionInstance::Kind::kStore) return depth;
    STRATA_ASSIGN(const std::size_t near, CheckReferences(family, found->second.near, instances, path));
    STRATA_ASSIGN(const std::size_t far, CheckReferences(family, found->second.far, instances, path));
    return depth = 1 + std::max(near, far);
  }

  const std::string& file_;
  const std::string base_;
  std::string where_;  // the instance that is being read
  std::size_t count_ = 0;
  std::map<std::pair<std::string, std::string>, std::size_t> depths_;  // of what was checked
};

}  // namespace

Result<Composition> ParseComposition(std::string_view text, const std::string& file) {
  return CompositionParser(file).Parse(text);
}

}  // namespace strata::store
