"""Reassembly, jitter buffers, reenactment and rendering: the half of a call that shows."""
