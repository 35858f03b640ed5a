"""The one door to IBM's service: opening it, how long it is waited for, and what it says when it fails."""
