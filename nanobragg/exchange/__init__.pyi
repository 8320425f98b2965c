from nanobragg.exchange.command_line.meaning import experiment_from_args as experiment_from_args
from nanobragg.exchange.geometry import of_experiment as of_experiment
from nanobragg.exchange.geometry import to_experiment as to_experiment
from nanobragg.exchange.geometry_files import folded_wavelength as folded_wavelength
from nanobragg.exchange.images.provenance import provenance_json as provenance_json
from nanobragg.exchange.notebook.page import experiment_html as experiment_html
from nanobragg.exchange.notebook.page import images_html as images_html
from nanobragg.exchange.notebook.page import part_html as part_html
