"""Models made smaller or faster, each step measured before and after: `glyphwire models quantize | fuse | compare`."""
