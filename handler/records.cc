#include "handler/records.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/bytes.h"
#include "base/str.h"
#include "handler/event/json_writer.h"
#include "handler/payload.h"

namespace thaw::handler {
namespace {

using event::Record;
using event::RecordResult;

constexpr std::size_t kFileNameBytesMax = 100;  // of an id, in the name of its file

// Whoever sent the record cannot be streamed to.
class NoResponder final : public Responder {
 public:
  bool can_stream() const override { return false; }
  Result<Done> begin(const StreamHead&) override { return fail(Code::kUnsupported, "no stream"); }
  Result<Done> write(std::string_view) override { return fail(Code::kUnsupported, "no stream"); }
};

// A name that every file system takes and that is the record's own: where letters had to go, a hash
// of the whole id takes their place.
std::string file_name(std::string_view id) {
  std::string name(id.substr(0, kFileNameBytesMax));
  for (char& letter : name) {
    const bool plain = (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') ||
                       (letter >= '0' && letter <= '9') || letter == '-' || letter == '_' ||
                       letter == '.';
    if (!plain) letter = '_';
  }
  if (name.starts_with('.')) name.front() = '_';
  if (name != id) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    name += '-';
    const std::uint64_t hash = seed_of(id);
    for (int shift = 60; shift >= 0; shift -= 4) name += kDigits[hash >> shift & 15];
  }
  return name + ".json";
}

Result<std::string> write_file(Files& files, const std::string& directory, std::string_view id,
                               std::string_view answer) {
  std::string path = cat(directory, "/", file_name(id));
  THAW_TRY(file, files.create(path));
  THAW_TRY_DO(file->append(as_bytes(answer)));
  THAW_TRY_DO(file->commit());
  return path;
}

// Answers one batch, wave by wave: records that may be in flight together.
class BatchRun {
 public:
  BatchRun(const Service& service, const event::Adapter& adapter, const event::Batch& batch,
           const InvocationContext& context)
      : service_(service),
        adapter_(adapter),
        batch_(batch),
        context_(context),
        mapping_(service.manifest.mapping_of(adapter.source)),
        at_once_(mapping_ == nullptr ? 1 : mapping_->at_once) {
    for (const Record& record : batch.records) {
      answered_.results.push_back({&record, {}, {}, {}});
    }
  }

  Answered run() && {
    for (std::size_t i = 0; i < batch_.records.size(); ++i) {
      const std::string& group = batch_.records[i].group;
      // One at a time of a group: the next may go only when it is known that this one went well.
      if (wave_.size() == at_once_ || (!group.empty() && groups_in_wave_.contains(group))) flush();
      if (stopped_groups_.contains(group)) {
        fail_record(i, {"Function.NotHandled",
                        "record: not handled, because one before it in its order failed"});
        continue;
      }
      admit(i);
    }
    flush();
    return std::move(answered_);
  }

 private:
  struct Flight {
    std::size_t index;
    Request request;
  };

  // Takes a record into the wave, unless it cannot be answered at all.
  void admit(std::size_t index) {
    std::variant<Request, FieldError> read =
        read_record(adapter_, batch_.records[index], service_.manifest);
    if (const auto* wrong = std::get_if<FieldError>(&read)) {
      return fail_record(index, {"Function.InvalidRequest", wrong->message});
    }
    Request& asked = std::get<Request>(read);
    set_deadline(asked.generation, context_, service_.clock);
    if (is_too_late(asked)) return fail_record(index, too_late());
    const std::string& group = batch_.records[index].group;
    if (!group.empty()) groups_in_wave_.insert(group);
    wave_.push_back({index, std::move(asked)});
  }

  void flush() {
    // Those of a later wave may have waited for their turn past the deadline.
    std::vector<Request*> requests;
    for (Flight& flight : wave_) requests.push_back(&flight.request);
    NoResponder nobody;
    std::vector<Ran> ran = run_all(service_, requests, context_, nobody);
    for (std::size_t i = 0; i < wave_.size(); ++i) finish(wave_[i].index, std::move(ran[i]));
    wave_.clear();
    groups_in_wave_.clear();
  }

