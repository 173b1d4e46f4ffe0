"""Task heads: each is a plug-in with a name, targets, a loss and a decoding."""
