"""Files: written whole or not at all, fetched by name and hash, kept in the book's cache."""
