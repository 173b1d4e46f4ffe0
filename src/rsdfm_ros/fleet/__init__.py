"""What runs where: a fleet description becomes processes."""
