"""From a user's circuit to the one that runs on a device: opened, respelled, laid out, routed and scheduled."""
