"""The original program's run: report, output files, help."""
