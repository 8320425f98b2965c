from nanobragg.exchange.command_line.meaning import experiment_from_args as experiment_from_args
from nanobragg.exchange.geometry import of_experiment as of_experiment
from nanobragg.exchange.geometry import to_experiment as to_experiment
from nanobragg.exchange.geometry import wavelength_angstrom as wavelength_angstrom
