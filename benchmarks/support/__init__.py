"""What the benchmarks share: costs, users files, databases, servers and clients. No benchmark."""
