"""From a config to the objects that it names, and what a config may not say."""
