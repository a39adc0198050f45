// What Load does after a crash: reads everything back and judges it.
#include <algorithm>

#include "tests/crash/load.h"

namespace strata::crash {

namespace {

constexpr std::size_t kGraves = 100;
constexpr double kInterval = 1.0;  // what the relaxed mode states
constexpr double kPatience = 1.5;  // what a sync may take on top of it, on a busy machine
constexpr std::uint32_t kListBytes = 1 << 20, kReadBytes = 1 << 20;

}  // namespace

struct Load::Seen {
  std::unordered_map<std::string, Observed> by_handle;
};

std::string Load::Name(const Object& object) const {
  const char* kind = object.kind == Kind::kFile ? "file " : object.kind == Kind::kSymlink ? "symlink " : "folder ";
  std::string text = kind + std::to_string(object.id);
  const auto& links = object.now().links;
  if (!links.empty()) text += " (" + std::to_string(links[0].directory) + "/" + links[0].name + ")";
  return text;
}

Load::Outcome Load::Verify(Crash crash, double crashed, bool full) {
  Seen seen;
  const std::size_t before = wrong_.size();
  auto ended = [&] { return wrong_.size() == before ? Outcome::kInterrupted : Outcome::kWrong; };
  if (!ListAll(seen)) return ended();
  if (!ReadAll(seen, full || crash == Crash::kPower)) return ended();
  Judge(seen, crash, crashed);
  if (wrong_.size() != before) return Outcome::kWrong;
  return CheckGraves() ? Outcome::kGood : ended();
}

bool Load::ListAll(Seen& seen) {
  seen.by_handle[root_].links = {{0, "/"}};
  if (!List(0, seen)) return false;
  return std::all_of(homes_.begin(), homes_.end(), [&](ObjectId home) { return List(home, seen); });
}

bool Load::List(ObjectId directory, Seen& seen) {
  const std::string handle = objects_[directory]->handle;
  std::string verifier(8, '\0');
  std::uint64_t cookie = 0;
  for (;;) {
    Call call = clients_[0]->ReadDirPlus(handle, cookie, verifier, kListBytes, kListBytes);
    if (!call->answered) return false;
    if (call->status != NFS3_OK) {
      return Wrong("listing " + Name(*objects_[directory]) + " failed with status " + std::to_string(call->status));
    }
    for (const e2e::Listed& entry : call->entries) {
      cookie = entry.cookie;
      if (entry.name == "." || entry.name == "..") continue;
      if (directory == 0 && !options_.others.empty() && entry.name.starts_with(options_.others)) continue;
      if (!entry.handle || !entry.attributes) return Wrong("listed without handle or attributes: " + entry.name);
      const Link link{directory, entry.name};
      if (!by_handle_.contains(*entry.handle) && !Adopt(*entry.handle, link)) {
        return Wrong("listed, but nobody made it: " + std::to_string(directory) + "/" + entry.name);
      }
      Observed& object = seen.by_handle[*entry.handle];
      object.links.insert(std::lower_bound(object.links.begin(), object.links.end(), link), link);
      object.mode = entry.attributes->mode & 07777;
      object.nlink = entry.attributes->nlink;
      object.size = entry.attributes->size;
    }
    if (call->eof) return true;
    if (call->entries.empty()) return Wrong("a listing has neither entries nor an end");
    verifier = call->verifier;
  }
}

// An object whose making was under way has a handle now.
bool Load::Adopt(const std::string& handle, const Link& link) {
  for (const auto& pending : pending_) {
    Object& object = *objects_[pending->objects[0]];
    if (!object.handle.empty() || pending->after[0].links != std::vector<Link>{link}) continue;
    object.handle = handle;
    by_handle_[handle] = object.id;
    return true;
  }
  return false;
}

bool Load::ReadAll(Seen& seen, bool full) {
  struct Read {
    Object* object;
    enum { kContent, kTarget, kName, kGone } what;
  };
  std::vector<Read> reads;
  std::vector<Call> calls;
  auto add = [&](Object& object, decltype(Read::what) what, Call call) {
    reads.push_back({&object, what});
    calls.push_back(std::move(call));
  };
  for (auto& [id, object] : objects_) {
    if (object->handle.empty()) continue;
    e2e::RawClient& client = *clients_[id % clients_.size()];
    const auto found = seen.by_handle.find(object->handle);
    if (found == seen.by_handle.end()) {
      add(*object, Read::kGone, client.GetAttr(object->handle));
      continue;
    }
    if (!object->changed && !full) continue;
    if (id != 0) {
      const Link& link = found->second.links[Below(found->second.links.size())];
      add(*object, Read::kName, client.Lookup(objects_[link.directory]->handle, link.name));
    }
    if (object->kind == Kind::kFile) add(*object, Read::kContent, client.Read(object->handle, 0, kReadBytes));
    if (object->kind == Kind::kSymlink) add(*object, Read::kTarget, client.ReadLink(object->handle));
  }
  if (!Await(calls)) return false;
  for (std::size_t i = 0; i < reads.size(); ++i) {
    const e2e::Answer& answer = calls[i].Get();
    Object& object = *reads[i].object;
    if (reads[i].what == Read::kGone) {
      if (answer.status == NFS3ERR_STALE) continue;
      return Wrong(Name(object) + " is in no listing, but its handle answers with status " +
                   std::to_string(answer.status));
    }
    if (answer.status != NFS3_OK) {
      return Wrong(Name(object) + " is listed, but cannot be read: status " + std::to_string(answer.status));
    }
    if (reads[i].what == Read::kName) {
      if (*answer.handle != object.handle) return Wrong(Name(object) + " has another handle in LOOKUP (rule 3.1)");
      continue;
    }
    if (reads[i].what == Read::kContent && !answer.eof) return Wrong(Name(object) + " has no end");
    seen.by_handle[object.handle].content = answer.data;
    object.changed = false;
  }
  return true;
}

void Load::Judge(Seen& seen, Crash crash, double crashed) {
  std::vector<std::shared_ptr<Event>> events;
  for (auto& [id, object] : objects_) {
    for (const Step& step : object->steps) {
      if (!step.event) continue;
      step.event->kept = step.event->lost = 0;
      events.push_back(step.event);
    }
  }
  // Where each change under way stands in the lines of its objects; nowhere if it was found done after an earlier
  // crash.
  auto place = [](const Object& object, const Pending& pending) -> std::optional<std::size_t> {
    for (std::size_t i = object.steps.size(); i-- > 1;) {
      if (object.steps[i].event == pending.event) return i;
    }
    return std::nullopt;
  };
  std::map<const Pending*, std::vector<std::optional<std::size_t>>> places;
  for (const auto& pending : pending_) {
    for (ObjectId id : pending->objects) places[pending.get()].push_back(place(*objects_[id], *pending));
  }

  std::map<ObjectId, Fit> fits;
  for (auto& [id, object] : objects_) {
    std::string why;
    const auto fit = FindFit(*object, seen.by_handle[object->handle], crash, options_.seed, &figures_.blocks, &why);
    ++figures_.records;
    if (!fit) {
      Wrong(Name(*object) + " is in no state that it may be in:" + why);
      continue;
    }
    fits[id] = *fit;
    Settle(*object, *fit, crash == Crash::kPower || !options_.power);
  }
  for (std::string& wrong : JudgeOrder(events, crashed, kInterval + kPatience)) Wrong(std::move(wrong));
  if (!wrong_.empty()) return;
  for (const auto& event : events) figures_.lost_unpromised += event->lost != 0 && event->promise != Promise::kNone;

  for (auto& pending : pending_) {
    bool sensible = true;
    for (std::size_t i = 0; i < pending->objects.size(); ++i) {
      const ObjectId id = pending->objects[i];
      objects_[id]->busy = false;
      const std::optional<std::size_t> at = places[pending.get()][i];
      if (!at) continue;
      const Fit& fit = fits[id];
      pending->executed = *at <= fit.newest;
      sensible &= *at <= fit.newest + 1;  // else what it builds on was lost
      // A file that was removed looks like one whose making was lost: whether the removal was executed cannot be told.
      sensible &= !pending->executed || *at <= fit.oldest;
    }
    if (!sensible) pending.reset();
  }
  std::erase(pending_, nullptr);
}

bool Load::CheckGraves() {
  std::vector<Call> calls;
  for (const std::string& grave : graves_) calls.push_back(clients_[0]->GetAttr(grave));
  if (!Await(calls)) return false;
  return std::all_of(calls.begin(), calls.end(), [&](Call& call) {
    return call->status == NFS3ERR_STALE ||
           Wrong("what was removed answers with status " + std::to_string(call->status));
  });
}

// Forgets objects that are gone for good.
void Load::Bury() {
  for (auto at = objects_.begin(); at != objects_.end();) {
    const Object& object = *at->second;
    if (object.busy || object.now().exists() || object.steps.size() > 1) {
      ++at;
      continue;
    }
    if (!object.handle.empty()) {
      by_handle_.erase(object.handle);
      graves_.push_back(object.handle);
      if (graves_.size() > kGraves) graves_.pop_front();
    }
    std::erase(living_, object.id);
    at = objects_.erase(at);
  }
}

}  // namespace strata::crash
