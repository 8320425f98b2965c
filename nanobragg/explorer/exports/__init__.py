"""What is taken home: the experiment as text, the image as a file, the page as a snapshot."""
