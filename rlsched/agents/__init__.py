"""Learning: networks, PPO with stable-baselines3, warm starts, export to ONNX."""
