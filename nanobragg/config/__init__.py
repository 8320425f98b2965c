"""What is simulated: frozen, keyword-only dataclasses in the field's units.

None means "decide for me". Defaults, units, validity, differentiability and the flags that set a field stand here and
nowhere else (in the field's metadata, see `nanobragg.config.fields.setting`).
"""

from nanobragg.config.beam import Beam, Divergence, Sources
from nanobragg.config.beams.spectrum import Spectrum
from nanobragg.config.crystal import Crystal, UnitCell
from nanobragg.config.crystals.blocks import BlockSizes
from nanobragg.config.crystals.cell_spread import CellSpread
from nanobragg.config.crystals.diffuse import Diffuse
from nanobragg.config.crystals.displacement import Damage, Displacement
from nanobragg.config.crystals.mosaic import Mosaic
from nanobragg.config.detector import Detector, Pose, Sensor
from nanobragg.config.experiment import Experiment
from nanobragg.config.image_chain.background import Background
from nanobragg.config.sampling import Goniometer, Sampling

__all__ = [
    "Background", "Beam", "BlockSizes", "CellSpread", "Crystal", "Damage", "Detector", "Diffuse", "Displacement", "Divergence",
    "Experiment", "Goniometer", "Mosaic", "Pose", "Sampling", "Sensor", "Sources", "Spectrum", "UnitCell",
]  # fmt: skip
