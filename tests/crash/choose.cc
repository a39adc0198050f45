// What the clients of Load do next.
#include <algorithm>

#include "tests/crash/block.h"
#include "tests/crash/load.h"

namespace strata::crash {

namespace {

constexpr std::size_t kMostBlocks = 16, kMostLinks = 4;

}  // namespace

Object& Load::Add(Kind kind) {
  auto object = std::make_unique<Object>();
  object->id = next_id_++;
  object->kind = kind;
  object->steps.emplace_back();
  Object& added = *object;
  objects_[added.id] = std::move(object);
  return added;
}

std::string Load::NewName(const Object& object) {
  return "o" + std::to_string(object.id) + "-" + std::to_string(++next_name_);
}

const Object& Load::Home() { return *objects_[homes_[Below(homes_.size())]]; }

// An object that exists and has no change under way; null if there is none at hand.
Object* Load::Pick() {
  for (int tries = 0; tries < 16 && !living_.empty(); ++tries) {
    const std::size_t at = Below(living_.size());
    Object& object = *objects_[living_[at]];
    if (object.busy) continue;
    if (object.now().exists()) return &object;
    living_[at] = living_.back();
    living_.pop_back();
  }
  return nullptr;
}

Load::Pending Load::Begin(const std::string& what, const Object& object, bool idempotent) {
  Pending pending;
  pending.event = std::make_shared<Event>();
  pending.event->what = what + " of " + Name(object) + " (xid " + std::to_string(next_xid_) + ")";
  pending.event->sent = Now();
  pending.objects = {object.id};
  pending.after = {object.now()};
  pending.idempotent = idempotent;
  pending.xid = next_xid_++;
  return pending;
}

Load::Pending Load::ChooseNext(bool stable) {
  if (Below(64) == 0) {
    Object& home = *objects_[homes_[Below(homes_.size())]];
    if (!home.busy) return Move(home);
  }
  Object* object = Below(100) < (living_.size() < options_.population ? 20 : 5) ? nullptr : Pick();
  if (object == nullptr) return Make();
  if (object->kind == Kind::kFile) return ChangeFile(*object, stable);
  return Below(3) == 0 ? Unlink(*object) : Move(*object);
}

Load::Pending Load::Make() {
  const std::uint32_t choice = Below(100);
  Object& object = Add(choice < 80 ? Kind::kFile : choice < 88 ? Kind::kSymlink : Kind::kFolder);
  living_.push_back(object.id);
  const Object& home = Home();
  const std::string name = NewName(object), directory = home.handle;
  const char* what = choice < 50   ? "CREATE GUARDED"
                     : choice < 65 ? "CREATE EXCLUSIVE"
                     : choice < 80 ? "CREATE UNCHECKED"
                     : choice < 88 ? "SYMLINK"
                                   : "MKDIR";
  Pending pending = Begin(what, object, choice >= 50 && choice < 80);
  pending.procedure = Procedure::kMake;
  pending.after[0].AddLink({home.id, name});
  if (choice < 50 || (choice >= 65 && choice < 80)) pending.after[0].mode = 0644;
  pending.send = [=, target = object.target(), id = object.id](e2e::RawClient& client) {
    if (choice < 50) return client.Create(directory, name, GUARDED, e2e::Mode(0644));
    if (choice < 65) return client.CreateExclusive(directory, name, std::to_string(10'000'000 + id).substr(0, 8));
    if (choice < 80) return client.Create(directory, name, UNCHECKED, e2e::Mode(0644));
    if (choice < 88) return client.MakeSymlink(directory, name, target);
    return client.MakeDirectory(directory, name);
  };
  return pending;
}

Load::Pending Load::ChangeFile(Object& file, bool stable) {
  const State& now = file.now();
  const std::string handle = file.handle;
  const std::uint32_t choice = Below(100);
  if (choice < 48) return WriteFile(file, stable);
  if (choice < 56 && stable) {
    Pending pending = Begin("COMMIT", file, true);
    pending.procedure = Procedure::kCommit;
    pending.send = [=](e2e::RawClient& client) { return client.Commit(handle); };
    return pending;
  }
  if (choice < 62) {
    const std::uint64_t size = Below(now.size + 6000);
    Pending pending = Begin("SETATTR size " + std::to_string(size), file, true);
    pending.after[0].Truncate(size);
    pending.frees = size <= now.size;
    pending.send = [=](e2e::RawClient& client) { return client.SetAttr(handle, e2e::Size(size)); };
    return pending;
  }
  if (choice < 67) {
    const std::uint32_t mode = 0400 + Below(0400);
    Pending pending = Begin("SETATTR mode", file, true);
    pending.after[0].mode = mode;
    pending.send = [=](e2e::RawClient& client) { return client.SetAttr(handle, e2e::Mode(mode)); };
    return pending;
  }
  if (choice < 74 && now.links.size() < kMostLinks) {
    const Object& home = Home();
    const std::string name = NewName(file);
    Pending pending = Begin("LINK", file, false);
    pending.after[0].AddLink({home.id, name});
    pending.send = [=, directory = home.handle](e2e::RawClient& client) {
      return client.Link(handle, directory, name);
    };
    return pending;
  }
  if (choice < 78) {
    Object* target = Pick();
    if (target != nullptr && target->kind == Kind::kFile && target != &file) return RenameOver(file, *target);
  }
  return choice < 88 || living_.size() < options_.population ? Move(file) : Unlink(file);
}

Load::Pending Load::WriteFile(Object& file, bool stable) {
  const State& now = file.now();
  const std::size_t first = Below(std::min(now.blocks.size() + 2, kMostBlocks));
  const std::size_t count = 1 + Below(std::min<std::size_t>(Below(6) == 0 ? kMostBlocks : 4, kMostBlocks - first));
  std::uint64_t length = count * kBlockSize;
  if (first * kBlockSize + length > now.size && Below(4) == 0) {  // what it cuts must be past the end of the file
    const std::uint64_t last = first * kBlockSize + length - kBlockSize;
    if (last >= now.size) length -= Below(kBlockSize - 1);
  }
  const std::uint32_t how = stable ? Below(100) : 99;
  const stable_how wanted = how < 25 ? FILE_SYNC : how < 30 ? DATA_SYNC : UNSTABLE;
  const std::uint32_t version = ++file.version;
  std::string data;
  for (std::size_t i = first; i < first + count; ++i) {
    data += MakeBlock({file.id, version, i * kBlockSize, options_.seed});
  }
  data.resize(length);
  Pending pending = Begin("WRITE " +
                              std::string(wanted == UNSTABLE    ? "UNSTABLE"
                                          : wanted == FILE_SYNC ? "FILE_SYNC"
                                                                : "DATA_SYNC") +
                              " version " + std::to_string(version),
                          file, true);
  pending.procedure = Procedure::kWrite;
  pending.after[0].Write(first, length, version);
  pending.send = [=, handle = file.handle, offset = first * kBlockSize, data = std::move(data)](
                     e2e::RawClient& client) { return client.Write(handle, offset, data, wanted); };
  return pending;
}

Load::Pending Load::Move(Object& object) {
  const State& now = object.now();
  const Link from = now.links[Below(now.links.size())];
  const Object& home = object.home ? *objects_[0] : Home();
  const Link to{home.id, NewName(object)};
  Pending pending = Begin("RENAME", object, false);
  pending.after[0].DropLink(from);
  pending.after[0].AddLink(to);
  pending.send = [=, old = objects_[from.directory]->handle, directory = home.handle](e2e::RawClient& client) {
    return client.Rename(old, from.name, directory, to.name);
  };
  return pending;
}

Load::Pending Load::RenameOver(Object& file, Object& target) {
  const Link from = file.now().links[Below(file.now().links.size())];
  const Link to = target.now().links[Below(target.now().links.size())];
  Pending pending = Begin("RENAME over " + Name(target), file, false);
  pending.after[0].DropLink(from);
  pending.after[0].AddLink(to);
  pending.objects.push_back(target.id);
  pending.after.push_back(target.now());
  pending.after[1].DropLink(to);
  pending.send = [=, old = objects_[from.directory]->handle, directory = objects_[to.directory]->handle](
                     e2e::RawClient& client) { return client.Rename(old, from.name, directory, to.name); };
  return pending;
}

Load::Pending Load::Unlink(Object& object) {
  const State& now = object.now();
  const Link link = now.links[Below(now.links.size())];
  const bool folder = object.kind == Kind::kFolder;
  Pending pending = Begin(folder ? "RMDIR" : "REMOVE", object, false);
  pending.after[0].DropLink(link);
  pending.frees = true;
  pending.send = [=, directory = objects_[link.directory]->handle](e2e::RawClient& client) {
    return folder ? client.RemoveDirectory(directory, link.name) : client.Remove(directory, link.name);
  };
  return pending;
}

}  // namespace strata::crash
