"""What deciding an experiment gives: the record, its notes, the size of the crystal, and the limits that it keeps."""
