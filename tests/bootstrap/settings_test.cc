// What the environment says, and what follows from it.
#include "runtime/bootstrap/settings.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <map>

#include "base/str.h"

namespace thaw::bootstrap {
namespace {

using Variables = std::map<std::string, std::string>;

Environment environment_of(Variables variables) {
  Environment environment;
  environment.get = [variables = std::move(variables)](const char* name) {
    const auto found = variables.find(name);
    return found == variables.end() ? std::string() : found->second;
  };
  return environment;
}

Settings read(Variables variables) {
  auto settings = read_settings(environment_of(std::move(variables)));
  EXPECT_TRUE(settings.has_value());
  return settings ? std::move(*settings) : Settings{};
}

std::string refusal_of(Variables variables) {
  const auto settings = read_settings(environment_of(std::move(variables)));
  EXPECT_FALSE(settings.has_value());
  if (settings) return "";
  EXPECT_EQ(settings.error().code, Code::kInvalid);
  return settings.error().message;
}

TEST(Settings, AreDefaultsWhereNothingIsSaid) {
  const Settings settings = read({});
  EXPECT_EQ(settings.platform, Platform::kNone);
  EXPECT_EQ(settings.function.threads, 0u);
  EXPECT_EQ(settings.log_level, LogLevel::kInfo);
  EXPECT_EQ(settings.log_format, LogFormat::kText);
  EXPECT_FALSE(settings.memory_bytes.has_value());
}

TEST(Settings, ReadWhatLambdaSays) {
  const LambdaSettings none = read({}).lambda;
  EXPECT_FALSE(none.snap_start);
  EXPECT_TRUE(none.metrics);
  const LambdaSettings all = read({{"AWS_LAMBDA_INITIALIZATION_TYPE", "snap-start"},
                                   {"AWS_LAMBDA_FUNCTION_NAME", "poems"},
                                   {"AWS_LAMBDA_FUNCTION_VERSION", "7"},
                                   {"THAW_METRICS", "off"}})
                                 .lambda;
  EXPECT_TRUE(all.snap_start);
  EXPECT_FALSE(all.metrics);
  EXPECT_EQ(all.function_name, "poems");
  EXPECT_EQ(all.function_version, "7");
  EXPECT_EQ(none.concurrency, 1u);
  const auto concurrency = [](const char* text) {
    return read({{"AWS_LAMBDA_MAX_CONCURRENCY", text}}).lambda.concurrency;
  };
  EXPECT_EQ(concurrency("16"), 16u);
  for (const char* odd : {"", "0", "-1", "many", "99999999999"}) EXPECT_EQ(concurrency(odd), 1u);
  EXPECT_FALSE(read({{"AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"}}).lambda.snap_start);
  EXPECT_TRUE(read({{"THAW_METRICS", "emf"}}).lambda.metrics);
  EXPECT_EQ(refusal_of({{"THAW_METRICS", "loud"}}), "THAW_METRICS 'loud': wanted emf or off");
}

TEST(Settings, TakeLambdasLogLevelUnlessThereIsOneOfOurs) {
  const auto level = [](const char* lambdas, const char* ours) {
    return read({{"AWS_LAMBDA_LOG_LEVEL", lambdas}, {"THAW_LOG", ours}}).log_level;
  };
  EXPECT_EQ(level("TRACE", ""), LogLevel::kDebug);
  EXPECT_EQ(level("DEBUG", ""), LogLevel::kDebug);
  EXPECT_EQ(level("INFO", ""), LogLevel::kInfo);
  EXPECT_EQ(level("WARN", ""), LogLevel::kWarn);
  EXPECT_EQ(level("ERROR", ""), LogLevel::kError);
  EXPECT_EQ(level("FATAL", ""), LogLevel::kError);
  EXPECT_EQ(level("LOUD", ""), LogLevel::kInfo) << "a platform's variables are not ours to refuse";
  EXPECT_EQ(level("ERROR", "debug"), LogLevel::kDebug);
}

TEST(Settings, ReadWhatIsSaid) {
  const Settings settings = read({{"AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001"},
                                  {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "3008"},
                                  {"AWS_LAMBDA_LOG_FORMAT", "JSON"},
                                  {"THAW_LOG", "warn"},
                                  {"THAW_THREADS", "3"},
                                  {"THAW_KERNELS", "avx2"},
                                  {"THAW_VERIFY", "eager"},
                                  {"THAW_PAGING", "read"}});
  EXPECT_EQ(settings.platform, Platform::kLambda);
  EXPECT_EQ(settings.runtime_api, "127.0.0.1:9001");
  EXPECT_EQ(settings.memory_bytes, std::uint64_t{3008} << 20);
  EXPECT_EQ(settings.log_format, LogFormat::kJson);
  EXPECT_EQ(settings.log_level, LogLevel::kWarn);
  EXPECT_EQ(settings.function.threads, 3u);
  EXPECT_EQ(settings.function.kernels, "avx2");
  EXPECT_EQ(settings.function.verify, snapshot::Verify::kEager);
  EXPECT_EQ(settings.function.paging, snapshot::Paging::kRead);
}

TEST(Settings, RefuseValuesOfOursAndForgiveThePlatforms) {
  for (const char* threads : {"0", "-1", "257", "many", "2x"}) {
    EXPECT_NE(refusal_of({{"THAW_THREADS", threads}}).find("from 1 to 256"), std::string::npos);
  }
  EXPECT_FALSE(refusal_of({{"THAW_VERIFY", "sometimes"}}).empty());
  EXPECT_FALSE(refusal_of({{"THAW_PAGING", "never"}}).empty());
  EXPECT_FALSE(refusal_of({{"THAW_LOG", "loud"}}).empty());
  for (const char* memory : {"", "x", "99999999999999999999", "4294967296"}) {
    EXPECT_FALSE(read({{"AWS_LAMBDA_FUNCTION_MEMORY_SIZE", memory}}).memory_bytes.has_value());
  }
}

TEST(Settings, FindThePortWhereThePlatformSaysIt) {
  const Settings plain = read({{"PORT", "8080"}});
  EXPECT_EQ(plain.platform, Platform::kWeb);
  EXPECT_EQ(plain.web.port, 8080);
  EXPECT_FALSE(plain.web.azure);
  const Settings azure = read({{"PORT", "80"}, {"FUNCTIONS_CUSTOMHANDLER_PORT", "7071"}});
  EXPECT_EQ(azure.web.port, 7071);
  EXPECT_TRUE(azure.web.azure);
  EXPECT_EQ(read({{"http_upstream_url", "http://127.0.0.1:8082"}}).web.port, 8082);
  EXPECT_EQ(read({{"upstream_url", "http://127.0.0.1:5000/"}}).web.port, 5000);
  EXPECT_EQ(read({{"upstream_url", "http://localhost"}}).platform, Platform::kNone);
  // Lambda has a PORT at times, too: an image made for both.
  EXPECT_EQ(read({{"PORT", "8080"}, {"AWS_LAMBDA_RUNTIME_API", "h:1"}}).platform,
            Platform::kLambda);
  for (const char* port : {"0", "65536", "http", "-1", "80x"}) {
    EXPECT_NE(refusal_of({{"PORT", port}}).find("PORT"), std::string::npos) << port;
  }
}

TEST(Settings, KnowFunctionCompute) {
  const Settings settings = read({{"FC_FUNCTION_NAME", "f"},
                                  {"FC_FUNC_CODE_PATH", "/code/"},
                                  {"FC_FUNCTION_HANDLER", "chat"},
                                  {"FC_FUNCTION_MEMORY_SIZE", "1024"},
                                  {"PORT", "8080"}});
  EXPECT_EQ(settings.platform, Platform::kFc);
  EXPECT_EQ(settings.task_root, "/code");
  EXPECT_EQ(settings.handler_name, "chat");
  EXPECT_EQ(settings.memory_bytes, std::uint64_t{1} << 30);
  EXPECT_EQ(settings.web.port, 8080);
  EXPECT_EQ(read({{"FC_FUNCTION_NAME", "f"}}).web.port, 9000);
  EXPECT_EQ(read({{"FC_CUSTOM_LISTEN_PORT", "9001"}, {"PORT", "1"}}).web.port, 9001);
  EXPECT_EQ(read({{"FC_SERVER_PORT", "9002"}}).platform, Platform::kFc);
}

TEST(Settings, TakeTheOnlySnapshotOfAFunctionComputePackage) {
  const std::string folder = cat(testing::TempDir(), "/fc_package_", getpid());
  ASSERT_EQ(mkdir(folder.c_str(), 0700), 0);
  const auto found = [&](const char* handler) {
    return find_snapshot(system_files(), read({{"FC_FUNCTION_NAME", "f"},
                                               {"FC_FUNC_CODE_PATH", folder},
                                               {"FC_FUNCTION_HANDLER", handler}}));
  };
  EXPECT_FALSE(found("index.handler").has_value());
  const std::string first = folder + "/a.thaw", second = folder + "/b.thaw";
  std::ofstream(first) << "x";
  for (const char* handler : {"index.handler", ""}) {
    const auto only = found(handler);
    ASSERT_TRUE(only.has_value()) << handler;
    EXPECT_EQ(*only, first);
  }
  std::ofstream(second) << "x";
  EXPECT_FALSE(found("index.handler").has_value()) << "which of the two?";
  EXPECT_EQ(*found("b"), second);
  unlink(first.c_str());
  unlink(second.c_str());
  rmdir(folder.c_str());
}

TEST(Settings, BoundLoopsOnAPort) {
  using std::chrono::milliseconds;
  const Settings settings = read(
      {{"PORT", "1"}, {"THAW_CONCURRENCY", "4"}, {"THAW_TIMEOUT", "60"}, {"THAW_DRAIN", "2.5"}});
  EXPECT_EQ(settings.web.concurrency, 4u);
  EXPECT_EQ(settings.web.request_time_max, milliseconds(60'000));
  EXPECT_EQ(settings.web.drain_time_max, milliseconds(2500));
  EXPECT_FALSE(read({}).web.request_time_max.has_value());
  for (const char* bad : {"0", "-1", "1e9", "nan", "soon", "5s"}) {
    EXPECT_FALSE(refusal_of({{"THAW_TIMEOUT", bad}}).empty()) << bad;
    EXPECT_FALSE(refusal_of({{"THAW_DRAIN", bad}}).empty()) << bad;
  }
  for (const char* bad : {"0", "1001", "x"}) {
    EXPECT_FALSE(refusal_of({{"THAW_CONCURRENCY", bad}}).empty()) << bad;
  }
}

TEST(Settings, FindTheSnapshotByItsPathOrTheHandlersName) {
  const std::string folder = testing::TempDir();
  const std::string name = cat("settings_", getpid());
  const std::string path = cat(folder, "/", name, ".thaw");
  const auto found = [&](Variables variables) {
    return find_snapshot(system_files(), read(std::move(variables)));
  };
  const Variables by_name = {{"LAMBDA_TASK_ROOT", folder}, {"_HANDLER", name}};
  const auto missing = found(by_name);
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().code, Code::kNotFound);
  EXPECT_NE(missing.error().message.find(path), std::string::npos);
  std::ofstream(path) << "x";
  for (const std::string& handler : {name, name + ".thaw"}) {
    const auto at = found({{"LAMBDA_TASK_ROOT", folder}, {"_HANDLER", handler}});
    ASSERT_TRUE(at.has_value());
    EXPECT_EQ(*at, path);
  }
  // A path that is given is taken as it is.
  const auto given = found({{"THAW_SNAPSHOT", "/nowhere.thaw"}, {"_HANDLER", name}});
  ASSERT_TRUE(given.has_value());
  EXPECT_EQ(*given, "/nowhere.thaw");
  EXPECT_EQ(found({}).error().code, Code::kNotFound);
  unlink(path.c_str());
}

}  // namespace
}  // namespace thaw::bootstrap
