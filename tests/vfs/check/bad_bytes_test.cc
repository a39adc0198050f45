// A small workspace with each of its bytes turned, and with its files cut, zeroed from there on, or with a sector of
// zeros. Whatever it is: the workspace opens and shows what it showed, or says what is missing, or is refused with a
// message that names the file and what to do. Never a crash, never wrong data, never a loss without a word.
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <optional>
#include <set>

#include "journal/format.h"
#include "tests/vfs/check/picture.h"

namespace strata::vfs::testing {
namespace {

enum class How { kTurned, kCut, kZeroedFromHere, kZeroedSector };
constexpr std::size_t kSector = 512;
constexpr int kChecked = 7;  // one of so many is also given to `strata check`

std::string NameOf(How how) {
  static constexpr const char* kNames[] = {"turned", "cut", "zeroed from here", "sector zeroed"};
  return kNames[static_cast<int>(how)];
}

// False: nothing would change.
bool Damage(std::string& content, How how, std::size_t at) {
  if (at >= content.size()) return false;
  const std::string before = content;
  switch (how) {
    case How::kTurned:
      content[at] = static_cast<char>(content[at] ^ (1 << (at % 8)));
      break;
    case How::kCut:
      content.resize(at);
      break;
    case How::kZeroedFromHere:
      content.replace(at, std::string::npos, content.size() - at, '\0');
      break;
    case How::kZeroedSector: {
      const std::size_t begin = at / kSector * kSector;
      const std::size_t size = std::min(kSector, content.size() - begin);
      content.replace(begin, size, size, '\0');
      break;
    }
  }
  return content != before;
}

class BadBytes : public ::testing::Test {
 protected:
  struct Seen {
    int tried = 0, right = 0, reported = 0, earlier = 0, refused = 0;
  };

  // Opens the folder as it is, with one thing wrong, reads all, and judges. `traceless`: what is left is what there was
  // before a change.
  void Try(const std::string& what, bool traceless = false) {
    SCOPED_TRACE(what);
    ++seen_.tried;
    log_.Clear();
    // A check of the same comes through, and finds what makes opening fail.
    std::optional<CheckReport> checked;
    if (seen_.tried % kChecked == 0) {
      auto report = history_.Check();
      if (report) checked = std::move(*report);
      EXPECT_TRUE(report || report.error().code() == Errc::kNotSupported) << report.error().ToString();
    }
    auto opened = history_.Open();
    if (checked && !opened) {
      EXPECT_TRUE(checked->damaged()) << "a check finds nothing of: " << opened.error().ToString();
    }
    if (!opened) {
      const Status& status = opened.error();
      const std::string message(status.message());
      EXPECT_TRUE(status.code() == Errc::kCorrupt || status.code() == Errc::kNotSupported) << status.ToString();
      EXPECT_NE(message.find(history_.folder()), std::string::npos) << "names no file: " << message;
      bool advised = false;
      for (const char* advice : {"restore", "put ", "use that version", "strata check", "move the file", "Restore"}) {
        advised = advised || message.find(advice) != std::string::npos;
      }
      EXPECT_TRUE(advised) << "says nothing of what to do: " << message;
      ++seen_.refused;
      return;
    }
    const Shown shown = ShownBy(**opened);
    opened->reset();
    std::string why;
    if (AgreesWith(shown, history_.states().back(), &why)) {
      ++seen_.right;
      for (const auto& [path, words] : shown) {
        if (words.find(kUnreadable) == std::string::npos) continue;
        ++seen_.reported;
        --seen_.right;
        break;
      }
      return;
    }
    // What no record after it vouches for may be taken for what a power cut left; then it is said that something was
    // cut.
    ++seen_.earlier;
    bool known = false;
    std::string ignored;
    for (const Shown& state : history_.states()) known = known || AgreesWith(shown, state, &ignored);
    EXPECT_TRUE(known) << "no state that ever was: " << why;
    bool said = false;
    for (const std::string& line : log_.Lines())
      said = said || line.find("event=journal_tail_cut") != std::string::npos;
    EXPECT_TRUE(said || traceless) << "a loss without a word: " << why;
  }

  // `ends`: where, in the file, all behind can be gone without a trace: as if the records there had not been written
  // yet.
  void TryFile(const std::string& name, How how, const std::function<bool(std::size_t)>& chosen,
               const std::set<std::size_t>& ends = {}) {
    const Picture sound = TakePicture(history_.folder());
    ASSERT_TRUE(sound.contains(name));
    const int before = seen_.tried;
    for (std::size_t at = 0; at < sound.at(name).size(); ++at) {
      if (!chosen(at)) continue;
      Picture damaged = sound;
      if (!Damage(damaged.at(name), how, at)) continue;
      PutPicture(history_.folder(), damaged);
      Try(name + " byte " + std::to_string(at) + " " + NameOf(how), ends.contains(at));
      if (HasFailure()) return;
    }
    EXPECT_GT(seen_.tried, before) << name << " was not tried";
    PutPicture(history_.folder(), sound);
  }

