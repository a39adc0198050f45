#include "tests/vfs/faults/stream.h"

namespace strata::vfs::testing {

Tree StreamBase() {
  return {DirNode("a"),
          FileNode("a/a", Pattern(50'000, 1)),
          FileNode("a/b", "small"),
          DirNode("a/c"),
          FileNode("a/c/a", "deep"),
          DirNode("b"),
          DirNode("b/a"),
          FileNode("b/a/b", Pattern(9000, 2)),
          LinkNode("b/d", "a/b"),
          SymlinkNode("c", "a/b"),
          SparseNode("d", 40'000)};
}

Stream::Stream(FaultySubject& subject, Tree base, std::uint64_t seed)
    : subject_(subject), base_(std::move(base)), random_(seed) {
  BuildModel();
  Client model(model_);
  Client client(subject_);
  known_.push_back({model.Root(), client.Root(), true});
  for (const TreeNode& node : base_) {
    const bool directory = node.type == FileType::kDirectory && node.same_as.empty();
    known_.push_back({model.IdOf(node.path), client.IdOf(node.path), directory});
  }
  from_base_ = known_.size();
}

void Stream::BuildModel() {
  model_.model = std::make_unique<ModelFileSystem>();
  Client model(model_);
  BuildThrough(model, base_);
}

std::size_t Stream::Pick(bool directory) {
  Client model(model_);
  for (int i = 0; i < 40; ++i) {
    const std::size_t at = Random(known_.size());
    // Mostly what still lives.
    if (known_[at].directory == directory && (i > 30 || model.Get(known_[at].model))) return at;
  }
  return 0;
}

Stream::Op Stream::Think() {
  static constexpr Kind kOften[] = {Kind::kCreate, Kind::kCreate, Kind::kMkdir, Kind::kMkdir,  Kind::kSymlink,
                                    Kind::kRemove, Kind::kRemove, Kind::kRmdir, Kind::kRename, Kind::kRename,
                                    Kind::kRename, Kind::kLink,   Kind::kWrite, Kind::kWrite,  Kind::kWrite,
                                    Kind::kSet,    Kind::kSet};
  Op op;
  op.kind = kOften[Random(std::size(kOften))];
  op.name = Name();
  op.to = Name();
  op.set = Mode(0600 + static_cast<std::uint32_t>(Random(64)));
  switch (op.kind) {
    case Kind::kWrite:
      op.a = Pick(false);
      op.offset = Random(3) == 0 ? Random(60'000) : Random(2000);
      op.data = Pattern(1 + (Random(6) == 0 ? 30'000 + Random(40'000) : Random(2000)), random_());
      op.stability = static_cast<Stability>(Random(3));
      break;
    case Kind::kSet:
      op.a = Pick(Random(3) == 0);
      if (Random(2) == 0) op.set = Size(Random(70'000));
      if (Random(4) == 0) op.set.uid = 1000;
      break;
    case Kind::kLink:
      op.a = Pick(false);
      op.b = Pick(true);
      break;
    default:
      op.a = Pick(true);
      op.b = Random(2) == 0 ? op.a : Pick(true);
  }
  return op;
}

Result<Entry> Stream::Apply(FileSystem& fs, const Op& op, const ObjectId& a, const ObjectId& b, Mutation& mutation) {
  const OpContext context{.credentials = {}, .may_block = true};
  const auto plain = [](const Result<void>& done) -> Result<Entry> {
    if (!done) return Fail(done.error());
    return Entry{};
  };
  switch (op.kind) {
    case Kind::kCreate:
      return fs.Create(context, a, op.name, CreateMode::kGuarded, op.set, {}, mutation);
    case Kind::kMkdir:
      return fs.MakeDirectory(context, a, op.name, op.set, mutation);
    case Kind::kSymlink:
      return fs.MakeSymlink(context, a, op.name, op.to, {}, mutation);
    case Kind::kRemove:
      return plain(fs.Remove(context, a, op.name, mutation));
    case Kind::kRmdir:
      return plain(fs.RemoveDirectory(context, a, op.name, mutation));
    case Kind::kRename:
      return plain(fs.Rename(context, a, op.name, b, op.to, mutation));
    case Kind::kLink:
      return plain(fs.Link(context, a, b, op.name, nullptr, mutation));
    case Kind::kSet:
      return plain(fs.SetAttributesOf(context, a, op.set, std::nullopt, mutation));
    case Kind::kWrite: {
      auto wrote = fs.Write(context, a, op.offset, AsBytes(op.data), op.stability, mutation);
      if (!wrote) return Fail(wrote.error());
      return Entry{};
    }
  }
  return Fail(Errc::kServerFault);
}

void Stream::Step(bool wait) { ASSERT_TRUE(StepOrStop(wait)) << "the machine stopped"; }

bool Stream::StepOrStop(bool wait) {
  Op op = Think();
  op.known = known_.size();
  Mutation model_mutation, mutation;
  const auto expected = Apply(*model_.model, op, known_[op.a].model, known_[op.b].model, model_mutation);
  const auto got = Apply(subject_.fs(), op, known_[op.a].subject, known_[op.b].subject, mutation);
  if (expected && !got && subject_.env().stopped()) return false;
  EXPECT_EQ(expected.has_value(), got.has_value())
      << "kind " << static_cast<int>(op.kind) << ' ' << op.name << ' ' << op.to << ": " << Describe(CodeOf(expected))
      << " and " << Describe(CodeOf(got));
  if (got && mutation.commitment != Commitment::kNone) {
    op.end = mutation.lsn;
    ++changes_;
    if (wait) {
      const auto settled = Settle(subject_.fs(), mutation);
      if (!subject_.env().stopped()) {
        EXPECT_OK(settled);
      }
      if (settled && mutation.commitment == Commitment::kDurable) promised_ = std::max(promised_, mutation.lsn);
    }
  }
  if (got && expected && op.kind <= Kind::kSymlink) known_.push_back({expected->id, got->id, op.kind == Kind::kMkdir});
  steps_.push_back(std::move(op));
  return true;
}

void Stream::SyncAll() {
  Mutation everything;
  everything.commitment = Commitment::kDurable;
  everything.lsn = subject_.workspace().journal_end();
  ASSERT_OK(Settle(subject_.fs(), everything));
  promised_ = everything.lsn;
}

void Stream::CutAndCompare(Lsn end) {
  ASSERT_GE(end.value, promised_.value) << "what was promised is gone";
  std::size_t kept = 0;
  while (kept < steps_.size() && steps_[kept].end <= end) ++kept;
  if (kept < steps_.size()) {
    const std::size_t known = steps_[kept].known;
    lost_.insert(lost_.end(), known_.begin() + static_cast<std::ptrdiff_t>(known), known_.end());
    known_.resize(known);
    steps_.resize(kept);
  }
  BuildModel();
  for (const Op& op : steps_) {
    Mutation mutation;
    (void)Apply(*model_.model, op, known_[op.a].model, known_[op.b].model, mutation);
  }
  Compare();
}

void Stream::Compare() {
  // What the root's mode and owner are to begin with is the subject's to choose.
  const auto without_root = [](const std::string& image) { return image.substr(image.find('\n') + 1); };
  ASSERT_EQ(without_root(TreeImage(model_, false)), without_root(TreeImage(subject_, false)));
  Client model(model_);
  Client client(subject_);
  for (const Known& known : known_) {
    auto there = model.Get(known.model);
    auto here = client.Get(known.subject);
    ASSERT_EQ(there.has_value(), here.has_value()) << "a handle is " << Describe(CodeOf(here));
    if (!here) {
      EXPECT_EQ(here.error().code(), Errc::kStale);
    }
    if (there && here) {
      EXPECT_EQ(there->mode, here->mode);
    }
  }
  for (const Known& known : lost_) EXPECT_CODE(client.Get(known.subject), Errc::kStale);
}

}  // namespace strata::vfs::testing
