import NIOCore

/// The connections of a proxy. Belongs to its event loop.
final class ProxyConnections {
  private var halves: [ObjectIdentifier: ProxyHalf] = [:]
  private var weather = FaultProxy.Weather.clear

  func join(_ client: any Channel, _ server: any Channel) throws {
    let (near, far) = (ProxyHalf(client, in: self), ProxyHalf(server, in: self))
    near.partner = far
    far.partner = near
    try client.pipeline.syncOperations.addHandler(near)
    try server.pipeline.syncOperations.addHandler(far)
    for half in [near, far] {
      halves[ObjectIdentifier(half)] = half
      half.set(weather)
    }
  }

  func set(_ weather: FaultProxy.Weather) {
    self.weather = weather
    for half in halves.values { half.set(weather) }
  }

  func end(_ ending: FaultProxy.Ending) -> Int {
    let count = halves.count / 2
    for half in halves.values { half.end(ending) }
    return count
  }

  func remove(_ half: ProxyHalf) { halves[ObjectIdentifier(half)] = nil }
}