  void TearDown() override {
    std::printf("tried %d: all right %d, a part unreadable %d, an earlier state with a warning %d, refused %d\n",
                seen_.tried, seen_.right, seen_.reported, seen_.earlier, seen_.refused);
  }

  std::vector<std::string> Segments() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(history_.folder() + "/journal")) {
      if (entry.path().extension() == ".seg") names.push_back("journal/" + entry.path().filename().string());
    }
    std::ranges::sort(names);
    return names;
  }

  LogKeeper log_;
  History history_;
  Seen seen_;
};

// The bytes that say what the others are: the header, and the frames and heads of the records. `ends` gets where
// records end.
std::vector<bool> Structure(const std::string& segment, std::uint64_t base, std::set<std::size_t>* ends) {
  std::vector<bool> structure(segment.size(), false);
  ends->insert(journal::kSegmentHeaderBytes);
  std::fill_n(structure.begin(), std::min<std::size_t>(journal::kSegmentHeaderBytes, segment.size()), true);
  journal::SegmentHeader header;
  if (DecodeSegmentHeader(AsBytes(segment), header) != journal::HeaderState::kValid) return structure;
  for (std::size_t at = journal::kSegmentHeaderBytes; at + journal::kFrameBytes <= segment.size();) {
    const auto frame = journal::DecodeFrame(AsBytes(segment).subspan(at), base + at, header.salt);
    if (!frame) break;
    std::fill_n(structure.begin() + static_cast<std::ptrdiff_t>(at), journal::kFrameBytes + frame->head_size, true);
    at += frame->RecordBytes();
    ends->insert(at);
  }
  return structure;
}

class BadJournal : public BadBytes, public ::testing::WithParamInterface<bool> {
 protected:
  void SetUp() override { history_.Live(GetParam()); }
  std::set<std::size_t> Ends(const std::string& name) const {
    std::set<std::size_t> ends;
    const std::uint64_t index = std::stoull(std::filesystem::path(name).stem().string(), nullptr, 16);
    Structure(TakePicture(history_.folder()).at(name), index * 8192, &ends);
    return ends;
  }
};

TEST_P(BadJournal, WithABitTurnedIsToldOrRefused) {
  const Picture picture = TakePicture(history_.folder());
  ASSERT_GT(Segments().size(), 1u);
  std::uint64_t base = 0;
  for (const std::string& name : Segments()) {
    std::set<std::size_t> ends;
    const std::vector<bool> structure = Structure(picture.at(name), base, &ends);
    base += 8192;
    // Each byte of what is not data in one of the two kinds of workspace, and every third in the other; fewer where a
    // sanitizer makes each slow.
#ifdef __SANITIZE_ADDRESS__
    const std::size_t stride = GetParam() ? 13 : 5;
#else
    const std::size_t stride = GetParam() ? 3 : 1;
#endif
    TryFile(name, How::kTurned, [&](std::size_t at) { return structure[at] ? at % stride == 0 : at % 97 == 0; });
  }
  EXPECT_GT(seen_.refused + seen_.reported + seen_.earlier, 0);
}

TEST_P(BadJournal, ThatIsCutIsToldOrRefused) {
  for (const std::string& name : Segments()) {
    const std::set<std::size_t> ends = Ends(name);
    TryFile(name, How::kCut, [&](std::size_t at) { return at < 66 || at % 83 == 0 || ends.contains(at); }, ends);
  }
}

TEST_P(BadJournal, WithZerosIsToldOrRefused) {
  for (const std::string& name : Segments()) {
    const std::set<std::size_t> ends = Ends(name);
    TryFile(
        name, How::kZeroedFromHere, [&](std::size_t at) { return at < 66 || at % 83 == 0 || ends.contains(at); }, ends);
    TryFile(name, How::kZeroedSector, [](std::size_t at) { return at % kSector == 0; });
  }
}

INSTANTIATE_TEST_SUITE_P(Of, BadJournal, ::testing::Bool(),
                         [](const auto& parameter) { return parameter.param ? "AKilledServer" : "AServerThatEnded"; });

class BadIndex : public BadBytes {
 protected:
  // Whatever happens to the index: the journal knows all.
  void ExpectNothingLost() const {
    EXPECT_EQ(seen_.earlier, 0);
    EXPECT_EQ(seen_.refused, 0);
    EXPECT_GT(seen_.right, 0);
  }
};

