"""Lines of text made up for training: `python -m training.synth build`, then samples.SynthLines."""
