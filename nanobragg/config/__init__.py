"""What is simulated: frozen, keyword-only dataclasses in the field's units.

None means "decide for me". Defaults, units, validity, differentiability and the flags that set a field stand here and
nowhere else (in the field's metadata, see `nanobragg.config.fields.setting`).
"""

from nanobragg.config.beam import Beam, Divergence, Sources
from nanobragg.config.crystal import Crystal, Mosaic, UnitCell
from nanobragg.config.detector import Detector, Pose, Sensor
from nanobragg.config.experiment import Experiment
from nanobragg.config.image_chain.background import Background
from nanobragg.config.sampling import Goniometer, Sampling

__all__ = [
    "Background", "Beam", "Crystal", "Detector", "Divergence", "Experiment", "Goniometer", "Mosaic", "Pose", "Sampling",
    "Sensor", "Sources", "UnitCell",
]  # fmt: skip
