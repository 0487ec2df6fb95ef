"""What stands in the way of releases here: looked at one by one, each with what mends it."""
