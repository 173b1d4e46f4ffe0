"""`rsdfm simulate`: missions of the simulated world as a data set in the nuScenes schema."""
