"""`latentsde bench solver`: `solve` beside the bare network, hand-written loops, torchsde and diffrax."""
