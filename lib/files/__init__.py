"""Files: fetched by name and hash, written whole or not at all, kept where every run finds them."""
