"""The server, the pages that it serves, and what they say to each other."""
