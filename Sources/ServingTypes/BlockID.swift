/// A block's index in its worker's pool. It means nothing on another worker.
public typealias BlockID = Int32
