"""The order in which a bag is read: poses before their time where images wait for them, instants when all have come."""
