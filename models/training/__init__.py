"""Training of the reenactment networks: data packs, losses, the loop, checkpoints."""
