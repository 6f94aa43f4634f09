"""Where the daemon remembers what is settled."""
