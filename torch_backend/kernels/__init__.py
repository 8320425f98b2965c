"""The sum over sub-pixels, sources, phi steps and domains on tensors."""
