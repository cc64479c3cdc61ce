"""The second language: `chapters/zh/` beside the English sources, held to them block by block."""
