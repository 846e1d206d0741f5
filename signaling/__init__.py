"""The signaling server and client, and the peer connection."""
