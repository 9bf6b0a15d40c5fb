"""What comes back: fine-tuning with pruned weights held at zero."""
