"""Capture, detection, pivot choice and packetising: the half of a call that sends."""
