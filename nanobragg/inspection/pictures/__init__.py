"""Pictures of images: panels assembled in the laboratory, contrast for weak spots, resolution rings."""