TEST_F(BadIndex, ItsFileIsMadeAnewOrToldFrom) {
  history_.Live(true);
  // The header of the file, those of the b-tree pages, and then here and there.
  TryFile("index.db", How::kTurned,
          [](std::size_t at) { return at < 108 || at % 4096 < 12 || at % 4096 >= 4084 || at % 61 == 0; });
  TryFile("index.db", How::kCut, [](std::size_t at) { return at < 2 || at % 1024 == 0 || at % 1531 == 0; });
  TryFile("index.db", How::kZeroedFromHere, [](std::size_t at) { return at < 2 || at % 1024 == 0; });
  TryFile("index.db", How::kZeroedSector, [](std::size_t at) { return at % kSector == 0; });
  ExpectNothingLost();
}

TEST_F(BadIndex, ItsLogIsReadAsFarAsItChecks) {
  history_.Live(true);
  const auto frames = [](std::size_t at) { return at < 32 || (at - 32) % 4120 < 24; };
  TryFile("index.db-wal", How::kTurned, [&](std::size_t at) { return frames(at) || at % 61 == 0; });
  TryFile("index.db-wal", How::kCut, [](std::size_t at) { return at < 34 || at % 1031 == 0; });
  TryFile("index.db-wal", How::kZeroedFromHere, [](std::size_t at) { return at < 34 || at % 1031 == 0; });
  TryFile("index.db-wal", How::kZeroedSector, [](std::size_t at) { return at % kSector == 0; });
  ExpectNothingLost();
}

TEST_F(BadIndex, ItsSharedMemoryIsMadeAnew) {
  history_.Live(true);
  TryFile("index.db-shm", How::kTurned, [](std::size_t at) { return at < 136 || at % 257 == 0; });
  TryFile("index.db-shm", How::kCut, [](std::size_t at) { return at % 4001 == 0; });
  TryFile("index.db-shm", How::kZeroedFromHere, [](std::size_t at) { return at % 4001 == 0; });
  ExpectNothingLost();
  EXPECT_EQ(seen_.reported, 0);
}

TEST_F(BadIndex, LockFilesHoldNothing) {
  history_.Live(true);
  const Picture sound = TakePicture(history_.folder());
  for (const std::string name : {"lock", "journal/lock"}) {
    for (const std::string& content : {std::string(), std::string("\xff\x00garbage", 9), std::string(5000, '\0')}) {
      Picture changed = sound;
      changed[name] = content;
      PutPicture(history_.folder(), changed);
      Try(name);
    }
    Picture missing = sound;
    missing.erase(name);
    PutPicture(history_.folder(), missing);
    Try(name + " missing");
  }
  EXPECT_EQ(seen_.right, seen_.tried);
}

TEST_F(BadIndex, TheDescriptionOfTheWorkspaceIsRightOrRefused) {
  history_.Live(false);
  TryFile("workspace.json", How::kTurned, [](std::size_t) { return true; });
  TryFile("workspace.json", How::kCut, [](std::size_t at) { return at > 0; });
  EXPECT_EQ(seen_.earlier + seen_.reported, 0);
}

// While it is served a page goes bad: what it holds is EIO, all else is right, and the next start makes the index anew
// by itself.
TEST_F(BadIndex, DamageFoundWhileServingIsToldOnceAndMendedAtTheNextStart) {
  history_.Live(false);
  const Picture sound = TakePicture(history_.folder());
  int found = 0;
  for (std::size_t page = 1; page < sound.at("index.db").size() / 4096; ++page) {
    SCOPED_TRACE(page);
    PutPicture(history_.folder(), sound);
    log_.Clear();
    auto opened = history_.Open();
    ASSERT_OK(opened);
    {
      std::filesystem::path file = history_.folder() + "/index.db";
      std::FILE* out = std::fopen(file.c_str(), "r+b");
      ASSERT_NE(out, nullptr);
      std::fseek(out, static_cast<long>(page * 4096 + 4000), SEEK_SET);
      const char turned = static_cast<char>(sound.at("index.db")[page * 4096 + 4000] ^ 1);
      std::fputc(turned, out);
      std::fclose(out);
    }
    const Shown shown = ShownBy(**opened);
    std::string why;
    EXPECT_TRUE(AgreesWith(shown, history_.states().back(), &why)) << why;
    opened->reset();
    int told = 0;
    for (const std::string& line : log_.Lines()) told += line.find("event=index_damaged") != std::string::npos;
    EXPECT_LE(told, 1);
    found += told;
    const bool marked = told > 0;
    EXPECT_EQ(std::filesystem::exists(history_.folder() + "/index.rebuild"), marked);
    log_.Clear();
    auto again = history_.Open();
    ASSERT_OK(again);
    EXPECT_EQ(ShownBy(**again), history_.states().back());
    EXPECT_FALSE(std::filesystem::exists(history_.folder() + "/index.rebuild"));
    if (marked) {
      EXPECT_TRUE(std::filesystem::exists(history_.folder() + "/index.db.damaged"));
      EXPECT_FALSE(log_.Lines().empty()) << "made anew without a word";
    }
  }
  EXPECT_GT(found, 0) << "no page was read while it was served";
}

}  // namespace
}  // namespace strata::vfs::testing
