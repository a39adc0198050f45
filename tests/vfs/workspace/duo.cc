#include "duo.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace strata::vfs::testing {
namespace {

constexpr const char* kNames[] = {"a", "b", "c", "d", "e", ".wh.a", "\xc3\xa4"};
// No file that may be executed but not read (servers differ on reading it), and no set-id bits on files (they are the
// contract's).
constexpr std::uint32_t kFileModes[] = {0644, 0600, 0666, 0640, 0444, 0755, 0700, 0000, 0664, 0604};
constexpr std::uint32_t kDirectoryModes[] = {0755, 0777, 0777, 0700, 0711, 01777, 0744, 0000, 0775, 0733};

std::string Text(const ObjectId& id) { return "#" + std::to_string(id.ino.value); }

}  // namespace

Duo::Duo(Subject& subject, const Tree& given, std::uint64_t seed) : subject_(subject), random_(seed) {
  Client model(model_);
  BuildThrough(model, given);
  Client client(subject_);
  auto a = model.Walk("");
  auto b = client.Walk("");
  if (!a || !b) {
    ADD_FAILURE() << "no root";
    return;
  }
  // The root's own attributes are the subject's to choose.
  SetAttributes set = Mode(0777);
  set.uid = set.gid = 0;
  EXPECT_OK(model.Set(a->id, set));
  EXPECT_OK(client.Set(b->id, set));
  a = model.Walk("");
  b = client.Walk("");
  Learn(*a, *b);
  CompareTrees();
}

std::string Duo::Trace() const {
  std::string text = "the last calls:\n";
  for (const std::string& line : trace_) text += "  " + line + '\n';
  return text;
}

Duo::Known& Duo::PickObject(bool directory) {
  for (int i = 0; i < 20; ++i) {
    Known& known = known_.at(order_[Random(order_.size())]);
    if (directory == (known.type == FileType::kDirectory)) {
      // Mostly what still lives.
      Client model(model_);
      if (i < 5 && !model.Get(known.model)) continue;
      return known;
    }
  }
  return known_.at(1);
}

std::string Duo::PickName() {
  if (Random(60) == 0) return std::string(255, 'n');
  return Pick(kNames);
}

Credentials Duo::PickUser() {
  switch (Random(6)) {
    case 0:
      return User(1000, 1000);
    case 1:
      return User(1001, 1001);
    case 2:
      return User(1002, 1002, {1000, 2000});
    default:
      return {};
  }
}

template <typename F>
bool Duo::Both(const std::string& what, const Credentials& who, F&& call) {
  Client model(model_, who);
  Client subject(subject_, who);
  const std::optional<Errc> expected = call(model, 0);
  const std::set<Errc> faults = model_.model.Faults();
  const std::optional<Errc> got = call(subject, 1);
  trace_.push_back("uid " + std::to_string(who.uid) + ": " + what + " -> " + Describe(expected));
  if (trace_.size() > 40) trace_.pop_front();
  if (!expected) {
    EXPECT_FALSE(got.has_value()) << what << " by uid " << who.uid << " must succeed, but gave " << Describe(got);
    ++succeeded_;
  } else {
    std::string allowed;
    for (Errc code : faults) allowed += ' ' + std::string(ErrcName(code));
    EXPECT_TRUE(got && faults.contains(*got))
        << what << " by uid " << who.uid << " gave " << Describe(got) << ", not" << allowed;
    ++refused_;
  }
  return !expected && !got;
}

void Duo::Learn(const Entry& model, const Entry& subject) {
  const auto [at, added] = known_.try_emplace(model.id.ino.value);
  Known& known = at->second;
  if (added) {
    known = {model.id, subject.id, model.attributes.type, false, {}, {}, {}};
    order_.push_back(model.id.ino.value);
  }
  EXPECT_EQ(known.subject.ino.value, subject.id.ino.value) << "an object has changed its number";
  EXPECT_TRUE(known.subject == subject.id) << "an object has changed its handle";
  CompareAttributes(known, model.attributes, subject.attributes);
}

