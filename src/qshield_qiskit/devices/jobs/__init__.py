"""Jobs on devices that cost money: written down before they are sent, found again, paid for once."""
