"""The reenactment networks: keypoint detector, dense motion, generator, and their numpy-facing adapters."""
