"""The compiled step of the environments: everything between an action and the next observation."""