  void finish(std::size_t index, Ran ran) {
    answered_.usage.prompt_tokens += ran.usage.prompt_tokens;
    answered_.usage.completion_tokens += ran.usage.completion_tokens;
    answered_.usage.cached_tokens += ran.usage.cached_tokens;
    answered_.usage.reasoning_tokens += ran.usage.reasoning_tokens;
    answered_.phases += ran.phases;
    if (ran.error) return fail_record(index, invocation_error(*ran.error));
    // Half an answer is none: the source brings the record again.
    if (ran.finish_reason == FinishReason::kDeadline) return fail_record(index, too_late());
    keep(index, std::move(ran.body));
  }

  void keep(std::size_t index, std::string answer) {
    RecordResult& result = answered_.results[index];
    if (mapping_ != nullptr && !mapping_->directory.empty()) {
      const Result<std::string> path =
          write_file(service_.files, mapping_->directory, result.record->id, answer);
      if (!path) {
        return fail_record(index, {"Function.AnswerNotWritten", path.error().message});
      }
      answer.clear();
      json::Writer(answer).begin_object().field("file", *path).end_object();
    }
    if (!adapter_.records->returns_answers) return;
    if (answer.size() > kAnswersBytesMax - kept_bytes_) {
      return fail_record(index, {"Function.ResponseTooLarge",
                                 cat("answers: more than ", kAnswersBytesMax,
                                     " bytes together, the limit; have them written to a directory "
                                     "by the manifest, or ask for fewer tokens")});
    }
    kept_bytes_ += answer.size();
    result.answer = std::move(answer);
  }

  void fail_record(std::size_t index, InvocationError error) {
    RecordResult& result = answered_.results[index];
    result.error_type = std::move(error.type);
    result.error_message = std::move(error.message);
    const std::string& group = result.record->group;
    if (!group.empty()) stopped_groups_.insert(group);
  }

  bool is_too_late(const Request& request) const {
    return request.generation.deadline && service_.clock.now() >= *request.generation.deadline;
  }

  static InvocationError too_late() {
    return {"Function.DeadlineExceeded",
            "record: no time was left to answer it in full; it is to come again"};
  }

  const Service& service_;
  const event::Adapter& adapter_;
  const event::Batch& batch_;
  const InvocationContext& context_;
  const SourceMapping* mapping_;
  const std::size_t at_once_;
  Answered answered_;
  std::vector<Flight> wave_;
  std::set<std::string> groups_in_wave_;
  std::set<std::string> stopped_groups_;
  std::size_t kept_bytes_ = 0;
};

}  // namespace

Answered answer_batch(const Service& service, const event::Adapter& adapter,
                      const event::Batch& batch, const InvocationContext& context) {
  return BatchRun(service, adapter, batch, context).run();
}

std::optional<InvocationError> failure_of(const Answered& answered) {
  const RecordResult* first = nullptr;
  std::size_t count = 0;
  for (const RecordResult& result : answered.results) {
    if (!result.failed()) continue;
    if (first == nullptr) first = &result;
    ++count;
  }
  if (first == nullptr) return std::nullopt;
  if (answered.results.size() == 1) return InvocationError{first->error_type, first->error_message};
  return InvocationError{first->error_type,
                         cat("records: ", count, " of ", answered.results.size(),
                             " failed; the first of them: ", first->error_message)};
}

Outcome answer_records(const Service& service, const event::Adapter& adapter,
                       const json::Value& event, const InvocationContext& context) {
  Outcome outcome;
  const Result<event::Batch> batch = adapter.records->read(event);
  if (!batch) {
    outcome.error = InvocationError{"Function.InvalidRequest", batch.error().message};
    return outcome;
  }
  const Answered answered = answer_batch(service, adapter, *batch, context);
  outcome.usage = answered.usage;
  outcome.phases = answered.phases;
  if (!adapter.records->takes_failures) outcome.error = failure_of(answered);
  if (outcome.error) return outcome;
  const auto now = service.clock.wall_now().time_since_epoch();
  outcome.body = adapter.records->write(
      event, answered.results,
      {context.request_id, std::chrono::duration_cast<std::chrono::seconds>(now).count()});
  return outcome;
}

}  // namespace thaw::handler
