"""The interactive explorer: an experiment on a page of the browser, rendered while its values move."""
