"""Views of cameras from matched images."""