void Duo::CompareAttributes(Known& known, const Attributes& model, const Attributes& subject) {
  const std::string who = Text(known.model) + " of the model, " + Text(known.subject) + " here";
  EXPECT_EQ(model.type, subject.type) << who;
  if (model.type != FileType::kSymlink) {
    EXPECT_EQ(model.mode, subject.mode) << who;
  }
  EXPECT_EQ(model.uid, subject.uid) << who;
  EXPECT_EQ(model.gid, subject.gid) << who;
  // A directory of several layers does not count its links (spec nfsv3 4.4).
  const bool counts = model.type != FileType::kDirectory || subject.nlink != 1;
  if (counts) {
    EXPECT_EQ(model.nlink, subject.nlink) << who;
  }
  if (model.type == FileType::kRegular || model.type == FileType::kSymlink) {
    EXPECT_EQ(model.size, subject.size) << who;
  }
  EXPECT_EQ(subject.ino.value, known.subject.ino.value) << who;
  if (known.timed) {
    if (model.mtime == known.model_mtime) {
      EXPECT_EQ(subject.mtime.ns, known.subject_mtime.ns) << who << ": mtime moved";
    } else {
      EXPECT_NE(subject.mtime.ns, known.subject_mtime.ns) << who << ": mtime stood still";
      EXPECT_GT(subject.ctime.ns, known.subject_ctime.ns) << who << ": ctime stood still";
    }
    EXPECT_GE(subject.ctime.ns, known.subject_ctime.ns) << who << ": ctime went back";
  }
  known.timed = true;
  known.model_mtime = model.mtime;
  known.subject_mtime = subject.mtime;
  known.subject_ctime = subject.ctime;
}

void Duo::Compare(Known& known) {
  Client model(model_);
  Client subject(subject_);
  auto a = model.Get(known.model);
  auto b = subject.Get(known.subject);
  EXPECT_EQ(a.has_value(), b.has_value())
      << Text(known.model) << " of the model: " << Describe(CodeOf(a)) << ", here " << Describe(CodeOf(b));
  if (a && b) CompareAttributes(known, *a, *b);
}

void Duo::CompareData(const Known& known, const Credentials& who, std::uint64_t offset, std::uint32_t count) {
  ReadAnswer answers[2];
  const bool both = Both("read " + Text(known.model) + " " + std::to_string(offset) + "+" + std::to_string(count), who,
                         [&](Client& client, int side) {
                           auto answer = client.Read(On(side, known), offset, count);
                           if (answer) answers[side] = *answer;
                           return CodeOf(answer);
                         });
  if (!both) return;
  EXPECT_EQ(answers[0].eof, answers[1].eof);
  EXPECT_EQ(answers[0].data.size(), answers[1].data.size());
  if (answers[0].data != answers[1].data) {
    const auto at =
        std::mismatch(answers[0].data.begin(), answers[0].data.end(), answers[1].data.begin(), answers[1].data.end());
    ADD_FAILURE() << Text(known.model) << ": the data differ from byte "
                  << offset + static_cast<std::uint64_t>(at.first - answers[0].data.begin());
  }
}

void Duo::CompareDirectory(const std::string& path, std::uint64_t model_ino) {
  Client model(model_);
  Client subject(subject_);
  const Known directory = known_.at(model_ino);
  auto a = model.ListAll(directory.model);
  auto b = subject.ListAll(directory.subject, 1 + Random(9), Random(2) == 0);
  ASSERT_OK(a) << path;
  ASSERT_OK(b) << path;
  std::map<std::string, ObjectId> theirs;
  for (const Listed& entry : *b) theirs[entry.name] = entry.id;
  EXPECT_EQ(a->size(), b->size()) << path;
  for (const Listed& entry : *a) {
    if (entry.name == "." || entry.name == "..") continue;
    const std::string child = path + "/" + entry.name;
    ASSERT_TRUE(theirs.contains(entry.name)) << child << " is missing";
    auto here = subject.Lookup(directory.subject, entry.name);
    ASSERT_OK(here) << child;
    EXPECT_EQ(here->id.ino.value, theirs[entry.name].ino.value) << child;
    auto there = model.Lookup(directory.model, entry.name);
    ASSERT_OK(there);
    Learn(*there, *here);
    if (::testing::Test::HasFailure()) {
      ADD_FAILURE() << "at " << child;
      return;
    }
    const Known& known = known_.at(there->id.ino.value);
    if (known.type == FileType::kDirectory) CompareDirectory(child, there->id.ino.value);
    if (known.type == FileType::kRegular) CompareData(known, {}, 0, 1 << 20);
    if (known.type == FileType::kSymlink) {
      EXPECT_EQ(model.ReadLink(known.model).value_or("?"), subject.ReadLink(known.subject).value_or("??")) << child;
    }
  }
  Compare(known_.at(model_ino));
}

void Duo::CompareTrees() { CompareDirectory("", 1); }

