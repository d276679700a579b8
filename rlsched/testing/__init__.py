"""Contract suites anybody can run on their own reader, policy, reward or environment."""
