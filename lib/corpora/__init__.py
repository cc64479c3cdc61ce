"""Real texts, by name and hash: fetched once, then read from this machine."""
