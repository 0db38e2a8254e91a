"""Training of given designs: the workers, and the measurements that need them beside a search."""
