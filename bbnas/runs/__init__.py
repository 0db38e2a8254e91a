"""Training of given designs: workers, and what they are asked for beside a search."""
