"""Views of cameras: matched images decoded and rectified."""
