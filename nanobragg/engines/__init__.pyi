from nanobragg.engines.c import CEngine as CEngine
from nanobragg.torch_backend.engine import TorchEngine as TorchEngine
