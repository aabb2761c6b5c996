#include "runtime/deployment/intrinsics.h"

#include <vector>

#include "base/str.h"

namespace thaw::deployment {
namespace {

constexpr std::size_t kTextBytesMax = 16 << 10;  // of what a function gives
constexpr std::size_t kCallsMax = 100'000;  // a Sub's map may hold a Sub, and be used many times

// "!Ref" and "Fn::Sub" to "Ref" and "Sub"; empty where the name is no function's.
std::string_view function_of(std::string_view name) {
  if (name == "Ref" || name == "!Ref") return "Ref";
  if (name.starts_with("Fn::")) return name.substr(4);
  if (name.starts_with('!')) return name.substr(1);
  return {};
}

Node text_node(const Node& at, std::string text) {
  Node node;
  node.kind = Node::Kind::kText;
  node.text = std::move(text);
  node.place = at.place;
  return node;
}

}  // namespace

Result<Intrinsics> Intrinsics::create(std::string_view name, const Node& root,
                                      const std::map<std::string, std::string>& overrides,
                                      std::string_view region) {
  Intrinsics all(name, root);
  all.values_ = {{"AWS::Region", std::string(region)}, {"AWS::AccountId", "123456789012"},
                 {"AWS::StackName", "thaw"},           {"AWS::Partition", "aws"},
                 {"AWS::URLSuffix", "amazonaws.com"},  {"AWS::NoValue", ""}};
  const Node* parameters = root.find("Parameters");
  if (parameters != nullptr) {
    for (const auto& [key, parameter] : parameters->members) {
      const Node* value = parameter.find("Default");
      if (value != nullptr && value->is_text()) all.values_[key] = value->text;
    }
  }
  for (const auto& [key, value] : overrides) {
    if (parameters == nullptr || parameters->find(key) == nullptr) {
      return fail(Code::kInvalid,
                  cat("template '", name, "': it has no parameter '", key.substr(0, 100), "'"));
    }
    all.values_[key] = value;
  }
  return all;
}

Result<std::string> Intrinsics::name_of(const Node& at, std::string_view logical_id) const {
  const Node* resources = root_->find("Resources");
  const Node* resource = resources == nullptr ? nullptr : resources->find(logical_id);
  if (resource == nullptr) {
    const Node* parameters = root_->find("Parameters");
    const bool parameter = parameters != nullptr && parameters->find(logical_id) != nullptr;
    return error_at(name_, at,
                    parameter
                        ? cat("the parameter '", logical_id,
                              "' has no default; give it with --parameter ", logical_id, "=VALUE")
                        : cat("'", logical_id.substr(0, 100), "' is no parameter and no resource"));
  }
  const Node* properties = resource->find("Properties");
  for (const char* key : {"FunctionName", "QueueName", "BucketName", "TopicName", "Name"}) {
    const Node* own = properties == nullptr ? nullptr : properties->find(key);
    if (own != nullptr && own->is_text() && own->tag.empty()) return own->text;
  }
  return std::string(logical_id);
}

Result<std::string> Intrinsics::ref(const Node& at, std::string_view target) const {
  const auto value = values_.find(target);
  if (value != values_.end()) return value->second;
  return name_of(at, target);
}

Result<std::string> Intrinsics::get_attribute(const Node& at, std::string_view target) const {
  const std::size_t dot = target.rfind('.');
  const std::string_view id = target.substr(0, dot);
  const std::string_view attribute = dot == target.npos ? "" : target.substr(dot + 1);
  THAW_TRY(name, name_of(at, id));
  const Node* resource = root_->find("Resources")->find(id);
  const Node* type = resource == nullptr ? nullptr : resource->find("Type");
  if (type == nullptr) return error_at(name_, at, cat("'", id.substr(0, 100), "' has no type"));
  if (attribute == "QueueName" || attribute == "TopicName") return name;
  if (attribute == "Arn" || attribute == "TopicArn") {
    const auto arn = [&](std::string_view service, std::string_view before) {
      return cat("arn:aws:", service, ":", values_.find("AWS::Region")->second,
                 ":123456789012:", before, name);
    };
    if (type->text.find("::Function") != type->text.npos) return arn("lambda", "function:");
    if (type->text == "AWS::SQS::Queue") return arn("sqs", "");
    if (type->text == "AWS::SNS::Topic") return arn("sns", "");
    if (type->text == "AWS::S3::Bucket") return cat("arn:aws:s3:::", name);
  }
  return error_at(name_, at,
                  cat("Fn::GetAtt ", target.substr(0, 100), ": not known on this machine"));
}

Result<std::string> Intrinsics::substitute(const Node& at) const {
  const Node* text = &at;
  const Node* own = nullptr;
  if (at.kind == Node::Kind::kList && at.items.size() == 2) {
    text = &at.items[0];
    own = &at.items[1];
  }
  if (!text->is_text()) return error_at(name_, at, "Fn::Sub: want a text, or a text and a map");
  std::string out;
  std::string_view rest = text->text;
  while (true) {
    const std::size_t open = rest.find("${");
    out += rest.substr(0, open);
    if (out.size() > kTextBytesMax) return error_at(name_, at, "Fn::Sub: a text too long");
    if (open == rest.npos) return out;
    const std::size_t close = rest.find('}', open);
    if (close == rest.npos) return error_at(name_, at, "Fn::Sub: '${' without '}'");
    const std::string_view name = rest.substr(open + 2, close - open - 2);
    rest.remove_prefix(close + 1);
    if (name.starts_with('!')) {  // ${!Literal}
      out += cat("${", name.substr(1), "}");
      continue;
    }
    const Node* mapped = own == nullptr ? nullptr : own->find(name);
    if (mapped != nullptr) {
      THAW_TRY(value, resolve(*mapped));
      out += value.text;
      continue;
    }
    const bool attribute = name.find('.') != name.npos;
    THAW_TRY(value, attribute ? get_attribute(at, name) : ref(at, name));
    out += value;
  }
}

Result<std::string> Intrinsics::join(const Node& at) const {
  if (at.kind != Node::Kind::kList || at.items.size() != 2 || !at.items[0].is_text() ||
      at.items[1].kind != Node::Kind::kList) {
    return error_at(name_, at, "Fn::Join: want a separator and a list");
  }
  std::string out;
  for (const Node& item : at.items[1].items) {
    THAW_TRY(value, resolve(item));
    if (!value.is_text()) return error_at(name_, item, "Fn::Join: want texts");
    if (&item != &at.items[1].items.front()) out += at.items[0].text;
    out += value.text;
    if (out.size() > kTextBytesMax) return error_at(name_, at, "Fn::Join: a text too long");
  }
  return out;
}

Result<Node> Intrinsics::call(std::string_view function, const Node& argument) const {
  if (++calls_ > kCallsMax) {
    return fail(Code::kLimit, cat("template '", name_, "': more than ", kCallsMax,
                                  " functions, those in texts counted where they are used"));
  }
  if (function == "Ref") {
    if (!argument.is_text()) return error_at(name_, argument, "Ref: want a name");
    THAW_TRY(value, ref(argument, argument.text));
    return text_node(argument, std::move(value));
  }
  if (function == "Sub") {
    THAW_TRY(value, substitute(argument));
    return text_node(argument, std::move(value));
  }
  if (function == "Join") {
    THAW_TRY(value, join(argument));
    return text_node(argument, std::move(value));
  }
  if (function == "GetAtt") {
    std::string target = argument.text;
    for (const Node& item : argument.items) {
      if (!item.is_text()) return error_at(name_, item, "Fn::GetAtt: want names");
      target += cat(target.empty() ? "" : ".", item.text);
    }
    THAW_TRY(value, get_attribute(argument, target));
    return text_node(argument, std::move(value));
  }
  return error_at(name_, argument,
                  cat("the function '", function.substr(0, 100),
                      "' is not known here; write what it gives, or use Ref, Sub, GetAtt, Join"));
}

Result<Node> Intrinsics::resolve(const Node& node) const {
  if (!node.tag.empty()) {
    Node plain = node;
    plain.tag.clear();
    return call(function_of(node.tag), plain);
  }
  if (node.is_map() && node.members.size() == 1) {
    const std::string_view function = function_of(node.members[0].name);
    if (!function.empty()) return call(function, node.members[0].value);
  }
  Node out;  // and not a copy, whose parts would be copied once for each level above them
  out.kind = node.kind;
  out.text = node.text;
  out.place = node.place;
  for (const Node& item : node.items) {
    THAW_TRY(resolved, resolve(item));
    out.items.push_back(std::move(resolved));
  }
  for (const auto& [name, member] : node.members) {
    THAW_TRY(resolved, resolve(member));
    out.members.push_back({name, std::move(resolved)});
  }
  return out;
}

}  // namespace thaw::deployment
