"""What turns a Scene into photons. The only room where the name of an engine or kernel decides anything.

`engine` is the face that every engine has, `choice` picks one; `c` is the C engine and
`nanobragg.torch_backend.engine` the one in torch.
"""

from nanobragg import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__, "nanobragg.torch_backend")
