// What is handed to `thaw emulate` besides a snapshot: a template, and where the input begins as a
// zip does, the package that a template's function names. A template is read or refused in one
// line, and what is read is within the platform's bounds; a package gives its member or an error,
// and writes nowhere but where it was told to.
#include <cstdlib>
#include <cstring>

#include "runtime/deployment/code.h"

using namespace thaw;
using namespace thaw::deployment;

namespace {

constexpr std::string_view kPackage = "/template/code.zip";
constexpr std::string_view kUnpacked = "/unpacked";

void expect(bool holds) {
  if (!holds) std::abort();
}

void expect_one_line(std::string_view message) {
  expect(message.find_first_of("\n\r") == message.npos && message.size() < 1000);
}

class Whole final : public Mapping {
 public:
  explicit Whole(Bytes bytes) : bytes_(bytes) {}
  Bytes bytes() const override { return bytes_; }

 private:
  Bytes bytes_;
};

class Sink final : public WriteFile {
 public:
  explicit Sink(std::uint64_t bytes_max) : bytes_max_(bytes_max) {}
  Result<Done> append(Bytes bytes) override {
    bytes_ += bytes.size();
    expect(bytes_ <= bytes_max_);
    return Done{};
  }
  Result<Done> write_at(std::uint64_t, Bytes) override { return Done{}; }
  std::uint64_t size() const override { return bytes_; }
  Result<std::unique_ptr<Mapping>> map() const override { return fail(Code::kIo, "no"); }
  Result<Done> commit() override { return Done{}; }

 private:
  std::uint64_t bytes_max_, bytes_ = 0;
};

// A disk with one file on it.
class Disk final : public Files, public StateFiles {
 public:
  explicit Disk(Bytes package) : package_(package) {}
  Result<std::unique_ptr<Mapping>> map(const std::string& path) override {
    expect(path == kPackage);
    return std::unique_ptr<Mapping>(std::make_unique<Whole>(package_));
  }
  Result<std::unique_ptr<WriteFile>> create(const std::string& path) override {
    expect_below(path);
    return std::unique_ptr<WriteFile>(std::make_unique<Sink>(package_.size()));
  }
  Result<DirectoryEntry> stat(const std::string& path) override {
    if (path != kPackage) return fail(Code::kNotFound, "no such file");
    return DirectoryEntry{"code.zip", false, package_.size()};
  }
  Result<Done> make_directory(const std::string& path) override {
    expect_below(path);
    return Done{};
  }
  Result<std::unique_ptr<ReadFile>> open(const std::string&) override { return none(); }
  Result<std::vector<DirectoryEntry>> list(const std::string&) override { return none(); }
  Result<std::unique_ptr<AppendFile>> append_to(const std::string&) override { return none(); }
  Result<std::unique_ptr<FileLock>> lock(const std::string&) override { return none(); }
  Result<Done> remove(const std::string&) override { return none(); }

 private:
  static Error none() { return fail(Code::kIo, "not asked for"); }
  static void expect_below(std::string_view path) {
    expect(path.starts_with(kUnpacked) && path.find("/../") == path.npos &&
           !path.ends_with("/.."));
  }
  Bytes package_;
};

void find(const TemplateFunction& function, Bytes package) {
  Disk disk(package);
  const auto found =
      find_snapshot(function, "/template", std::string(kUnpacked), disk, disk);
  if (!found) expect_one_line(found.error().message);
}

void read(std::string_view text, const TemplateOptions& options) {
  const auto whole = read_template("input", text, options);
  if (!whole) return expect_one_line(whole.error().message);
  expect(!whole->functions.empty());
  for (const std::string& note : whole->notes) expect_one_line(note);
  for (const Source& source : whole->sources) {
    if (source.kind == Source::Kind::kSchedule) continue;
    expect(source.name.find('/') == source.name.npos && !source.name.starts_with('.'));
  }
  for (const TemplateFunction& function : whole->functions) {
    const emulator::FunctionOptions& one = function.options;
    expect(one.memory_mb >= 128 && one.memory_mb <= 65536 && one.pool.provisioned <= 1000);
    expect(one.timeout >= std::chrono::seconds(1) && one.timeout <= std::chrono::hours(24));
    for (const std::string& variable : one.environment) {
      expect(variable.find('=') != variable.npos);
    }
    find(function, {});
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (text.starts_with("PK")) {
    TemplateFunction function;
    function.options.name = "model";
    function.code = "code.zip";
    function.handler = "a.thaw";
    find(function, std::as_bytes(std::span(data, size)));
    return 0;
  }
  read(text, {});
  TemplateOptions live;
  live.parameters = {{"Stage", "live"}};
  read(text, live);
  return 0;
}
