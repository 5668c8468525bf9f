"""Trains the recognisers in models/. Imported by the command line alone, and not needed to serve."""
