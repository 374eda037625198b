"""A Pub/Sub for the emulator's jobs: topics and subscriptions in memory, REST of Pub/Sub's own shape in front."""
