"""Physical and numerical constants: the only place where they are written.

Values and digits are those of docs/model.md, Constants; every engine receives them through the Scene. Those that
the C core needs itself stand in csrc/nanobragg.h and are read from there.
"""

from nanobragg import _core

PI = _core.PI
ROUND_SCALE = _core.ROUND_SCALE
"""sqrt(pi/6): a round crystal has F_latt = N_a N_b N_c times this in the middle of a spot."""
GAUSS_WIDTH = _core.GAUSS_WIDTH
"""Divides the squared distance from a spot of a gauss crystal, in the exponent."""
TOPHAT_CUT = _core.TOPHAT_CUT
"""Squared distance at which the spot of a tophat crystal ends; GAUSS_WIDTH^2."""
RTD = 57.29577951308232
"""Degrees per radian, the float64 value of 180/pi."""
DBL_MIN = 2.2250738585072014e-308
"""Smallest positive normal float64; the original's stand-in for an exact zero divisor."""
R_E_SQR = 7.94079248018965e-30
"""Square of the classical electron radius [m^2]."""
DEFAULT_FLUENCE = 1.2593201528622709e29
"""1/r_e^2, which makes an image one of structure factors [photons/m^2]."""
AVOGADRO = 6.02214179e23
"""[1/mol]"""
EV_ANGSTROM = 12398.42
"""Photon energy times wavelength [eV Angstrom]."""
PLANCK_C_EV_ANGSTROM = 12398.419843320026
"""h c [eV Angstrom], CODATA 2018; for electrons, EV_ANGSTROM has the digits of the original program."""
ELECTRON_REST_EV = 510998.95
"""m c^2 of the electron [eV], CODATA 2018."""
WATER_F = 2.57
"""Structure factor of one water molecule at low angle [electrons]."""
WATER_MOLAR_MASS = 18.0
"""[g/mol]"""
WATER_DENSITY = 1e6
"""[g/m^3]"""
SOURCE_DISTANCE = 10.0
"""Distance of the source from the sample [m]; only its direction matters."""
DEFAULT_BEAM_SIZE = 1e-4
"""Beam size that the original assumes when none is given [m]."""
MAX_STEPS = _core.MAX_STEPS
"""Largest sub-step count (sources x domains x phi steps x oversample^2) that a run may have."""
