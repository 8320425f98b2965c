"""What turns a Scene into photons. The only room that knows names of engines and kernels."""
