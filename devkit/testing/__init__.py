"""What tests and benchmarks stand on: real hubs, spawners without a hub, and waiting for something to become true."""
