"""The real user agents that the gateway is tested against, each as a process of its own."""
