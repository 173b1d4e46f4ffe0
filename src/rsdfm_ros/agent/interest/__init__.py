"""What UAVs want of each other: demand maps and the newest ones of all peers."""
