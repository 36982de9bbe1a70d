"""The health and reflection services as the reference implementation's clients see them.

usage: tools.py health ADDRESS SERVICE    prints the status, or the error's code
       tools.py watch ADDRESS SERVICE     prints each status until its input ends
       tools.py reflect ADDRESS           prints each service with its methods, after resolving all types
"""

import sys
import threading

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase


def name(status):
    return health_pb2.HealthCheckResponse.ServingStatus.Name(status)


def main(command, address, *rest):
    with grpc.insecure_channel(address) as channel:
        if command == "health":
            try:
                reply = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=rest[0]))
                print(name(reply.status))
            except grpc.RpcError as error:
                print(error.code().name)
        elif command == "watch":
            call = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=rest[0]))
            threading.Thread(target=lambda: (sys.stdin.read(), call.cancel()), daemon=True).start()
            try:
                for reply in call:
                    print(name(reply.status), flush=True)
            except grpc.RpcError as error:
                print(error.code().name, flush=True)
        elif command == "reflect":
            database = ProtoReflectionDescriptorDatabase(channel)
            pool = DescriptorPool(database)
            for service in database.get_services():
                described = pool.FindServiceByName(service)
                for method in described.methods:
                    print(service, method.name, method.input_type.full_name, method.output_type.full_name)
            try:
                pool.FindMessageTypeByName("baton.v1.Nothing")
                print("found what is not there")
            except KeyError:
                print("done")


main(*sys.argv[1:])
