"""Where formats meet experiments: geometry files, TOML, image files with their provenance, command lines."""
