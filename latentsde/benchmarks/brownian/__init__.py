"""`latentsde bench brownian`: increments of Brownian paths beside torch.randn, torchsde and diffrax."""