bool Duo::MayChange(const Known& directory, const Credentials& who) {
  Client model(model_, who);
  return (model.Access(directory.model).value_or(0) & kAccessModify) != 0;
}

void Duo::DoCreate() {
  Known& directory = PickObject(true);
  const std::string name = PickName();
  const Credentials who = PickUser();
  const CreateMode mode = static_cast<CreateMode>(Random(3));
  // Of what exists already, servers differ on whether the directory must be writable.
  if (mode != CreateMode::kGuarded && !MayChange(directory, who)) return;
  SetAttributes set = Mode(Pick(kFileModes));
  if (Random(2) == 0) set.size = Random(3) == 0 ? Random(100'000) : 0;
  if (who.uid == 0 && Random(3) == 0) set.uid = 1000 + Random(3);
  if (mode == CreateMode::kExclusive) set = {};
  const CreateVerifier verifier = {static_cast<std::uint8_t>(1 + Random(2))};
  Entry made[2];
  const bool both =
      Both("create " + Text(directory.model) + "/" + name + " mode " + std::to_string(static_cast<int>(mode)), who,
           [&](Client& client, int side) {
             auto entry = client.Create(On(side, directory), name, mode, set, verifier);
             if (entry) made[side] = *entry;
             return CodeOf(entry);
           });
  if (both) {
    // An exclusive create carries no attributes: the client sets them next.
    if (mode == CreateMode::kExclusive) {
      Both("set mode of " + Text(made[0].id), {}, [&](Client& client, int side) {
        auto done = client.Set(made[side].id, Mode(0644));
        if (auto now = client.Get(made[side].id)) made[side].attributes = *now;
        return CodeOf(done);
      });
    }
    // Whether setting the size to what it is moves mtime is open.
    if (auto known = known_.find(made[0].id.ino.value); known != known_.end()) known->second.timed = false;
    Learn(made[0], made[1]);
  }
  Compare(directory);
}

void Duo::DoMake() {
  Known& directory = PickObject(true);
  const std::string name = PickName();
  const Credentials who = PickUser();
  SetAttributes set = Mode(Pick(kDirectoryModes));
  const std::uint64_t kind = Random(10);
  const std::string target(1 + Random(50), 't');
  Entry made[2];
  const bool both = Both((kind < 6   ? "mkdir "
                          : kind < 8 ? "symlink "
                                     : "mknod ") +
                             Text(directory.model) + "/" + name,
                         who, [&](Client& client, int side) {
                           const ObjectId& at = On(side, directory);
                           auto entry = kind < 6   ? client.MakeDirectory(at, name, set)
                                        : kind < 8 ? client.MakeSymlink(at, name, target)
                                                   : client.MakeNode(at, name, FileType::kFifo, {}, Mode(0644));
                           if (entry) made[side] = *entry;
                           return CodeOf(entry);
                         });
  if (both) Learn(made[0], made[1]);
  Compare(directory);
}

void Duo::DoRemove() {
  Known& directory = PickObject(true);
  const std::string name = PickName();
  const bool rmdir = Random(2) == 0;
  Both((rmdir ? "rmdir " : "remove ") + Text(directory.model) + "/" + name, PickUser(), [&](Client& client, int side) {
    const ObjectId& at = On(side, directory);
    return CodeOf(rmdir ? client.RemoveDirectory(at, name) : client.Remove(at, name));
  });
  Compare(directory);
}

void Duo::DoRename() {
  Known& from = PickObject(true);
  Known& to = Random(2) == 0 ? from : PickObject(true);
  const std::string name = PickName();
  const std::string target = PickName();
  const Credentials who = PickUser();
  Client model(model_);
  if (&from != &to && who.uid != 0) {
    // Whether a directory that moves must be writable itself is open.
    auto moved = model.Lookup(from.model, name);
    if (moved && moved->attributes.type == FileType::kDirectory) return;
  }
  Both("rename " + Text(from.model) + "/" + name + " to " + Text(to.model) + "/" + target, who,
       [&](Client& client, int side) { return CodeOf(client.Rename(On(side, from), name, On(side, to), target)); });
  Compare(from);
  Compare(to);
}

void Duo::DoLink() {
  Known& object = PickObject(Random(20) == 0);
  Known& directory = PickObject(true);
  const std::string name = PickName();
  Both("link " + Text(object.model) + " as " + Text(directory.model) + "/" + name, PickUser(),
       [&](Client& client, int side) { return CodeOf(client.Link(On(side, object), On(side, directory), name)); });
  Compare(object);
  Compare(directory);
}

void Duo::DoWrite() {
  Known& file = PickObject(Random(30) == 0);
  const std::uint64_t offset = Random(4) == 0 ? Random(200'000) : Random(3000);
  const std::string data = Pattern(1 + (Random(5) == 0 ? Random(70'000) : Random(3000)), random_());
  const auto stability = static_cast<Stability>(Random(8) == 0 ? 2 : 0);
  Both("write " + Text(file.model) + " " + std::to_string(offset) + "+" + std::to_string(data.size()), PickUser(),
       [&](Client& client, int side) { return CodeOf(client.Write(On(side, file), offset, data, stability)); });
  Compare(file);
}

void Duo::DoSet() {
  const bool directory = Random(3) == 0;
  Known& object = PickObject(directory);
  const Credentials who = PickUser();
  SetAttributes set;
  switch (Random(5)) {
    case 0:
      if (object.type == FileType::kSymlink) return;
      set.mode = object.type == FileType::kDirectory ? Pick(kDirectoryModes) : Pick(kFileModes);
      if (object.type == FileType::kDirectory && who.uid == 0 && Random(4) == 0) set.mode = 02777;
      // The bits of a directory that its owner, who is not of its group, changes: servers differ.
      break;
    case 1:
      if (who.uid == 0) set.uid = 1000 + Random(3);
      set.gid = who.uid == 0 ? 1000 + Random(3) : Random(2) == 0 ? who.gid : 2000;
      break;
    case 2:
      set.set_atime = set.set_mtime = SetTime::kClient;
      set.atime = set.mtime = Time{static_cast<std::int64_t>(1'000'000'000'000'000'000 + Random(1'000'000'000))};
      break;
    case 3:
      set.set_atime = set.set_mtime = SetTime::kServer;
      break;
    default:
      set.size = Random(3) == 0 ? 0 : Random(Random(2) == 0 ? 5000 : 150'000);
      object.timed = false;  // as in DoCreate
  }
  std::string what = "set";
  if (set.mode) what += " mode";
  if (set.uid || set.gid) what += " owner";
  if (set.size) what += " size " + std::to_string(*set.size);
  Both(what + " of " + Text(object.model), who,
       [&](Client& client, int side) { return CodeOf(client.Set(On(side, object), set)); });
  Compare(object);
}

void Duo::DoLook() {
  const Credentials who = PickUser();
  Known& directory = PickObject(true);
  const std::string name = Random(10) == 0 ? ".." : PickName();
  Entry found[2];
  const bool both = Both("lookup " + Text(directory.model) + "/" + name, who, [&](Client& client, int side) {
    auto entry = client.Lookup(On(side, directory), name);
    if (entry) found[side] = *entry;
    return CodeOf(entry);
  });
  if (both) Learn(found[0], found[1]);
  Both("list " + Text(directory.model), who,
       [&](Client& client, int side) { return CodeOf(client.ListPage(On(side, directory), Cookie{}, 3)); });
  Known& file = PickObject(false);
  CompareData(file, who, Random(100'000), 1 + Random(50'000));
  for (Known* object : {&directory, &file}) {
    std::uint32_t granted[2] = {};
    const bool answered = Both("access " + Text(object->model), who, [&](Client& client, int side) {
      auto access = client.Access(On(side, *object));
      if (access) granted[side] = *access;
      return CodeOf(access);
    });
    if (!answered) continue;
    std::uint32_t compared = kAccessRead | kAccessModify | kAccessExtend | kAccessLookup;
    if (object->type == FileType::kDirectory) compared |= kAccessDelete;
    if (object->type == FileType::kRegular) compared |= kAccessExecute;
    // What it means to write to a directory that one may not search is open.
    if (object->type == FileType::kDirectory && (granted[0] & kAccessLookup) == 0)
      compared = kAccessRead | kAccessLookup;
    EXPECT_EQ(granted[0] & compared, granted[1] & compared) << Text(object->model);
  }
}

void Duo::Step() {
  const std::uint64_t dice = Random(100);
  if (dice < 18) return DoCreate();
  if (dice < 28) return DoMake();
  if (dice < 40) return DoRemove();
  if (dice < 54) return DoRename();
  if (dice < 60) return DoLink();
  if (dice < 75) return DoWrite();
  if (dice < 88) return DoSet();
  DoLook();
}

}  // namespace strata::vfs::testing
