import GRPCCore
import ServingProtos
import SwiftProtobuf

/// What a receiver of blocks says: `open`, then credits and acknowledgements.
public protocol HandoffRequest: Message {
  associatedtype Responses: MessageDeserializer where Responses.Message == HandoffMessage<ReceivedBlock>

  var credit: Baton_V1_Credit { get set }
  var ack: Baton_V1_Ack { get set }

  /// The method that is called with it.
  static var method: MethodDescriptor { get }
  /// Reads the method's answers.
  static var responses: Responses { get }
}

extension Baton_V1_PrefillRequest: HandoffRequest {
  public static var method: MethodDescriptor { Baton_V1_Prefill.Method.Prefill.descriptor }
  public static var responses: PrefillResponseDeserializer { PrefillResponseDeserializer() }
}

extension Baton_V1_FetchRequest: HandoffRequest {
  public static var method: MethodDescriptor { Baton_V1_Blocks.Method.Fetch.descriptor }
  public static var responses: FetchResponseDeserializer { FetchResponseDeserializer() }
}
