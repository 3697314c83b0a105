"""Statistics of generated examples under a stated protocol."""
