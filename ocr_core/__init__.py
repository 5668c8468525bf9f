"""Pure recognition pipeline: arrays and dataclasses, no transport."""
