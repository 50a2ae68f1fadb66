"""What happens in conferences, as a stream that the rest of the house, and others, can follow."""
