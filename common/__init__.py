"""The words both ends share: frames, keypoints, wire format, clocks, stats, configuration, errors."""
