"""`latentsde bench adjoint-memory`: memory and time of gradients against the number of steps."""
