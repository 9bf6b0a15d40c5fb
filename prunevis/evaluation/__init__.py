"""What pruning costs: accuracy (exact or anytime), trade-off, sensitivity, storage."""
