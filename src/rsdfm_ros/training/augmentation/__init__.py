"""Augmentation of training samples: `geometric` moves the world and disturbs poses, `photometric` changes images."""
