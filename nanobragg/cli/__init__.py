"""The drop-in command: flag table, parsers, console report, output files, progress and demo."""
