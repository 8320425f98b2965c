from nanobragg.torch_backend.kernels.triton.sums import TritonSum as TritonSum
