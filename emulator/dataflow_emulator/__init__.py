"""A local Dataflow: one state machine behind gRPC and REST, and engines that run Beam or only say so."""
