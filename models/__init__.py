"""Networks and their weightless twins, weights, training and metrics."""
