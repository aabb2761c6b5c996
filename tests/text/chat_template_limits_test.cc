// What a template must not do: syntax errors, constructs outside the subset, run-time errors,
// limits, and compiled bytes that were damaged.
#include <gtest/gtest.h>
#include <pthread.h>
#include <time.h>

#include <algorithm>
#include <functional>

#include "base/random.h"
#include "base/wipe.h"
#include "handler/text/chat_template.h"
#include "handler/text/jinja_ast.h"

namespace thaw::text {
namespace {

struct Refusal {
  std::string_view source;
  Code code;
  std::string_view message;  // a part of it
};

std::string repeated(std::string_view what, std::size_t times) {
  std::string all;
  for (std::size_t i = 0; i < times; ++i) all += what;
  return all;
}

void expect_refused(const Result<std::vector<std::byte>>& result, const Refusal& wanted) {
  ASSERT_FALSE(result.has_value()) << wanted.source;
  EXPECT_EQ(result.error().code, wanted.code) << wanted.source << ": " << result.error().message;
  EXPECT_NE(result.error().message.find(wanted.message), std::string::npos)
      << wanted.source << ": " << result.error().message;
  EXPECT_EQ(result.error().message.find('\n'), std::string::npos) << wanted.source;
}

TEST(CompileTemplate, NamesTheLineOfASyntaxError) {
  const Refusal kCases[] = {
      {"{{ x", Code::kInvalid, "line 1: a tag '{{' that does not end"},
      {"\n\n{% if x", Code::kInvalid, "line 3: a tag '{%' that does not end"},
      {"\n{# x", Code::kInvalid, "line 2: a comment '{#' that does not end"},
      {"{% raw %} x", Code::kInvalid, "line 1: a block 'raw' without its 'endraw'"},
      {"\n{{ 'x }}", Code::kInvalid, "line 2: a string that does not end"},
      {"{{ '\\xZZ' }}", Code::kInvalid, "line 1: a string escape that is no character"},
      {"{{ '\\ud800' }}", Code::kInvalid, "line 1: a string escape that is no character"},
      {"{{ ) }}", Code::kInvalid, "line 1: found ')', which nothing opened"},
      {"{{ (1] }}", Code::kInvalid, "line 1: found ']', which nothing opened"},
      {"{{ $ }}", Code::kInvalid, "line 1: found '$', which no tag may hold"},
      {"{{ 1 2 }}", Code::kInvalid, "line 1: found '2', wanted '}}'"},
      {"{{ }}", Code::kInvalid, "line 1: found '}}', wanted a value"},
      {"{{ 1 + }}", Code::kInvalid, "line 1: found '}}', wanted a value"},
      {"{{ x. }}", Code::kInvalid, "line 1: found '}}', wanted an attribute's name"},
      {"{{ x[ ] }}", Code::kInvalid, "line 1: found '}}', wanted an item within '[]' before it"},
      {"{{ 09 }}", Code::kInvalid, "line 1: digits that are no number"},
      {"{{ 0xg }}", Code::kInvalid, "line 1: digits that are no number"},
      {"{% %}", Code::kInvalid, "line 1: found '%}', wanted a block's name"},
      {"\n{% if x %}\n{% for y in z %}{% endif %}", Code::kInvalid, "line 3: found 'endif'"},
      {"{% if x %}\n\n", Code::kInvalid, "line 2: found the template's end, wanted 'endif' for"},
      {"{% endif %}", Code::kInvalid, "line 1: found 'endif'"},
      {"{% else %}", Code::kInvalid, "line 1: found 'else'"},
      {"{% break %}", Code::kInvalid, "line 1: found 'break', wanted a loop around it"},
      {"{% for x in y %}{% else %}{% continue %}{% endfor %}", Code::kInvalid, "a loop around it"},
      {"{% for in x %}{% endfor %}", Code::kInvalid, "wanted a loop's name"},
      {"{% for x %}{% endfor %}", Code::kInvalid, "wanted 'in'"},
      {"{% set 1 = 2 %}", Code::kInvalid, "wanted a name to set"},
      {"{% set none = 2 %}", Code::kInvalid, "wanted a name to set"},
      {"{% set x %}a", Code::kInvalid, "wanted 'endset'"},
      {"{% set x 1 %}a{% endset %}", Code::kInvalid, "found '1', wanted '=', '|' or '%}'"},
      {"{% macro f(a=1, b) %}{% endmacro %}", Code::kInvalid, "a default"},
      {"{{ range(a=1, 2) }}", Code::kInvalid, "wanted 'keyword='"},
      {"{{ range() }}", Code::kInvalid, "an argument is missing to 'range'"},
      {"{{ 'a' | replace('b') }}", Code::kInvalid,
       "an argument is missing to the filter 'replace'"},
      {"{{ 'a'.split('b', 1, 2) }}", Code::kInvalid, "3 arguments given to the method 'split'"},
      {"{{ 'a' | replace('b', old='c') }}", Code::kInvalid, "'old' given twice"},
  };
  for (const Refusal& each : kCases) expect_refused(compile_template(each.source), each);
}

TEST(CompileTemplate, NamesWhatLiesOutsideTheSubset) {
  const Refusal kCases[] = {
      {"\n{% include 'x' %}", Code::kUnsupported, "line 2: the block 'include'"},
      {"{% import 'x' as y %}", Code::kUnsupported, "the block 'import'"},
      {"{% extends 'x' %}", Code::kUnsupported, "the block 'extends'"},
      {"{% block x %}{% endblock %}", Code::kUnsupported, "the block 'block'"},
      {"{% call f() %}{% endcall %}", Code::kUnsupported, "the block 'call'"},
      {"{% do x %}", Code::kUnsupported, "the block 'do'"},
      {"{% autoescape true %}{% endautoescape %}", Code::kUnsupported, "the block 'autoescape'"},
      {"\n\n{{ x | urlize }}", Code::kUnsupported, "line 3: the filter 'urlize'"},
      {"{{ x | map('urlize') }}", Code::kUnsupported, "the filter 'urlize'"},
      {"{{ x | select('odd_one') }}", Code::kUnsupported, "the test 'odd_one'"},
      {"{{ x | selectattr('a', 'odd_one') }}", Code::kUnsupported, "the test 'odd_one'"},
      {"{{ x is escaped }}", Code::kUnsupported, "the test 'escaped'"},
      {"{{ x.append(1) }}", Code::kUnsupported, "the method 'append'"},
      {"{{ x.format(1) }}", Code::kUnsupported, "the method 'format'"},
      {"\n{{ joiner() }}", Code::kUnsupported, "line 2: the function 'joiner'"},
      {"{{ x[0]() }}", Code::kUnsupported, "a call of what is not a name"},
      {"{{ f(*x) }}", Code::kUnsupported, "'*' before an argument"},
      {"{{ x | trim(sides='l') }}", Code::kUnsupported, "'sides=' given to the filter 'trim'"},
      {"{{ range(stop=2) }}", Code::kUnsupported, "a keyword given to 'range'"},
      {"{{ '%5d' % 1 }}", Code::kUnsupported, "the format '%5'"},
      {"{{ '%x' | format(1) }}", Code::kUnsupported, "the format '%x'"},
      {"{{ strftime_now('%Q') }}", Code::kUnsupported, "the time format '%Q'"},
      {"{% for x in y recursive %}{% endfor %}", Code::kUnsupported, "a recursive loop"},
      {"{% for x, (y, z) in w %}{% endfor %}", Code::kUnsupported, "names in brackets"},
      {"{% for x in y %}{{ loop.changed }}{% endfor %}", Code::kUnsupported, "'loop.changed'"},
      {"{% for x in y %}{% macro f() %}{% endmacro %}{% endfor %}", Code::kUnsupported, "a macro"},
      {"{% macro f() %}{{ caller() }}{% endmacro %}", Code::kUnsupported, "'caller' in a macro"},
      {"{% macro f(*a) %}{% endmacro %}", Code::kUnsupported, "'*' in a macro's parameters"},
      {"{{ x[1, 2] }}", Code::kUnsupported, "several items in one"},
      {"{{ '\\N{DASH}' }}", Code::kUnsupported, "'\\N{...}'"},
      {"{{ \xC3\xA9 }}", Code::kUnsupported, "a name outside of ASCII"},
      {"{{ 9223372036854775808 }}", Code::kUnsupported, "a number beyond 64 bits"},
      {"{{ self }}", Code::kUnsupported, "'self'"},
  };
  for (const Refusal& each : kCases) expect_refused(compile_template(each.source), each);
}

TEST(CompileTemplate, LimitsSizeAndDepthWithoutOverflowingTheStack) {
  constexpr std::size_t kMany = 100'000;
  const std::string cases[] = {
      "{{ " + repeated("(", kMany) + "1" + repeated(")", kMany) + " }}",
      "{{ " + repeated("[", kMany) + repeated("]", kMany) + " }}",
      "{{ " + repeated("{1:", kMany) + "1" + repeated("}", kMany) + " }}",
      "{{ " + repeated("not ", kMany) + "1 }}",
      "{{ " + repeated("- ", kMany) + "1 }}",
      "{{ 1" + repeated(" + 1", kMany) + " }}",
      "{{ 1" + repeated(" if 1 else 1", kMany) + " }}",
      "{{ x" + repeated(".y", kMany) + " }}",
      "{{ x" + repeated("[0]", kMany) + " }}",
      "{{ x" + repeated("|trim", kMany) + " }}",
      "{{ x" + repeated(" is string", kMany) + " }}",
      repeated("{% if 1 %}", kMany / 2) + repeated("{% endif %}", kMany / 2),
      repeated("{% for x in y %}", kMany / 2),
      repeated("{% filter trim %}", kMany / 2),
      std::string(jinja::kSourceBytesMax + 1, 'x'),
  };
  for (const std::string& source : cases) {
    const auto compiled = compile_template(source);
    ASSERT_FALSE(compiled.has_value()) << source.substr(0, 40);
    EXPECT_EQ(compiled.error().code, Code::kLimit)
        << source.substr(0, 40) << ": " << compiled.error().message;
  }
  EXPECT_TRUE(
      compile_template("{% if 1 %}" + repeated("{% elif 1 %}", 5000) + "{% endif %}").has_value());
  EXPECT_TRUE(compile_template(std::string(jinja::kSourceBytesMax, 'x')).has_value());
}

Result<std::vector<Piece>> render(std::string_view source) {
  const std::vector<Message> messages = {{"user", "hello"}, {"assistant", "there"}};
  THAW_TRY(compiled, compile_template(source));
  THAW_TRY(opened, ChatTemplate::open(compiled));
  return opened.render(messages, {});
}

// Of this thread alone, so that a busy machine doesn't count.
double thread_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

TEST(RenderTemplate, StopsAtItsLimits) {
  const std::string_view kSources[] = {
      "{% for x in range(1000000000) %}{% endfor %}",
      "{% for x in range(3000) %}{% for y in range(3000) %}{% endfor %}{% endfor %}",
      "{{ range(9223372036854775807) | length }}",
      "{{ 'x' * 9223372036854775807 }}",
      "{{ [0] * 9223372036854775807 }}",
      "{% set n = namespace(x='xx') %}{% for i in range(99) %}{% set n.x = n.x + n.x %}{% endfor "
      "%}",
      "{% set n = namespace(x=[1]) %}{% for i in range(99) %}{% set n.x = n.x + n.x %}{% endfor %}",
      "{% set n = namespace(x=[]) %}{% for i in range(99) %}{% set n.x = [n.x] %}{% endfor %}",
      "{% set n = namespace(x=[]) %}{% for i in range(60) %}{% set n.x = [n.x, n.x] %}{% endfor %}"
      "{{ n.x }}",
      "{% set n = namespace(x=[]) %}{% for i in range(60) %}{% set n.x = [n.x, n.x] %}{% endfor %}"
      "{{ n.x | tojson }}",
      "{% set n = namespace(x=[], y=[]) %}{% for i in range(60) %}{% set n.x = [n.x, n.x] %}"
      "{% set n.y = [n.y, n.y] %}{% endfor %}{{ n.x == n.y }}",
      "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
      "{% macro f(x) %}{{ f(x) }}{{ f(x) }}{% endmacro %}{{ f(1) }}",
      "{{ ('a' * 100000).replace('a', 'b' * 100000) }}",
      "{{ ('a' * 100000000) }}",
      "{{ ('a' * 10000000) | list }}",
      "{{ 'a' | indent(9223372036854775807) }}",
  };
  for (const std::string_view source : kSources) {
    const double began = thread_seconds();
    const auto pieces = render(source);
    ASSERT_FALSE(pieces.has_value()) << source;
    EXPECT_EQ(pieces.error().code, Code::kLimit) << source << ": " << pieces.error().message;
    EXPECT_LT(thread_seconds() - began, 60) << source;
  }
}

TEST(RenderTemplate, NamesTheLineOfARunTimeError) {
  const struct {
    std::string_view source, message;
  } kCases[] = {
      {"\n\n{{ x.y }}", "line 3: 'x' is undefined"},
      {"{{ messages[0].z.y }}", "line 1: 'z' is undefined"},
      {"{{ 'a' + 1 }}", "line 1: can't add str and int"},
      {"{{ 'a' - 1 }}", "line 1: arithmetic wants numbers, found str"},
      {"{{ 1 / 0 }}", "line 1: division by zero"},
      {"{{ 1 < 'a' }}", "line 1: can't order int and str"},
      {"{{ 1 in 1 }}", "line 1: 'in' wants a container, found int"},
      {"{% for x in 1 %}{% endfor %}", "line 1: can't go over the items of this, found int"},
      {"{% for x, y in [1] %}{% endfor %}", "line 1: can't go over"},
      {"{% for x, y in [[1]] %}{% endfor %}", "line 1: unpacked 1 values, wanted 2"},
      {"{% set messages.x = 1 %}", "line 1: 'messages' is no namespace"},
      {"{{ messages[0].items }}", "line 1: '.items' without a call; write ['items']"},
      {"{{ none.strip() }}",
       "line 1: a method of a string, list or dict is called, found NoneType"},
      {"{{ messages.strip() }}", "line 1: a list has no such method"},
      {"{{ messages[0].strip() }}", "line 1: a dict has no such method"},
      {"{{ 'a'.keys() }}", "line 1: a string has no such method"},
      {"{{ namespace() }}", "line 1: no text stands for this, found Namespace"},
      {"{{ range }}", "line 1: no text stands for this, found function"},
      {"{{ 9223372036854775807 + 1 }}", "line 1: a number beyond 64 bits"},
      {"{{ -(-9223372036854775807 - 1) }}", "line 1: a number beyond 64 bits"},
      {"{{ (-9223372036854775807 - 1) // -1 }}", "line 1: a number beyond 64 bits"},
      {"{{ [1][::0] }}", "line 1: a slice's step is 0"},
      {"{{ range(1, 2, 0) }}", "line 1: range's step is 0"},
      {"{% macro f(a) %}{% endmacro %}{{ f(1, 2) }}", "line 1: 'f' takes 1 arguments, each once"},
      {"{% macro f(a) %}{% endmacro %}{{ f(b=2) }}", "line 1: 'f' takes 1 arguments, each once"},
      {"{{ f() }}{% macro f() %}{% endmacro %}", "line 1: 'f' is undefined"},
      {"{% set range = 1 %}{{ range(2) }}", "line 1: 'range' can't be called"},
      {"{{ {[]: 1} }}", "line 1: a dict's key is a string, a number or none, found list"},
      {"{% set t = 'urlize' %}{{ [1] | map(t) | list }}", "line 1: map was given no filter's name"},
  };
  for (const auto& each : kCases) {
    const auto pieces = render(each.source);
    ASSERT_FALSE(pieces.has_value()) << each.source;
    EXPECT_EQ(pieces.error().code, Code::kInvalid) << each.source;
    EXPECT_NE(pieces.error().message.find(each.message), std::string::npos)
        << each.source << ": " << pieces.error().message;
  }
}

// A template with a node of nearly every kind.
constexpr std::string_view kWhole = R"({% macro f(a, b='x') %}{{ a }}{{ b|upper }}{% endmacro %}
{% set ns = namespace(n=0, s='') %}{% set p, q = 1.5, [1, (2,), {'k': none}] %}
{% for m in messages if m.role != 'x' %}{% set ns.n = ns.n + 1 %}{% if loop.first %}{{ f(m.role) }}
{% elif m.content is string and not 'zz' in m.content %}{{ m['content'][1:-1].split('e', 1)[0] }}
{% else %}{% break %}{% endif %}{% else %}none{% endfor %}{% set c | trim %} {{ q|tojson }} {% endset %}
{{ c ~ (ns.n * 2 // 1 - 3 ** 2 % 5) }}{{ -p if p > 1 else +p }}{% with w = q[-1] %}{{ w.k is none }}
{% endwith %}{% filter replace('a', 'b') %}a{{ range(3)|map('string')|join(',') }}{% endfilter %}
{{ messages|selectattr('role', 'eq', 'user')|map(attribute='content')|list }}{{ strftime_now('%Y') }})";

TEST(CompiledTemplate, SurvivesEveryByteCorrupted) {
  const auto compiled = compile_template(kWhole);
  ASSERT_TRUE(compiled.has_value()) << compiled.error().message;
  const std::vector<Message> messages = {{"user", "hello"}, {"assistant", "there"}};
  ASSERT_TRUE(ChatTemplate::open(*compiled)->render(messages, {}).has_value());
  Random random(3);
  std::size_t opened_count = 0;
  for (std::size_t at = 0; at < compiled->size(); ++at) {
    for (const unsigned flip : {0xFFu, 0x01u, 1u + static_cast<unsigned>(random.below(255))}) {
      std::vector<std::byte> bytes = *compiled;
      bytes[at] ^= static_cast<std::byte>(flip);
      const auto opened = ChatTemplate::open(bytes);
      if (!opened.has_value()) {
        EXPECT_TRUE(opened.error().code == Code::kCorrupt ||
                    opened.error().code == Code::kUnsupported);
        continue;
      }
      ++opened_count;
      const auto pieces = opened->render(messages, {});  // may well be wrong, but ends
      EXPECT_TRUE(pieces.has_value() || !pieces.error().message.empty());
    }
  }
  EXPECT_GT(opened_count, 100u);  // else this test would have tested open() alone
}

TEST(CompiledTemplate, RefusesEveryCutLength) {
  const auto compiled = compile_template(kWhole);
  ASSERT_TRUE(compiled.has_value());
  for (std::size_t length = 0; length < compiled->size(); ++length) {
    const auto opened = ChatTemplate::open(Bytes(*compiled).first(length));
    ASSERT_FALSE(opened.has_value()) << length;
    EXPECT_EQ(opened.error().code, Code::kCorrupt) << length;
  }
  std::vector<std::byte> longer = *compiled;
  longer.push_back(std::byte{0});
  EXPECT_FALSE(ChatTemplate::open(longer).has_value());
}

TEST(CompiledTemplate, RefusesAnotherVersion) {
  auto compiled = compile_template("x");
  ASSERT_TRUE(compiled.has_value());
  (*compiled)[offsetof(jinja::Header, version)] = std::byte{99};
  const auto opened = ChatTemplate::open(*compiled);
  ASSERT_FALSE(opened.has_value());
  EXPECT_EQ(opened.error().code, Code::kUnsupported);
  EXPECT_NE(opened.error().message.find("version 99, this build reads 1"), std::string::npos);
}

TEST(CompiledTemplate, SurvivesRandomNodes) {
  const auto compiled = compile_template(kWhole);
  ASSERT_TRUE(compiled.has_value());
  const std::vector<Message> messages = {{"user", "hello"}};
  for (std::uint64_t seed = 0; seed < 3000; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    std::vector<std::byte> bytes = *compiled;
    const auto header = load<jinja::Header>(bytes.data());
    for (std::uint64_t i = 0; i < 1 + random.below(8); ++i) {
      const std::size_t node =
          sizeof(jinja::Header) + random.below(header.node_count) * sizeof(jinja::Node);
      if (random.below(3) == 0) {  // another kind, or another op
        bytes[node + random.below(2)] = static_cast<std::byte>(random.below(jinja::kKindCount));
      } else {  // another child, list or string, small enough to be there
        store(bytes.data() + node + 8 + 4 * random.below(6),
              static_cast<std::uint32_t>(random.below(header.node_count)));
      }
    }
    const auto opened = ChatTemplate::open(bytes);
    if (!opened.has_value()) continue;
    const auto pieces = opened->render(messages, {});
    EXPECT_TRUE(pieces.has_value() || !pieces.error().message.empty());
  }
}

// How much of its stack a thread uses that runs `work`.
std::size_t stack_used(std::function<void()> work) {
  constexpr std::byte kPaint{0x5A};
  std::vector<std::byte> stack(8 << 20, kPaint);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  EXPECT_EQ(pthread_attr_setstack(&attributes, stack.data(), stack.size()), 0);
  const auto run = [](void* what) -> void* {
    (*static_cast<std::function<void()>*>(what))();
    return nullptr;
  };
  pthread_t thread{};
  EXPECT_EQ(pthread_create(&thread, &attributes, run, &work), 0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
  const auto deepest = std::ranges::find_if(stack, [](std::byte byte) { return byte != kPaint; });
  return static_cast<std::size_t>(stack.end() - deepest);
}

// A macro that calls itself goes as deep as evaluation may.
TEST(RenderTemplate, GoesNoDeeperThanTheStackThatIsWiped) {
  const auto compiled = compile_template(
      "{% macro again(text) %}{% if text %}{{ again(text) }}{% endif %}{% endmacro %}"
      "{{ again(messages[0].content) }}");
  ASSERT_TRUE(compiled) << compiled.error().message;
  const auto chat = ChatTemplate::open(*compiled);
  ASSERT_TRUE(chat);
  const std::vector<Message> messages = {{"user", "said"}};
  Code code{};
  const std::size_t used = stack_used([&] {
    const auto rendered = chat->render(messages, {});
    if (!rendered) code = rendered.error().code;
  });
  EXPECT_EQ(code, Code::kLimit);
  RecordProperty("stack_bytes", std::to_string(used));
  EXPECT_GT(used, 100'000u);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && defined(__OPTIMIZE__)
  // Room for what calls a template and for what a template calls.
  EXPECT_LT(used, kWipedStackBytes - (64 << 10));
#endif
}

}  // namespace
}  // namespace thaw::text
