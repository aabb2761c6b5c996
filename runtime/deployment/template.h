// What is deployed, as the emulator plays it: a SAM or CloudFormation template with
// AWS::Serverless::Function, or Serverless Devs' s.yaml with component fc3.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "runtime/deployment/yaml_tree.h"
#include "runtime/emulator/options.h"

namespace thaw::deployment {

// What invokes a function without being asked by a client.
struct Source {
  enum class Kind : unsigned char { kSchedule, kQueue, kBucket };
  Kind kind = Kind::kSchedule;
  std::string function;
  std::string name;        // of the rule, the queue, the bucket
  std::string expression;  // of a schedule
  std::string input;       // of a schedule: the event's JSON, or empty
  std::uint32_t batch_size = 10;
  std::uint32_t window_seconds = 0;
  bool partial_failures = false;  // ReportBatchItemFailures
  std::string prefix, suffix;     // of a bucket's keys
};

// A function still without its snapshot.
struct TemplateFunction {
  emulator::FunctionOptions options;  // but for `snapshot`
  std::string code;                   // CodeUri or code, as the template says it
  std::string handler;
};

struct Template {
  std::vector<TemplateFunction> functions;
  std::vector<emulator::Api> apis;
  std::vector<Source> sources;
  std::vector<std::string> notes;  // what the template has and the emulator has not, a line each
};

struct TemplateOptions {
  std::map<std::string, std::string> parameters;
  std::string region = "us-east-1";
};

// `name` is what messages call the file. Errors: kInvalid (with line and column), kLimit.
Result<Template> read_template(std::string_view name, std::string_view text,
                               const TemplateOptions& options);

// The two kinds of it. In sam.cc and serverless_devs.cc.
Result<Template> read_sam(std::string_view name, const Node& root, const TemplateOptions& options);
Result<Template> read_serverless_devs(std::string_view name, const Node& root,
                                      const TemplateOptions& options);

}  // namespace thaw::deployment
