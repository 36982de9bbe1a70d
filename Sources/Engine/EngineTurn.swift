/// What one pass of an engine's loop led to.
package enum EngineTurn: Hashable, Sendable {
  /// A step was computed: the next one is due at once.
  case worked
  /// There are requests, but blocks or time must come before one can go on.
  case waiting
  /// There is nothing to do.
  case idle
  /// The engine has ended, or must.
  case stopping
}
