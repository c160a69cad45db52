"""What may be done to a dense model before its weights are loaded, one file each."""
