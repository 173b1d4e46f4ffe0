"""Feature packets: encode, decode, validate, and the byte budget. NumPy only."""
