// The half of the client that goes by path.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "harness.h"

namespace strata::vfs::testing {

Result<Entry> Client::Walk(std::string_view path) {
  Entry at;
  at.id = Root();
  STRATA_ASSIGN(at.attributes, Get(at.id));
  while (!path.empty()) {
    const std::size_t slash = path.find('/');
    const std::string_view name = path.substr(0, slash);
    path = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
    if (name.empty()) continue;
    STRATA_ASSIGN(at, Lookup(at.id, name));
  }
  return at;
}

Result<ObjectId> Client::Id(std::string_view path) {
  STRATA_ASSIGN(Entry entry, Walk(path));
  return entry.id;
}

Result<Attributes> Client::Stat(std::string_view path) {
  STRATA_ASSIGN(ObjectId id, Id(path));
  return Get(id);
}

ObjectId Client::IdOf(std::string_view path) {
  auto id = Id(path);
  if (!id) {
    ADD_FAILURE() << path << ": " << id.error().ToString();
    return {};
  }
  return *id;
}

Attributes Client::StatOf(std::string_view path) {
  auto attributes = Stat(path);
  if (!attributes) {
    ADD_FAILURE() << path << ": " << attributes.error().ToString();
    return {};
  }
  return *attributes;
}

Result<Client::Place> Client::Parent(std::string_view path) {
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  const std::size_t slash = path.rfind('/');
  Place place;
  STRATA_ASSIGN(place.directory, Id(slash == std::string_view::npos ? std::string_view() : path.substr(0, slash)));
  place.name = slash == std::string_view::npos ? path : path.substr(slash + 1);
  return place;
}

Result<std::string> Client::ReadAll(const ObjectId& id, std::uint32_t piece) {
  std::string data;
  while (true) {
    STRATA_ASSIGN(ReadAnswer answer, Read(id, data.size(), piece));
    data += answer.data;
    if (answer.eof) return data;
    if (answer.data.empty()) return Fail(Errc::kServerFault, "READ gave no byte and no eof");
  }
}

Result<std::string> Client::ReadFile(std::string_view path) {
  STRATA_ASSIGN(ObjectId id, Id(path));
  return ReadAll(id);
}

Result<ObjectId> Client::WriteFile(std::string_view path, std::string_view data, std::uint32_t mode) {
  STRATA_ASSIGN(Place place, Parent(path));
  SetAttributes set = Mode(mode);
  set.size = 0;
  STRATA_ASSIGN(Entry entry, Create(place.directory, place.name, CreateMode::kUnchecked, set));
  for (std::size_t done = 0; done < data.size();) {
    const std::string_view piece = data.substr(done, 1 << 20);
    STRATA_ASSIGN(std::uint32_t written, Write(entry.id, done, piece));
    if (written == 0) return Fail(Errc::kServerFault, "WRITE wrote nothing");
    done += written;
  }
  return entry.id;
}

Result<std::uint32_t> Client::WriteAt(std::string_view path, std::uint64_t offset, std::string_view data) {
  STRATA_ASSIGN(ObjectId id, Id(path));
  return Write(id, offset, data);
}

Result<ObjectId> Client::MakeFile(std::string_view path, std::uint32_t mode) {
  STRATA_ASSIGN(Place place, Parent(path));
  STRATA_ASSIGN(Entry entry, Create(place.directory, place.name, CreateMode::kGuarded, Mode(mode)));
  return entry.id;
}

Result<ObjectId> Client::Mkdir(std::string_view path, std::uint32_t mode) {
  STRATA_ASSIGN(Place place, Parent(path));
  STRATA_ASSIGN(Entry entry, MakeDirectory(place.directory, place.name, Mode(mode)));
  return entry.id;
}

Result<ObjectId> Client::Symlink(std::string_view target, std::string_view path) {
  STRATA_ASSIGN(Place place, Parent(path));
  STRATA_ASSIGN(Entry entry, MakeSymlink(place.directory, place.name, target));
  return entry.id;
}

Result<std::string> Client::ReadLinkAt(std::string_view path) {
  STRATA_ASSIGN(ObjectId id, Id(path));
  return ReadLink(id);
}

Result<std::vector<std::string>> Client::ListXattrAt(std::string_view path) {
  STRATA_ASSIGN(ObjectId id, Id(path));
  return ListXattr(id);
}

Result<std::string> Client::GetXattrAt(std::string_view path, std::string_view name) {
  STRATA_ASSIGN(ObjectId id, Id(path));
  return GetXattr(id, name);
}

Result<void> Client::LinkAt(std::string_view existing, std::string_view path) {
  STRATA_ASSIGN(ObjectId id, Id(existing));
  STRATA_ASSIGN(Place place, Parent(path));
  return Link(id, place.directory, place.name);
}

Result<void> Client::RenameAt(std::string_view from, std::string_view to) {
  STRATA_ASSIGN(Place source, Parent(from));
  STRATA_ASSIGN(Place target, Parent(to));
  return Rename(source.directory, source.name, target.directory, target.name);
}

Result<void> Client::Unlink(std::string_view path) {
  STRATA_ASSIGN(Place place, Parent(path));
  return Remove(place.directory, place.name);
}

Result<void> Client::Rmdir(std::string_view path) {
  STRATA_ASSIGN(Place place, Parent(path));
  return RemoveDirectory(place.directory, place.name);
}

Result<void> Client::Chmod(std::string_view path, std::uint32_t mode) {
  STRATA_ASSIGN(ObjectId id, Id(path));
  return Set(id, Mode(mode));
}

Result<void> Client::Chown(std::string_view path, std::optional<std::uint32_t> uid, std::optional<std::uint32_t> gid) {
  STRATA_ASSIGN(ObjectId id, Id(path));
  return Set(id, Owner(uid, gid));
}

Result<void> Client::Truncate(std::string_view path, std::uint64_t size) {
  STRATA_ASSIGN(ObjectId id, Id(path));
  return Set(id, Size(size));
}

Result<std::vector<Listed>> Client::ListAll(const ObjectId& directory, std::size_t page_size, bool want_attributes) {
  std::vector<Listed> all;
  std::set<std::string> seen;
  Cookie cookie;
  while (true) {
    STRATA_ASSIGN(Page page, ListPage(directory, cookie, page_size, want_attributes));
    for (Listed& entry : page.entries) {
      if (!seen.insert(entry.name).second) return Fail(Errc::kServerFault, "listed twice: " + entry.name);
      cookie = entry.cookie;
      all.push_back(std::move(entry));
    }
    if (page.eof) return all;
    if (page.entries.empty()) return Fail(Errc::kServerFault, "a page of a listing is empty, but not the last");
  }
}

Result<std::vector<std::string>> Client::List(std::string_view path) {
  STRATA_ASSIGN(ObjectId id, Id(path));
  STRATA_ASSIGN(std::vector<Listed> entries, ListAll(id));
  std::vector<std::string> names;
  for (Listed& entry : entries) {
    if (entry.name != "." && entry.name != "..") names.push_back(std::move(entry.name));
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace strata::vfs::testing
