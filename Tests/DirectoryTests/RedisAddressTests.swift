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
  }

  @Test(arguments: [
    "", "host:6379", "http://host", "redis://", "redis://:6379", "redis://host:0", "redis://host:65536",
    "redis://host:x",
    "redis://host/x", "redis://host/-1", "redis://secret@host", "redis://:se%zzcret@host", "redis://:se%4",
    "redis://[::1", "redis://[::1]x", "unix://relative", "unix:///a?db=x", "unix:///a?secret=1",
  ])
  func refusesWhatIsWrong(_ url: String) throws {
    let error = #expect(throws: ServingError.self) { try RedisAddress(url) }
    #expect(error?.code == .invalidArgument)
    #expect(error?.message.contains("secret") == false)
  }

  @Test func neverShowsThePassword() throws {
    #expect(try RedisAddress("redis://me:secret@host:1/2").description == "redis://me:***@host:1/2")
    #expect(try RedisAddress("unix://:secret@/a").description == "unix://:***@/a?db=0")
  }
}
