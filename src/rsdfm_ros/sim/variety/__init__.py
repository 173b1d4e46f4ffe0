"""Looks beyond the standard world: natural textures, seasons, vehicle bodies, distractors; each only when asked for.

With the options of this folder at their defaults, worlds are drawn as without it, pixel by pixel.
"""
