"""The subcommands, one file for each word."""
