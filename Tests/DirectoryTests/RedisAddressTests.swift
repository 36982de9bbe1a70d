import Directory
import ServingTypes
import Testing

struct RedisAddressTests {
  @Test func readsEveryForm() throws {
    #expect(try RedisAddress("redis://host") == RedisAddress(endpoint: .tcp(host: "host", port: 6379)))
    #expect(
      try RedisAddress("redis://:p%40ss:w/rd@host:7000/3")
        == RedisAddress(endpoint: .tcp(host: "host", port: 7000), password: "p@ss:w/rd", database: 3))
    #expect(
      try RedisAddress("redis://me:secret@[::1]:6380/")
        == RedisAddress(endpoint: .tcp(host: "::1", port: 6380), user: "me", password: "secret"))
    #expect(
      try RedisAddress("unix:///run/redis.sock?db=2")
        == RedisAddress(endpoint: .unix(path: "/run/redis.sock"), database: 2))
    #expect(
      try RedisAddress("unix://:pw@/run/redis.sock")
        == RedisAddress(endpoint: .unix(path: "/run/redis.sock"), password: "pw"))
    #expect(
      try RedisAddress("redis-cluster://:pw@a,b:7001,[::1]:7002")
        == RedisAddress(
          servers: .cluster([
            .tcp(host: "a", port: 6379), .tcp(host: "b", port: 7001), .tcp(host: "::1", port: 7002),
          ]), password: "pw"))
    var sentinel = RedisAddress(
      servers: .sentinel([.tcp(host: "a", port: 26_379), .tcp(host: "b", port: 5000)], master: "my master"), user: "me",
      password: "pw", database: 4)
    sentinel.sentinelPassword = "s&w"
    #expect(try RedisAddress("redis-sentinel://me:pw@a,b:5000/my%20master/4?sentinel_password=s%26w") == sentinel)
    #expect(
      try RedisAddress("rediss://host?tls_ca=/ca.pem")
        == RedisAddress(
          servers: .single(.tcp(host: "host", port: 6379)), tls: RedisTLS(authorityFile: "/ca.pem")))
    #expect(try RedisAddress("rediss-cluster://a").tls == RedisTLS())
    #expect(
      try RedisAddress("rediss://host:6380/0?tls_ca=/ca@b.pem")
        == RedisAddress(
          servers: .single(.tcp(host: "host", port: 6380)), tls: RedisTLS(authorityFile: "/ca@b.pem")))
  }

  @Test(arguments: [
    "", "host:6379", "http://host", "redis://", "redis://:6379", "redis://host:0", "redis://host:65536",
    "redis://host:x",
    "redis://host/x", "redis://host/-1", "redis://secret@host", "redis://:se%zzcret@host", "redis://:se%4",
    "redis://[::1", "redis://[::1]x", "unix://relative", "unix:///a?db=x", "unix:///a?secret=1",
    "redis://a,b", "redis-cluster://a/1", "redis-cluster://a,,b", "redis-cluster://", "redis-sentinel://a",
    "redis-sentinel://a/m/1/2", "redis-sentinel://a/m/x", "redis-cluster://a?sentinel_password=secret",
    "redis://a?tls_ca=secret",
    "rediss://a?tls_key=secret", "redis-cluster://\(Array(repeating: "a", count: 65).joined(separator: ","))",
  ])
  func refusesWhatIsWrong(_ url: String) throws {
    let error = #expect(throws: ServingError.self) { try RedisAddress(url) }
    #expect(error?.code == .invalidArgument)
    #expect(error?.message.contains("secret") == false)
  }

  @Test func neverShowsThePassword() throws {
    #expect(try RedisAddress("redis://me:secret@host:1/2").description == "redis://me:***@host:1/2")
    #expect(try RedisAddress("unix://:secret@/a").description == "unix://:***@/a?db=0")
    #expect(try RedisAddress("rediss-cluster://:secret@a,b:1").description == "rediss-cluster://:***@a:6379,b:1")
    #expect(
      try RedisAddress("redis-sentinel://a/m?sentinel_password=secret").description == "redis-sentinel://a:26379/m/0")
  }
}
